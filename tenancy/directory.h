// Tenants and containers as requests look them up: cached, and served while the store is down.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/expiring_cache.h"
#include "crypto/key_hierarchy.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/records.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

// An answer is at most `lifetime` old while the store can be read, and mostly newer (watches drop
// what changed). While it cannot, what was known is served without a time limit (I12). Thread-safe;
// calls may block (see CatalogStore).
class Directory {
 public:
  struct Options {
    absl::Duration lifetime = absl::Seconds(2);
    // Of tenants and of containers, each.
    size_t max_entries = 10000;
  };

  // What a container's requests need.
  struct Container {
    TenantRecord tenant;
    ContainerRecord record;
  };

  Directory(CatalogStore& store, TenantCatalog& tenants, ContainerCatalog& containers,
            crypto::KeyHierarchy& keys, Options options);
  ~Directory();

  absl::StatusOr<std::shared_ptr<const TenantRecord>> FindTenant(TenantId tenant);
  // NOT_FOUND: neither is a container that is being deleted.
  absl::StatusOr<std::shared_ptr<const Container>> FindContainer(TenantId tenant,
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
