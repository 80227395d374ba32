// Tenants and containers as requests look them up: cached, and served while the store is down.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "crypto/key_hierarchy.h"
#include "tenancy/catalog_changes.h"
#include "tenancy/catalog_store.h"
#include "tenancy/records.h"

namespace meridian::tenancy {

// A change is noticed as CatalogChanges notices it; while the store is silent, what was known is
// served without a time limit (I12). Thread-safe; calls may block for
// CatalogStore::kLookupDeadline, after a change or for what is not known here, and on the KMS.
class Directory {
 public:
  struct Options {
    // Of tenants and of containers, each.
    size_t max_entries = 10000;
  };

  // What a container's requests need.
  struct Container {
    TenantRecord tenant;
    ContainerRecord record;
  };

  // All outlive it. See DeletedTenants for the keys of tenants that are gone.
  Directory(CatalogStore& store, crypto::KeyHierarchy& keys, CatalogChanges& changes,
            Options options);
  ~Directory();

  absl::StatusOr<std::shared_ptr<const TenantRecord>> FindTenant(TenantId tenant);
  // NOT_FOUND: neither is a container that is being deleted.
  absl::StatusOr<std::shared_ptr<const Container>> FindContainer(TenantId tenant,
                                                                 std::string_view name);

  // The same of a container whose map of partitions has turned out to be old: reads the store
  // again, once in kRereadInterval at most, and only while it answers.
  static constexpr absl::Duration kRereadInterval = absl::Milliseconds(100);
  absl::StatusOr<std::shared_ptr<const Container>> RereadContainer(TenantId tenant,
                                                                   std::string_view name);

  // The container's keys under a version of its KEK. UNAVAILABLE: the KMS is away, and nothing is
  // cached.
  absl::StatusOr<std::shared_ptr<const crypto::ContainerKeys>> OpenKeys(const Container& container,
                                                                        uint32_t kek_version);

 private:
  class Impl;
  const std::unique_ptr<Impl> impl_;
};

}  // namespace meridian::tenancy
