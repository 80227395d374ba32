#include "crypto/node_key.h"

#include "base/random.h"
#include "base/status.h"
#include "crypto/internal/encoding.h"
#include "crypto/kms.h"

namespace meridian::crypto {
namespace {

constexpr std::string_view kRootName = "node";

std::string WrapContext(const NodeId& node) { return EncodeFields("node key 1", node); }

}  // namespace

NodeKey::NodeKey(const SecretKey& key)
    : hkdf_(key, ""), file_keys_(hkdf_.ExpandKey("meridian node file keys 1")) {}

absl::StatusOr<std::string> NodeKey::CreateWrapped(Kms& kms, const NodeId& node, Random& random) {
  const absl::Status created = kms.CreateKey(kRootName);
  if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
  return kms.Wrap(kRootName, WrapContext(node), SecretKey::Draw(random));
}

absl::StatusOr<SecretKey> NodeKey::Unwrap(Kms& kms, const NodeId& node, std::string_view wrapped) {
  return kms.Unwrap(kRootName, WrapContext(node), wrapped);
}

SecretKey NodeKey::SegmentKey(DiskId disk, std::string_view salt) const {
  return hkdf_.ExpandKey(EncodeFields("meridian journal segment 1", disk.bytes(), salt));
}

std::string NodeKey::WrapFileKey(const SecretKey& file_key, Random& random) const {
  return file_keys_.WrapKey("file key 1", file_key, random);
}

absl::StatusOr<SecretKey> NodeKey::UnwrapFileKey(std::string_view wrapped) const {
  return file_keys_.UnwrapKey("file key 1", wrapped);
}

}  // namespace meridian::crypto
