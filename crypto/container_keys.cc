#include "crypto/container_keys.h"

#include "base/random.h"
#include "base/status.h"
#include "crypto/hkdf.h"
#include "crypto/internal/encoding.h"

namespace meridian::crypto {
namespace {

SecretKey Derive(const SecretKey& key, std::string_view purpose, TenantId tenant,
                 ContainerId container, uint32_t kek_version) {
  std::string info = EncodeFields(purpose, tenant.bytes(), container.bytes());
  AppendU32(info, kek_version);
  return Hkdf(key, "").ExpandKey(info);
}

std::string EncodeParts(std::span<const std::string_view> parts) {
  std::string message;
  size_t size = 0;
  for (std::string_view part : parts) size += 4 + part.size();
  message.reserve(size);
  for (std::string_view part : parts) AppendField(message, part);
  return message;
}

}  // namespace

ContainerKeys::ContainerKeys(TenantId tenant, ContainerId container, uint32_t kek_version,
                             const SecretKey& kek, const SecretKey& name_key)
    : tenant_(tenant),
      container_(container),
      kek_version_(kek_version),
      name_key_(Derive(name_key, "meridian object ids 1", tenant, container, 0)),
      record_mac_key_(Derive(kek, "meridian record macs 1", tenant, container, kek_version)),
      dek_wrapping_key_(Derive(kek, "meridian dek wrapping 1", tenant, container, kek_version)),
      metadata_key_(Derive(kek, "meridian metadata 1", tenant, container, kek_version)) {}

ObjectId ContainerKeys::ObjectIdOf(std::string_view name) const {
  return *ObjectId::FromBytes(name_key_.Compute(name).substr(0, ObjectId::kSize));
}

std::string ContainerKeys::WrapDek(const SecretKey& dek, Random& random) const {
  return dek_wrapping_key_.WrapKey("dek 1", dek, random);
}

absl::StatusOr<SecretKey> ContainerKeys::UnwrapDek(std::string_view wrapped) const {
  return dek_wrapping_key_.UnwrapKey("dek 1", wrapped);
}

std::string ContainerKeys::RecordMac(std::span<const std::string_view> parts) const {
  return record_mac_key_.Compute(EncodeParts(parts));
}

bool ContainerKeys::VerifyRecordMac(std::span<const std::string_view> parts,
                                    std::string_view mac) const {
  return record_mac_key_.Verify(EncodeParts(parts), mac);
}

std::string ContainerKeys::SealMetadata(std::string_view context, std::string_view metadata,
                                        Random& random) const {
  return metadata_key_.Seal(context, metadata, random);
}

absl::StatusOr<std::string> ContainerKeys::OpenMetadata(std::string_view context,
                                                        std::string_view sealed) const {
  return metadata_key_.Open(context, sealed);
}

}  // namespace meridian::crypto
