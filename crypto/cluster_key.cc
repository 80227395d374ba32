#include "crypto/cluster_key.h"

#include "base/random.h"
#include "base/status.h"
#include "crypto/internal/encoding.h"
#include "crypto/kms.h"

namespace meridian::crypto {
namespace {

constexpr std::string_view kRootName = "cluster";

std::string WrapContext(ClusterId cluster) {
  return EncodeFields("cluster key 1", cluster.bytes());
}

std::string ToHex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  hex.reserve(2 * bytes.size());
  for (const char c : bytes) {
    hex.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    hex.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
  }
  return hex;
}

}  // namespace

ClusterKey::ClusterKey(const SecretKey& key)
    : hkdf_(key, ""),
      values_(hkdf_.ExpandKey("meridian cluster values 1")),
      names_(hkdf_.ExpandKey("meridian cluster names 1")),
      secrets_(hkdf_.ExpandKey("meridian cluster secrets 1")) {}

absl::StatusOr<std::string> ClusterKey::CreateWrapped(Kms& kms, ClusterId cluster, Random& random) {
  const absl::Status created = kms.CreateKey(kRootName);
  if (!created.ok() && !absl::IsAlreadyExists(created)) return created;
  return kms.Wrap(kRootName, WrapContext(cluster), SecretKey::Draw(random));
}

absl::StatusOr<SecretKey> ClusterKey::Unwrap(Kms& kms, ClusterId cluster,
                                             std::string_view wrapped) {
  return kms.Unwrap(kRootName, WrapContext(cluster), wrapped);
}

std::string ClusterKey::Seal(std::string_view store_key, std::string_view value,
                             Random& random) const {
  return values_.Seal(store_key, value, random);
}

absl::StatusOr<std::string> ClusterKey::Open(std::string_view store_key,
                                             std::string_view sealed) const {
  return values_.Open(store_key, sealed);
}

std::string ClusterKey::HashName(std::string_view scope, std::string_view name) const {
  return ToHex(names_.Compute(EncodeFields(scope, name)));
}

std::string ClusterKey::HashSecret(std::string_view secret) const {
  return secrets_.Compute(secret);
}

bool ClusterKey::VerifySecret(std::string_view secret, std::string_view hash) const {
  return secrets_.Verify(secret, hash);
}

}  // namespace meridian::crypto
