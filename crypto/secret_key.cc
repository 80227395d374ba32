#include "crypto/secret_key.h"

#include <openssl/crypto.h>

#include <algorithm>

#include "base/random.h"

namespace meridian::crypto {

void SecureZero(void* data, size_t size_bytes) { OPENSSL_cleanse(data, size_bytes); }

void SecureZero(std::string& secret) {
  SecureZero(secret.data(), secret.size());
  secret.clear();
}

SecretKey SecretKey::Draw(Random& random) {
  SecretKey key;
  random.Fill(key.bytes_);
  return key;
}

std::optional<SecretKey> SecretKey::FromBytes(std::string_view bytes) {
  if (bytes.size() != kSize) return std::nullopt;
  SecretKey key;
  std::copy(bytes.begin(), bytes.end(), key.bytes_.begin());
  return key;
}

SecretKey::SecretKey(SecretKey&& other) noexcept : bytes_(other.bytes_) {
  SecureZero(other.bytes_.data(), kSize);
}

SecretKey& SecretKey::operator=(SecretKey&& other) noexcept {
  if (this != &other) {
    bytes_ = other.bytes_;
    SecureZero(other.bytes_.data(), kSize);
  }
  return *this;
}

}  // namespace meridian::crypto
