// The catalog of access keys, and their tokens.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "tenancy/catalog_store.h"
#include "tenancy/records.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

// "mak1_" key id in hex "_" secret in base64url without padding: what a client presents.
struct AccessToken {
  static constexpr size_t kSecretBytes = 32;
  AccessKeyId key;
  std::string secret;

  std::string Format() const;
  // nullopt unless it is exactly of this form.
  static std::optional<AccessToken> Parse(std::string_view token);
};

struct CreatedAccessKey {
  AccessKeyRecord record;
  // Not kept: it cannot be shown again.
  std::string token;
};

// Draws a key that no catalog has yet. `tenant` nil: an administrator's.
CreatedAccessKey DrawAccessKey(CatalogStore& store, TenantId tenant, std::string_view display_name);

// Thread-safe; calls block (see CatalogStore).
class AccessKeyCatalog {
 public:
  // So that a tenant and its keys can be deleted in one transaction.
  static constexpr size_t kMaxKeysPerTenant = 100;

  AccessKeyCatalog(CatalogStore& store, TenantCatalog& tenants)
      : store_(store), tenants_(tenants) {}

  // NOT_FOUND: the tenant. RESOURCE_EXHAUSTED: it has kMaxKeysPerTenant.
  absl::StatusOr<CreatedAccessKey> Create(TenantId tenant, std::string_view display_name);
  // An administrator's, for the cluster's bootstrap and an operator's recovery.
  absl::StatusOr<CreatedAccessKey> CreateAdministrator(std::string_view display_name);

  struct Listing {
    std::vector<AccessKeyRecord> keys;
    std::string next_page_token;
  };
  // In the order of their ids.
  absl::StatusOr<Listing> List(TenantId tenant, const Page& page);

  // Refused everywhere as CatalogChanges tells it. NOT_FOUND if the tenant has no such key.
  // Returns what was revoked. `tenant` nil: an administrator's.
  absl::StatusOr<AccessKeyRecord> Revoke(TenantId tenant, AccessKeyId key);

 private:
  CatalogStore& store_;
  TenantCatalog& tenants_;
};

}  // namespace meridian::tenancy
