#include "crypto/keyring_file.h"

#include <openssl/evp.h>

#include <array>

#include "base/crc32c.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/hkdf.h"
#include "crypto/internal/encoding.h"

// file    = header, sealed entries           as SealingKey seals, its context: the header
// header  = "MRDNKEYS"(8), version(4) = 1, scrypt N(8), salt(32), check(16), CRC-32C of these(4)
// entries = entry*
// entry   = name length(1), name, state(1): 1 active, 2 destroyed; key(32)
// Integers are big endian. scrypt: r = 8, p = 1, 32 bytes S.
// sealing key = HKDF-Expand(Extract(S), "meridian keyring seal 1")
// check       = HKDF-Expand(Extract(S), "meridian keyring check 1"), 16 bytes

namespace meridian::crypto {
namespace {

constexpr std::string_view kMagic = "MRDNKEYS";
constexpr uint32_t kVersion = 1;
constexpr size_t kVersionAt = 8, kScryptAt = 12, kSaltAt = 20;
constexpr size_t kCheckAt = kSaltAt + KeyringHeader::kSaltBytes;
constexpr size_t kCrcAt = kCheckAt + KeyringHeader::kCheckBytes;
constexpr size_t kHeaderBytes = kCrcAt + 4;

constexpr char kActive = 1, kDestroyed = 2;

absl::Status Damaged() { return absl::DataLossError("the keyring file is damaged"); }

uint64_t ReadUnsigned(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

std::string EncodeHeader(const KeyringHeader& header) {
  std::string out(kMagic);
  AppendU32(out, kVersion);
  AppendU64(out, header.scrypt_n);
  out.append(header.salt).append(header.check);
  AppendU32(out, Crc32c(out));
  return out;
}

}  // namespace

absl::StatusOr<PassphraseKeys> DerivePassphraseKeys(std::string_view passphrase,
                                                    std::string_view salt, uint64_t scrypt_n) {
  if (scrypt_n < 1 << 10 || scrypt_n > 1 << 20 || (scrypt_n & (scrypt_n - 1)) != 0) {
    return absl::InvalidArgumentError("scrypt's N must be a power of two from 1024 to 1048576");
  }
  constexpr uint64_t kBlockSize = 8, kParallelism = 1;
  const uint64_t max_memory = 128 * kBlockSize * scrypt_n + (1 << 20);
  std::array<uint8_t, SecretKey::kSize> bytes;
  if (EVP_PBE_scrypt(passphrase.data(), passphrase.size(),
                     reinterpret_cast<const uint8_t*>(salt.data()), salt.size(), scrypt_n,
                     kBlockSize, kParallelism, max_memory, bytes.data(), bytes.size()) != 1) {
    return absl::ResourceExhaustedError("no memory to derive the keyring's key by scrypt");
  }
  const Hkdf hkdf(std::string_view(reinterpret_cast<const char*>(bytes.data()), bytes.size()), "");
  SecureZero(bytes.data(), bytes.size());
  PassphraseKeys keys{hkdf.ExpandKey("meridian keyring seal 1"),
                      std::string(KeyringHeader::kCheckBytes, '\0')};
  hkdf.Expand("meridian keyring check 1",
              {reinterpret_cast<uint8_t*>(keys.check.data()), keys.check.size()});
  return keys;
}

std::string EncodeKeyringFile(const KeyringHeader& header, const SealingKey& sealing_key,
                              const KeyringEntries& entries, Random& random) {
  std::string file = EncodeHeader(header);
  std::string plaintext;
  // Not grown below: growing would leave copies of the keys behind.
  plaintext.reserve(entries.size() * (1 + 128 + 1 + SecretKey::kSize));
  for (const auto& [name, entry] : entries) {
    plaintext.push_back(static_cast<char>(name.size()));
    plaintext.append(name);
    plaintext.push_back(entry.destroyed ? kDestroyed : kActive);
    plaintext.append(entry.key.bytes());
  }
  file.append(sealing_key.Seal(file, plaintext, random));
  SecureZero(plaintext);
  return file;
}

absl::StatusOr<KeyringHeader> DecodeKeyringHeader(std::string_view file) {
  if (file.size() < kHeaderBytes || !file.starts_with(kMagic)) return Damaged();
  if (ReadUnsigned(file.substr(kCrcAt, 4)) != Crc32c(file.substr(0, kCrcAt))) return Damaged();
  if (ReadUnsigned(file.substr(kVersionAt, 4)) != kVersion) {
    return absl::FailedPreconditionError("the keyring file is of a newer version");
  }
  KeyringHeader header;
  header.scrypt_n = ReadUnsigned(file.substr(kScryptAt, 8));
  header.salt = file.substr(kSaltAt, KeyringHeader::kSaltBytes);
  header.check = file.substr(kCheckAt, KeyringHeader::kCheckBytes);
  return header;
}

absl::StatusOr<KeyringEntries> DecodeKeyringEntries(std::string_view file,
                                                    const SealingKey& sealing_key) {
  absl::StatusOr<std::string> opened =
      sealing_key.Open(file.substr(0, kHeaderBytes), file.substr(kHeaderBytes));
  if (!opened.ok()) return Damaged();
  KeyringEntries entries;
  std::string_view rest = *opened;
  while (!rest.empty()) {
    const size_t name_bytes = static_cast<uint8_t>(rest[0]);
    if (rest.size() < 1 + name_bytes + 1 + SecretKey::kSize) return Damaged();
    const char state = rest[1 + name_bytes];
    if (state != kActive && state != kDestroyed) return Damaged();
    auto key = SecretKey::FromBytes(rest.substr(1 + name_bytes + 1, SecretKey::kSize));
    entries.emplace(rest.substr(1, name_bytes), KeyringEntry{state == kDestroyed, *std::move(key)});
    rest.remove_prefix(1 + name_bytes + 1 + SecretKey::kSize);
  }
  SecureZero(*opened);
  return entries;
}

}  // namespace meridian::crypto
