// KMS root -> tenant KEK -> container KEK -> DEK: makes the wrapped keys, and unwraps them through
// a bounded cache.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <set>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/expiring_cache.h"
#include "base/id.h"
#include "crypto/container_keys.h"
#include "crypto/secret_key.h"

namespace meridian {
class Random;
}

namespace meridian::crypto {

class Kms;

// A container's keys as its record keeps them, wrapped by the tenant's KEK.
struct WrappedContainerKeys {
  uint32_t kek_version = 1;
  std::string wrapped_kek;
  std::string wrapped_name_key;
};

// Thread-safe. Calls may block on the KMS. Nothing here falls back to plaintext: while the KMS is
// away, keys are served for the rest of their lifetime, then the answer is UNAVAILABLE.
class KeyHierarchy {
 public:
  struct Options {
    // How long an unwrapped key is used without asking again: the bound of a revocation.
    absl::Duration lifetime = absl::Minutes(5);
    // Of containers and of tenants, each; the least recently used goes first.
    size_t max_entries = 4096;
  };

  KeyHierarchy(Kms& kms, Clock& clock, Random& random, Options options);

  // Creates the tenant's key inside the KMS, and a KEK wrapped by it.
  absl::StatusOr<std::string> CreateTenantKek(TenantId tenant);
  // Destroys the tenant's key inside the KMS, and forgets what is cached here (I11).
  absl::Status DestroyTenantKey(TenantId tenant);
  // Forgets the tenant's keys here; of those that are used at the moment nothing is taken away.
  void ForgetTenant(TenantId tenant);
  // Whose keys are here.
  std::set<TenantId> CachedTenants() const;

  absl::StatusOr<WrappedContainerKeys> CreateContainerKeys(TenantId tenant,
                                                           std::string_view wrapped_tenant_kek,
                                                           ContainerId container);
  absl::StatusOr<std::shared_ptr<const ContainerKeys>> OpenContainer(
      TenantId tenant, std::string_view wrapped_tenant_kek, ContainerId container,
      const WrappedContainerKeys& wrapped);

 private:
  using CachedKek = ExpiringCache<std::shared_ptr<const SecretKey>>;

  absl::StatusOr<CachedKek::Found> TenantKek(TenantId tenant, std::string_view wrapped);

  Kms& kms_;
  Clock& clock_;
  Random& random_;
  const Options options_;
  // Calls of ForgetTenant so far.
  std::atomic<uint64_t> forgotten_{0};
  // By the tenant's id and what else decides the key, its wrapped form included.
  CachedKek tenant_keks_;
  ExpiringCache<std::shared_ptr<const ContainerKeys>> containers_;
};

}  // namespace meridian::crypto
