// Who calls: from the token of a request to a principal.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/expiring_cache.h"
#include "base/id.h"
#include "tenancy/catalog_cache.h"
#include "tenancy/catalog_changes.h"
#include "tenancy/catalog_store.h"
#include "tenancy/records.h"

namespace meridian::tenancy {

struct Principal {
  // Manages tenants and the cluster, sees no objects.
  bool administrator = false;
  // Nil for an administrator.
  TenantId tenant;
  AccessKeyId key;
};

// A key that was known is good for as long as the store is silent, without a time limit (I12); a
// revocation is noticed as CatalogChanges notices it. Thread-safe; Authenticate may block for
// CatalogStore::kLookupDeadline, after a change or for a key that is not known here.
class Authenticator {
 public:
  struct Options {
    size_t max_entries = 10000;
    // Ids of no key, kept apart: whoever makes them up evicts no good one.
    size_t max_unknown_entries = 1000;
    absl::Duration unknown_lifetime = absl::Seconds(2);
  };

  // Both outlive it.
  Authenticator(CatalogStore& store, CatalogChanges& changes, Options options);

  // `token`: as AccessToken formats it. UNAUTHENTICATED: one answer for a malformed, an unknown, a
  // wrong and a revoked one. UNAVAILABLE: not known here, and the store cannot be asked; never
  // taken for either.
  absl::StatusOr<Principal> Authenticate(std::string_view token);

 private:
  // Null: there is no such key.
  absl::StatusOr<std::shared_ptr<const AccessKeyRecord>> Find(AccessKeyId key);
  absl::StatusOr<AccessKeyRecord> Read(AccessKeyId key);

  CatalogStore store_;
  CatalogChanges& changes_;
  const Options options_;
  CatalogCache<AccessKeyRecord> keys_;
  // With the count of changes when the store was asked.
  ExpiringCache<uint64_t> unknown_;
};

}  // namespace meridian::tenancy
