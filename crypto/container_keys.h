// The keys of one container: what encrypts and authenticates its objects' records.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "crypto/hash.h"
#include "crypto/sealing_key.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

// Under one version of the container's KEK, except the object ids, whose key lasts as long as the
// container: they are bound into chunks, which a rotation does not rewrite. Thread-safe.
class ContainerKeys {
 public:
  ContainerKeys(TenantId tenant, ContainerId container, uint32_t kek_version, const SecretKey& kek,
                const SecretKey& name_key);

  TenantId tenant() const { return tenant_; }
  ContainerId container() const { return container_; }
  uint32_t kek_version() const { return kek_version_; }

  // HMAC(name key, name), truncated to 128 bits.
  ObjectId ObjectIdOf(std::string_view name) const;

  // The key of one version's body. DATA_LOSS if it was wrapped by another container's or version's
  // KEK.
  std::string WrapDek(const SecretKey& dek, Random& random) const;
  absl::StatusOr<SecretKey> UnwrapDek(std::string_view wrapped) const;

  // MAC of an object's record (P20): a name cannot be pointed at another object, nor a record be
  // changed, by whoever writes to a disk. `parts` are bound one by one, not joined. 32 bytes.
  std::string RecordMac(std::span<const std::string_view> parts) const;
  bool VerifyRecordMac(std::span<const std::string_view> parts, std::string_view mac) const;

  // User metadata; `context`: the ids it belongs to (object id and version id).
  std::string SealMetadata(std::string_view context, std::string_view metadata,
                           Random& random) const;
  absl::StatusOr<std::string> OpenMetadata(std::string_view context, std::string_view sealed) const;

 private:
  const TenantId tenant_;
  const ContainerId container_;
  const uint32_t kek_version_;
  const MacKey name_key_;
  const MacKey record_mac_key_;
  const SealingKey dek_wrapping_key_;
  const SealingKey metadata_key_;
};

}  // namespace meridian::crypto
