#include "crypto/local_keyring.h"

#include <array>
#include <cstdlib>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/hash.h"
#include "crypto/internal/encoding.h"
#include "crypto/internal/file_util.h"
#include "crypto/key_name.h"
#include "crypto/keyring_file.h"
#include "crypto/sealing_key.h"

namespace meridian::crypto {
namespace {

constexpr size_t kMaxPassphraseBytes = 4096;
constexpr size_t kMaxFileBytes = 64 << 20;

std::string WrapContext(std::string_view name, std::string_view context) {
  return EncodeFields("local keyring 1", name, context);
}

class Keyring : public Kms {
 public:
  Keyring(std::string path, KeyringHeader header, const SecretKey& sealing_key,
          KeyringEntries entries, Random& random)
      : path_(std::move(path)),
        header_(std::move(header)),
        sealing_key_(sealing_key),
        random_(random),
        entries_(std::move(entries)) {}

  absl::Status CreateKey(std::string_view name) override {
    if (!IsKeyName(name)) {
      return absl::InvalidArgumentError("a key's name is 1-128 characters of [a-z0-9/-]");
    }
    absl::MutexLock lock(&mutex_);
    if (const auto it = entries_.find(name); it != entries_.end()) {
      return it->second.destroyed ? absl::FailedPreconditionError("the key was destroyed")
                                  : absl::AlreadyExistsError("the key exists");
    }
    KeyringEntries changed = entries_;
    changed.emplace(name, KeyringEntry{false, SecretKey::Draw(random_)});
    return Replace(std::move(changed));
  }

  absl::StatusOr<std::string> Wrap(std::string_view name, std::string_view context,
                                   const SecretKey& key) override {
    ASSIGN_OR_RETURN(const SecretKey root, Find(name));
    return SealingKey(root).WrapKey(WrapContext(name, context), key, random_);
  }

  absl::StatusOr<SecretKey> Unwrap(std::string_view name, std::string_view context,
                                   std::string_view wrapped) override {
    ASSIGN_OR_RETURN(const SecretKey root, Find(name));
    return SealingKey(root).UnwrapKey(WrapContext(name, context), wrapped);
  }

  absl::Status DestroyKey(std::string_view name) override {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(name);
    if (it == entries_.end()) return absl::NotFoundError("the keyring has no such key");
    if (it->second.destroyed) return absl::OkStatus();
    KeyringEntries changed = entries_;
    changed.find(name)->second = KeyringEntry{true, SecretKey::Zero()};
    return Replace(std::move(changed));
  }

 private:
  absl::StatusOr<SecretKey> Find(std::string_view name) {
    absl::MutexLock lock(&mutex_);
    const auto it = entries_.find(name);
    if (it == entries_.end() || it->second.destroyed) {
      return absl::NotFoundError("the keyring has no such key, or it was destroyed");
    }
    return it->second.key;
  }

  // Durable first: a key that is used is one that a restart finds.
  absl::Status Replace(KeyringEntries changed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    RETURN_IF_ERROR(WriteFileAtomically(
        path_, EncodeKeyringFile(header_, sealing_key_, changed, random_), WriteFileOptions{}));
    entries_ = std::move(changed);
    return absl::OkStatus();
  }

  const std::string path_;
  const KeyringHeader header_;
  const SealingKey sealing_key_;
  Random& random_;
  absl::Mutex mutex_;
  // What the file holds.
  KeyringEntries entries_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::string> CheckedPassphrase(std::string passphrase, const std::string& source) {
  if (passphrase.empty())
    return absl::InvalidArgumentError("the passphrase in " + source + " is empty");
  return passphrase;
}

}  // namespace

absl::StatusOr<std::string> PassphraseFromFile(const std::string& path) {
  ASSIGN_OR_RETURN(const bool readable_by_others, IsReadableByOthers(path));
  if (readable_by_others) {
    return absl::InvalidArgumentError("others than its owner may read " + path +
                                      ": run chmod 600 on it");
  }
  ASSIGN_OR_RETURN(std::string passphrase, ReadSmallFile(path, kMaxPassphraseBytes));
  if (passphrase.ends_with('\n')) passphrase.pop_back();
  return CheckedPassphrase(std::move(passphrase), path);
}

absl::StatusOr<std::string> PassphraseFromEnvironment(const char* variable) {
  // Read once at start, before any thread could change the environment.
  const char* const value = std::getenv(variable);  // NOLINT(concurrency-mt-unsafe)
  if (value == nullptr) {
    return absl::NotFoundError(std::string("the environment variable ") + variable + " is not set");
  }
  return CheckedPassphrase(value, std::string("the environment variable ") + variable);
}

absl::Status WriteNewPassphraseFile(const std::string& path, Random& random) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::array<uint8_t, 32> bytes;
  random.Fill(bytes);
  std::string text;
  text.reserve(2 * bytes.size() + 1);
  for (const uint8_t byte : bytes) {
    text.push_back(kDigits[byte >> 4]);
    text.push_back(kDigits[byte & 15]);
  }
  text.push_back('\n');
  const absl::Status status =
      WriteFileAtomically(path, text, {.secret = true, .must_be_new = true});
  SecureZero(text);
  SecureZero(bytes.data(), bytes.size());
  return status;
}

absl::Status LocalKeyring::Create(const std::string& path, std::string_view passphrase,
                                  Random& random, uint64_t scrypt_n) {
  KeyringHeader header;
  header.scrypt_n = scrypt_n;
  header.salt.resize(KeyringHeader::kSaltBytes);
  random.Fill({reinterpret_cast<uint8_t*>(header.salt.data()), header.salt.size()});
  ASSIGN_OR_RETURN(const PassphraseKeys keys,
                   DerivePassphraseKeys(passphrase, header.salt, scrypt_n));
  header.check = keys.check;
  return WriteFileAtomically(path,
                             EncodeKeyringFile(header, SealingKey(keys.sealing_key), {}, random),
                             {.secret = true, .must_be_new = true});
}

absl::StatusOr<std::unique_ptr<Kms>> LocalKeyring::Open(const std::string& path,
                                                        std::string_view passphrase,
                                                        Random& random) {
  ASSIGN_OR_RETURN(const std::string file, ReadSmallFile(path, kMaxFileBytes));
  absl::StatusOr<KeyringHeader> header = DecodeKeyringHeader(file);
  if (!header.ok()) return Annotate(header.status(), path);
  absl::StatusOr<PassphraseKeys> keys =
      DerivePassphraseKeys(passphrase, header->salt, header->scrypt_n);
  if (!keys.ok()) return Annotate(keys.status(), path);
  if (!ConstantTimeEqual(keys->check, header->check)) {
    return absl::PermissionDeniedError("the passphrase does not open the keyring " + path);
  }
  absl::StatusOr<KeyringEntries> entries =
      DecodeKeyringEntries(file, SealingKey(keys->sealing_key));
  if (!entries.ok()) return Annotate(entries.status(), path);
  return std::make_unique<Keyring>(path, *std::move(header), keys->sealing_key, *std::move(entries),
                                   random);
}

}  // namespace meridian::crypto
