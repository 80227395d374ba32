// The catalog of tenants.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "crypto/key_hierarchy.h"
#include "tenancy/catalog_store.h"
#include "tenancy/records.h"

namespace meridian::tenancy {

struct Page {
  // 1-1000; 0 means 100; others are INVALID_ARGUMENT.
  int32_t size = 0;
  std::string token;
};

// A tenant and the revision at which it was read.
struct StoredTenant {
  TenantRecord record;
  int64_t mod_revision = 0;
};

// Every change is one transaction: there is no half-made tenant. Thread-safe; calls block (see
// CatalogStore).
class TenantCatalog {
 public:
  TenantCatalog(CatalogStore& store, crypto::KeyHierarchy& keys) : store_(store), keys_(keys) {}

  // ALREADY_EXISTS, unless it was `request_id` (may be empty) that created it: then that tenant.
  absl::StatusOr<TenantRecord> Create(std::string_view name, std::string_view display_name,
                                      std::string_view request_id);
  // NOT_FOUND.
  absl::StatusOr<TenantRecord> Get(std::string_view name);
  absl::StatusOr<StoredTenant> GetById(TenantId id);

  struct Listing {
    std::vector<TenantRecord> tenants;
    std::string next_page_token;
  };
  // In byte order of their names.
  absl::StatusOr<Listing> List(const Page& page);

  // With its access keys, and its key inside the KMS. FAILED_PRECONDITION while it has containers:
  // a container that is being created at the same time is either seen, or not created.
  absl::Status Delete(std::string_view name);
  // Those that Delete could not destroy because the KMS was away or the process ended. All that can
  // be; then one of the errors.
  absl::Status DestroyKeysOfDeleted();

  // For transactions that must not race with a tenant's deletion, or with one another: what to
  // compare, and the tenant's record, changed by the caller, to write with the next generation.
  static coordination::Compare Unchanged(const StoredTenant& tenant);
  coordination::Write Rewrite(TenantRecord changed);

 private:
  absl::StatusOr<std::optional<TenantId>> FindId(std::string_view name);
  absl::Status DestroyKeyOfDeleted(TenantId tenant);

  CatalogStore& store_;
  crypto::KeyHierarchy& keys_;
};

}  // namespace meridian::tenancy
