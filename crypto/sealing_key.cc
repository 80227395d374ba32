#include "crypto/sealing_key.h"

#include <array>

#include "base/random.h"
#include "base/status.h"
#include "crypto/aes_gcm.h"
#include "crypto/internal/encoding.h"

// sealed   = version(1) = 1, nonce(24), AES-256-GCM ciphertext, tag(16)
// key      = HKDF-Expand(this key, "meridian sealed value 1" nonce[0, 12))
// GCM nonce = nonce[12, 24)
// GCM aad  = version(1), context

namespace meridian::crypto {
namespace {

constexpr char kVersion = 1;
constexpr size_t kHalfNonceBytes = kNonceBytes;
constexpr size_t kHeaderBytes = 1 + 2 * kHalfNonceBytes;

SecretKey DeriveKey(const Hkdf& hkdf, std::string_view first_half) {
  return hkdf.ExpandKey(std::string("meridian sealed value 1").append(first_half));
}

std::string Aad(std::string_view context) { return std::string(1, kVersion).append(context); }

}  // namespace

SealingKey::SealingKey(const SecretKey& key) : hkdf_(key, "") {}

std::string SealingKey::Seal(std::string_view context, std::string_view value,
                             Random& random) const {
  std::string sealed(kOverheadBytes + value.size(), '\0');
  sealed[0] = kVersion;
  random.Fill({reinterpret_cast<uint8_t*>(sealed.data()) + 1, 2 * kHalfNonceBytes});
  const std::string_view nonce = std::string_view(sealed).substr(1, 2 * kHalfNonceBytes);
  const SecretKey key = DeriveKey(hkdf_, nonce.substr(0, kHalfNonceBytes));
  ThreadAesGcm(key)->Seal(nonce.substr(kHalfNonceBytes), Aad(context), value,
                          sealed.data() + kHeaderBytes);
  return sealed;
}

absl::StatusOr<std::string> SealingKey::Open(std::string_view context,
                                             std::string_view sealed) const {
  if (sealed.size() < kOverheadBytes || sealed[0] != kVersion) {
    return absl::DataLossError("not a sealed value of a known version");
  }
  const std::string_view nonce = sealed.substr(1, 2 * kHalfNonceBytes);
  const SecretKey key = DeriveKey(hkdf_, nonce.substr(0, kHalfNonceBytes));
  std::string value(sealed.size() - kOverheadBytes, '\0');
  RETURN_IF_ERROR(ThreadAesGcm(key)->Open(nonce.substr(kHalfNonceBytes), Aad(context),
                                          sealed.substr(kHeaderBytes), value.data()));
  return value;
}

std::string SealingKey::WrapKey(std::string_view context, const SecretKey& key,
                                Random& random) const {
  return Seal(context, key.bytes(), random);
}

absl::StatusOr<SecretKey> SealingKey::UnwrapKey(std::string_view context,
                                                std::string_view wrapped) const {
  ASSIGN_OR_RETURN(std::string bytes, Open(context, wrapped));
  auto key = SecretKey::FromBytes(bytes);
  SecureZero(bytes);
  if (!key) return absl::DataLossError("a wrapped key is not 32 bytes long");
  return *std::move(key);
}

}  // namespace meridian::crypto
