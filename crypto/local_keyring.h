// A KMS in a file: every key sealed under a passphrase.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "crypto/kms.h"

namespace meridian {
class Random;
}

namespace meridian::crypto {

// The passphrase: the content of a file (one trailing newline is dropped; refused if others than
// its owner may read it), or of an environment variable. INVALID_ARGUMENT if it is empty.
absl::StatusOr<std::string> PassphraseFromFile(const std::string& path);
absl::StatusOr<std::string> PassphraseFromEnvironment(const char* variable);
// Writes 256 random bits in hex to a new file that only its owner can read. ALREADY_EXISTS.
absl::Status WriteNewPassphraseFile(const std::string& path, Random& random);

// The file is replaced as a whole and durably at each change. One process uses it at a time, or any
// number that change nothing.
class LocalKeyring {
 public:
  // Of the key derivation (scrypt N, a power of two; r = 8, p = 1). Tests take less.
  static constexpr uint64_t kDefaultScryptN = 1 << 15;

  // A new file with no keys. ALREADY_EXISTS.
  static absl::Status Create(const std::string& path, std::string_view passphrase, Random& random,
                             uint64_t scrypt_n = kDefaultScryptN);
  // NOT_FOUND: no such file. PERMISSION_DENIED: a wrong passphrase. DATA_LOSS: the file is damaged.
  // FAILED_PRECONDITION: of a newer version.
  static absl::StatusOr<std::unique_ptr<Kms>> Open(const std::string& path,
                                                   std::string_view passphrase, Random& random);
};

}  // namespace meridian::crypto
