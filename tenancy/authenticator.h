// Who calls: from the token of a request to a principal.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/expiring_cache.h"
#include "base/id.h"
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

// Thread-safe; Authenticate may block (see CatalogStore).
class Authenticator {
 public:
  struct Options {
    // The bound of a revocation. Not above 5 seconds.
    absl::Duration lifetime = absl::Seconds(2);
    size_t max_entries = 10000;
  };

  Authenticator(CatalogStore& store, Options options);
  ~Authenticator();

  // `token`: as AccessToken formats it. UNAUTHENTICATED: one answer for a malformed, an unknown, a
  // wrong and a revoked one. UNAVAILABLE: not known here, and the store cannot be asked; never
  // taken for either.
  absl::StatusOr<Principal> Authenticate(std::string_view token);

 private:
  // Null: there is no such key.
  using CachedKey = std::shared_ptr<const AccessKeyRecord>;

  absl::StatusOr<CachedKey> Find(AccessKeyId key);

  CatalogStore& store_;
  const Options options_;
  ExpiringCache<CachedKey> cache_;
  // Last: it calls into the cache until it goes.
  std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
};

}  // namespace meridian::tenancy
