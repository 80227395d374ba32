// Who calls: from the token of a request to a principal.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/expiring_cache.h"
#include "base/id.h"
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

// A key's record never changes, so what is known of it is good until CatalogChanges tells that it
// is revoked: that takes no read of this key, which a store under load might not answer, and while
// the store is silent the key holds without a time limit (I12). Thread-safe; calls block for
// CatalogStore::kLookupDeadline at most, Authenticate only for a key that is not known here.
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
  // For calls that need the store anyway: asks it, and believes only what it says now. UNAVAILABLE,
  // at once while it is silent.
  absl::StatusOr<Principal> AuthenticateNow(std::string_view token);

  // Reads the key if it is not known here, so that Authenticate need not: OK also if there is none.
  absl::Status Learn(AccessKeyId key);

 private:
  using Record = std::shared_ptr<const AccessKeyRecord>;

  // Null: there is no such key.
  absl::StatusOr<Record> Find(AccessKeyId key);
  absl::StatusOr<Record> Read(AccessKeyId key);
  bool IsUnknown(AccessKeyId key);
  absl::StatusOr<Principal> Check(std::string_view token,
                                  absl::StatusOr<Record> (Authenticator::*find)(AccessKeyId));
  void Forget(const Removed& removed);

  CatalogStore store_;
  CatalogChanges& changes_;
  const Options options_;
  ExpiringCache<Record> keys_;
  ExpiringCache<bool> unknown_;  // and revoked
  // Last: its calls use the above.
  const std::unique_ptr<CatalogChanges::Listening> listening_;
};

}  // namespace meridian::tenancy
