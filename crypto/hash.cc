#include "crypto/hash.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>

#include "base/check.h"
#include "crypto/internal/hmac_context.h"

namespace meridian::crypto {
namespace {

const EVP_MD* Sha256Algorithm() {
  static const EVP_MD* const algorithm = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  CHECK_INVARIANT(algorithm != nullptr, "OpenSSL has no SHA-256");
  return algorithm;
}

uint8_t* Out(std::string& s) { return reinterpret_cast<uint8_t*>(s.data()); }

}  // namespace

bool ConstantTimeEqual(std::string_view a, std::string_view b) {
  return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

std::string Sha256(std::string_view bytes) {
  std::string digest(kHashBytes, '\0');
  CHECK_INVARIANT(
      EVP_Digest(bytes.data(), bytes.size(), Out(digest), nullptr, Sha256Algorithm(), nullptr) == 1,
      "EVP_Digest");
  return digest;
}

Sha256Stream::Sha256Stream() : context_(EVP_MD_CTX_new()) {
  CHECK_INVARIANT(
      context_ != nullptr && EVP_DigestInit_ex2(context_, Sha256Algorithm(), nullptr) == 1,
      "EVP_DigestInit_ex2");
}

Sha256Stream::~Sha256Stream() { EVP_MD_CTX_free(context_); }

void Sha256Stream::Update(std::string_view bytes) {
  CHECK_INVARIANT(EVP_DigestUpdate(context_, bytes.data(), bytes.size()) == 1, "EVP_DigestUpdate");
}

std::string Sha256Stream::Finish() {
  std::string digest(kHashBytes, '\0');
  CHECK_INVARIANT(EVP_DigestFinal_ex(context_, Out(digest), nullptr) == 1, "EVP_DigestFinal_ex");
  CHECK_INVARIANT(EVP_DigestInit_ex2(context_, nullptr, nullptr) == 1, "EVP_DigestInit_ex2");
  return digest;
}

MacKey::MacKey(const SecretKey& key)
    : context_(std::make_unique<HmacContext>(HmacContext::Hash::kSha256, key.bytes())) {}

MacKey::~MacKey() = default;

std::string MacKey::Compute(std::string_view message) const {
  std::string mac(kHashBytes, '\0');
  absl::MutexLock lock(&mutex_);
  context_->Begin();
  context_->Update(message);
  context_->Final(Out(mac));
  return mac;
}

bool MacKey::Verify(std::string_view message, std::string_view mac) const {
  return ConstantTimeEqual(Compute(message), mac);
}

}  // namespace meridian::crypto
