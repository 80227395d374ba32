#include "crypto/aes_gcm.h"

#include <openssl/evp.h>

#include <climits>

#include "base/check.h"

namespace meridian::crypto {
namespace {

constexpr int kEncrypt = 1, kDecrypt = 0;

const EVP_CIPHER* Aes256Gcm() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-GCM", nullptr);
  CHECK_INVARIANT(cipher != nullptr, "OpenSSL has no AES-256-GCM");
  return cipher;
}

const uint8_t* Bytes(std::string_view s) { return reinterpret_cast<const uint8_t*>(s.data()); }
uint8_t* Bytes(char* s) { return reinterpret_cast<uint8_t*>(s); }

// Feeds `in`, to `out` or, if that is null, as additional data.
bool Update(EVP_CIPHER_CTX* context, uint8_t* out, std::string_view in) {
  if (in.empty()) return true;
  CHECK_INVARIANT(in.size() <= INT_MAX, "a message too long for one call");
  int size = 0;
  return EVP_CipherUpdate(context, out, &size, Bytes(in), static_cast<int>(in.size())) == 1 &&
         size == static_cast<int>(in.size());
}

void Begin(EVP_CIPHER_CTX* context, std::string_view nonce, std::string_view aad, int direction) {
  CHECK_INVARIANT(nonce.size() == kNonceBytes, "a GCM nonce of another size");
  CHECK_INVARIANT(
      EVP_CipherInit_ex(context, nullptr, nullptr, nullptr, Bytes(nonce), direction) == 1,
      "EVP_CipherInit_ex");
  CHECK_INVARIANT(Update(context, nullptr, aad), "EVP_CipherUpdate");
}

bool TagMatches(EVP_CIPHER_CTX* context, std::string_view tag) {
  uint8_t none;
  int size = 0;
  return EVP_CIPHER_CTX_ctrl(context, EVP_CTRL_AEAD_SET_TAG, kTagBytes,
                             const_cast<char*>(tag.data())) == 1 &&
         EVP_CipherFinal_ex(context, &none, &size) == 1;
}

}  // namespace

AesGcm::AesGcm(const SecretKey& key) : context_(EVP_CIPHER_CTX_new()) {
  CHECK_INVARIANT(context_ != nullptr, "out of memory for a cipher context");
  CHECK_INVARIANT(
      EVP_CipherInit_ex(context_, Aes256Gcm(), nullptr, nullptr, nullptr, kEncrypt) == 1,
      "EVP_CipherInit_ex");
  SetKey(key);
}

AesGcm::~AesGcm() { EVP_CIPHER_CTX_free(context_); }

void AesGcm::SetKey(const SecretKey& key) {
  CHECK_INVARIANT(
      EVP_CipherInit_ex(context_, nullptr, nullptr, Bytes(key.bytes()), nullptr, kEncrypt) == 1,
      "EVP_CipherInit_ex");
}

void AesGcm::Seal(std::string_view nonce, std::string_view aad, std::string_view plaintext,
                  char* out) {
  Seal(nonce, aad, std::span(&plaintext, 1), out);
}

void AesGcm::Seal(std::string_view nonce, std::string_view aad,
                  std::span<const std::string_view> plaintext, char* out) {
  Begin(context_, nonce, aad, kEncrypt);
  for (std::string_view piece : plaintext) {
    CHECK_INVARIANT(Update(context_, Bytes(out), piece), "EVP_CipherUpdate");
    out += piece.size();
  }
  int size = 0;
  CHECK_INVARIANT(EVP_CipherFinal_ex(context_, Bytes(out), &size) == 1, "EVP_CipherFinal_ex");
  CHECK_INVARIANT(EVP_CIPHER_CTX_ctrl(context_, EVP_CTRL_AEAD_GET_TAG, kTagBytes, out) == 1,
                  "EVP_CTRL_AEAD_GET_TAG");
}

absl::Status AesGcm::Open(std::string_view nonce, std::string_view aad, std::string_view sealed,
                          char* out) {
  if (sealed.size() < kTagBytes) return absl::DataLossError("sealed bytes are shorter than a tag");
  const size_t size = sealed.size() - kTagBytes;
  const std::string_view tag = sealed.substr(size);
  Begin(context_, nonce, aad, kDecrypt);
  if (Update(context_, Bytes(out), sealed.substr(0, size)) && TagMatches(context_, tag)) {
    return absl::OkStatus();
  }
  SecureZero(out, size);
  return absl::DataLossError("sealed bytes are not authentic");
}

namespace {

AesGcm& ThisThreadsCipher() {
  thread_local AesGcm cipher(SecretKey::Zero());
  return cipher;
}

}  // namespace

ThreadAesGcm::ThreadAesGcm(const SecretKey& key) : cipher_(ThisThreadsCipher()) {
  cipher_.SetKey(key);
}

ThreadAesGcm::~ThreadAesGcm() { cipher_.SetKey(SecretKey::Zero()); }

}  // namespace meridian::crypto
