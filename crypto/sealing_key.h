// Seals any number of small values under one key.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "crypto/hkdf.h"
#include "crypto/secret_key.h"

namespace meridian {
class Random;
}

namespace meridian::crypto {

// AES-256-GCM with a nonce of 24 random bytes: the first half derives a key, the second is GCM's
// nonce (as XAES-256-GCM does), so that no count of values is worth counting. Thread-safe.
class SealingKey {
 public:
  static constexpr size_t kOverheadBytes = 1 + 24 + 16;

  explicit SealingKey(const SecretKey& key);

  // `context` is what the value belongs to (what it is, and of which id); it is bound, not stored.
  std::string Seal(std::string_view context, std::string_view value, Random& random) const;
  // DATA_LOSS if `sealed` was not made by Seal with this key and context; the message names
  // neither.
  absl::StatusOr<std::string> Open(std::string_view context, std::string_view sealed) const;

  // The same for keys.
  std::string WrapKey(std::string_view context, const SecretKey& key, Random& random) const;
  absl::StatusOr<SecretKey> UnwrapKey(std::string_view context, std::string_view wrapped) const;

 private:
  const Hkdf hkdf_;
};

}  // namespace meridian::crypto
