// The coordination store as the catalog uses it: blocking, and with every value sealed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "crypto/cluster_key.h"

namespace meridian::tenancy {

// Thread-safe. Calls block until the store answers or `deadline` has passed (UNAVAILABLE): never on
// a strand, nor on the store's own threads.
class CatalogStore {
 public:
  static constexpr absl::Duration kDeadline = absl::Seconds(5);
  // Of lookups for requests: CatalogChanges has heard from the store a moment ago.
  static constexpr absl::Duration kLookupDeadline = absl::Seconds(1);

  struct Row {
    std::string key;
    // As it was before Put sealed it.
    std::string value;
    int64_t mod_revision = 0;
  };

  // All outlive the result.
  CatalogStore(coordination::CoordinationStore& store, const crypto::ClusterKey& key,
               Random& random, Clock& clock, absl::Duration deadline = kDeadline)
      : store_(store), key_(key), random_(random), clock_(clock), deadline_(deadline) {}
  // The same store, with another deadline.
  CatalogStore(CatalogStore& other, absl::Duration deadline)
      : CatalogStore(other.store_, other.key_, other.random_, other.clock_, deadline) {}

  absl::StatusOr<std::optional<Row>> Get(std::string key);
  absl::StatusOr<std::vector<Row>> List(std::string prefix);
  // Opens no values, and leaves them out.
  absl::StatusOr<std::vector<Row>> ListKeys(std::string prefix);
  // Of `tenant`, nil for what is no tenant's. Writes Changed() too. False: a compare did not hold,
  // nothing was written. UNAVAILABLE: the outcome is unknown.
  // RESOURCE_EXHAUSTED (DISK_FULL): the store is full, nothing was written.
  absl::StatusOr<bool> Commit(TenantId tenant, coordination::Transaction transaction);
  // The same of what requests do not look up: nobody is told.
  absl::StatusOr<bool> CommitUntold(coordination::Transaction transaction);
  // Adds to a transaction that revokes an access key of `tenant`, or deletes that tenant, what
  // tells all nodes to forget it.
  absl::Status AddRemoval(TenantId tenant, std::variant<AccessKeyId, TenantId> removed,
                          coordination::Transaction& transaction);

  coordination::Write Put(std::string key, std::string_view value);
  static coordination::Write Delete(std::string key) { return {std::move(key), std::nullopt}; }
  // Belongs into every transaction that changes what the catalog says of the tenant: tells
  // CatalogChanges.
  static coordination::Write Changed(TenantId tenant);
  static coordination::Compare Absent(std::string key) { return {std::move(key), 0}; }
  static coordination::Compare Unchanged(const Row& row) { return {row.key, row.mod_revision}; }

  // Page tokens: what a list ended with, sealed. Open: INVALID_ARGUMENT if it was not made for the
  // same scope; an empty token gives an empty string, before everything.
  std::string SealPageToken(std::string_view scope, std::string_view last);
  absl::StatusOr<std::string> OpenPageToken(std::string_view scope, std::string_view token);

  const crypto::ClusterKey& cluster_key() const { return key_; }
  coordination::CoordinationStore& coordination() { return store_; }
  Random& random() { return random_; }
  Clock& clock() { return clock_; }

 private:
  absl::StatusOr<Row> Open(const coordination::KeyValue& stored);

  coordination::CoordinationStore& store_;
  const crypto::ClusterKey& key_;
  Random& random_;
  Clock& clock_;
  const absl::Duration deadline_;
};

// Keys of the coordination store.
inline constexpr char kAccessKeyPrefix[] = "tenancy/access-key/";
inline constexpr char kTenantPrefix[] = "tenancy/tenant/";
inline constexpr char kContainerPrefix[] = "tenancy/container/";
// What CatalogChanges reads: two rows for each stripe, into which tenants fall by their ids, so
// that their number is bounded and one tenant's changes concern few others.
inline constexpr char kChangesPrefix[] = "tenancy/changes/";
inline constexpr size_t kStripes = 64;
size_t StripeOf(TenantId tenant);
// The value is empty; what counts is when it was last written.
std::string ChangedKey(size_t stripe);
// Removals.
std::string RemovedKey(size_t stripe);
// Of a tenant that has been deleted while its key still is in the KMS.
inline constexpr char kDeletedTenantPrefix[] = "tenancy/deleted-tenant/";
std::string DeletedTenantKey(TenantId tenant);
// Of a container while it is kDeleting.
inline constexpr char kClosingPrefix[] = "tenancy/closing/";
std::string ClosingKey(TenantId tenant, ContainerId container);
// Of a container whose redundancy is being changed: ConversionProgress.
inline constexpr char kConvertingPrefix[] = "tenancy/converting/";
std::string ConvertingKey(TenantId tenant, ContainerId container);
std::string TenantKey(TenantId tenant);
std::string TenantNameKey(const crypto::ClusterKey& key, std::string_view name);
std::string AccessKeyKey(AccessKeyId key);
std::string ContainerKey(TenantId tenant, ContainerId container);
std::string ContainerNameKey(const crypto::ClusterKey& key, TenantId tenant, std::string_view name);

}  // namespace meridian::tenancy
