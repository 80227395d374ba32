// The bytes of a local keyring's file.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "crypto/sealing_key.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

// Written in plaintext at the file's start, and bound by the seal.
struct KeyringHeader {
  static constexpr size_t kSaltBytes = 32;
  static constexpr size_t kCheckBytes = 16;
  uint64_t scrypt_n = 0;
  std::string salt;
  // Derived from the passphrase: tells a wrong one from damage.
  std::string check;
};

struct KeyringEntry {
  // A destroyed key's name stays, so that it is never used again; its bytes are zeros (I11).
  bool destroyed = false;
  SecretKey key;
};

// By name.
using KeyringEntries = std::map<std::string, KeyringEntry, std::less<>>;

// The keys that a passphrase gives: what seals the entries, and the header's check value. Takes
// tens of milliseconds and 128 * 8 * scrypt_n bytes of memory by intent. INVALID_ARGUMENT: scrypt_n
// is not a power of two in [2^10, 2^20].
struct PassphraseKeys {
  SecretKey sealing_key;
  std::string check;
};
absl::StatusOr<PassphraseKeys> DerivePassphraseKeys(std::string_view passphrase,
                                                    std::string_view salt, uint64_t scrypt_n);

std::string EncodeKeyringFile(const KeyringHeader& header, const SealingKey& sealing_key,
                              const KeyringEntries& entries, Random& random);

// DATA_LOSS: damaged. FAILED_PRECONDITION: of a newer version.
absl::StatusOr<KeyringHeader> DecodeKeyringHeader(std::string_view file);
absl::StatusOr<KeyringEntries> DecodeKeyringEntries(std::string_view file,
                                                    const SealingKey& sealing_key);

}  // namespace meridian::crypto
