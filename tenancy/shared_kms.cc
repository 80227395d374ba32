#include "tenancy/shared_kms.h"

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/status.h"
#include "crypto/key_name.h"
#include "crypto/sealing_key.h"
#include "meridian/internal/v1/catalog.pb.h"
#include "tenancy/await.h"

namespace meridian::tenancy {
namespace {

using coordination::CommitResult;
using coordination::KeyValue;
using crypto::SecretKey;

constexpr char kPrefix[] = "kms/";
constexpr uint32_t kFormatVersion = 1;
constexpr absl::Duration kTimeout = absl::Seconds(5);
// Of a question whether a known key still holds.
constexpr absl::Duration kRecheckTimeout = absl::Seconds(1);
// Beyond, one is forgotten for each new one: a key a tenant, a hundred bytes each.
constexpr size_t kMaxCachedKeys = 1 << 16;

std::string StoreKey(std::string_view name) { return std::string(kPrefix).append(name); }

// Names hold no space: no two (name, context) have the same bytes.
std::string RootContext(std::string_view name) {
  return std::string("shared kms key 1 ").append(name);
}
std::string WrapContext(std::string_view name, std::string_view context) {
  return std::string("shared kms 1 ").append(name).append(" ").append(context);
}

std::string Encode(std::string wrapped_key) {
  internal::v1::KmsKeyRecord record;
  record.set_format_version(kFormatVersion);
  record.set_wrapped_key(std::move(wrapped_key));
  return record.SerializeAsString();
}

// The wrapped key; empty if it was destroyed.
absl::StatusOr<std::string> Decode(std::string_view encoded) {
  internal::v1::KmsKeyRecord record;
  if (!record.ParseFromArray(encoded.data(), static_cast<int>(encoded.size())) ||
      record.format_version() == 0) {
    return absl::DataLossError("a record of a key of the KMS is damaged");
  }
  if (record.format_version() > kFormatVersion) {
    return absl::FailedPreconditionError("a record of a key of the KMS is of a newer version");
  }
  return std::move(*record.mutable_wrapped_key());
}

absl::Status Missing() {
  return absl::NotFoundError("the KMS has no such key, or it was destroyed");
}

// What was read of keys, and whether it may have changed since. Thread-safe; shared with the
// store's watch.
class KeyCache {
 public:
  struct Cached {
    SecretKey key;
    bool current;  // no change of any key was told of since it was read
  };

  void Invalidate() {
    absl::MutexLock lock(&mutex_);
    ++changes_;
  }
  uint64_t changes() const {
    absl::MutexLock lock(&mutex_);
    return changes_;
  }
  std::optional<Cached> Find(std::string_view name) const {
    absl::MutexLock lock(&mutex_);
    const auto it = keys_.find(name);
    if (it == keys_.end()) return std::nullopt;
    return Cached{it->second.key, it->second.read_at == changes_};
  }
  // `read_at`: changes() before it was read.
  void Put(std::string_view name, const SecretKey& key, uint64_t read_at) {
    absl::MutexLock lock(&mutex_);
    if (keys_.size() >= kMaxCachedKeys) keys_.erase(keys_.begin());
    keys_.insert_or_assign(std::string(name), Entry{key, read_at});
  }
  void Erase(std::string_view name) {
    absl::MutexLock lock(&mutex_);
    if (const auto it = keys_.find(name); it != keys_.end()) keys_.erase(it);
  }

 private:
  struct Entry {
    SecretKey key;
    uint64_t read_at;
  };
  mutable absl::Mutex mutex_;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Entry, std::less<>> keys_ ABSL_GUARDED_BY(mutex_);
};

class SharedKms final : public crypto::Kms {
 public:
  SharedKms(crypto::Kms& root, coordination::CoordinationStore& store, Random& random)
      : root_(root),
        store_(store),
        random_(random),
        watch_(store.Watch(kPrefix, [cache = cache_] { cache->Invalidate(); })) {}

  absl::Status CreateKey(std::string_view name) override {
    if (!crypto::IsKeyName(name)) {
      return absl::InvalidArgumentError("a key's name is 1-128 characters of [a-z0-9/-]");
    }
    ASSIGN_OR_RETURN(const std::string record, NewRecord(name));
    const std::string key = StoreKey(name);
    const absl::StatusOr<bool> written = Commit({{{key, 0}}, {{key, record}}});
    if (written.ok() && *written) return absl::OkStatus();
    // Taken, or the answer was lost: what is there tells.
    ASSIGN_OR_RETURN(const std::optional<KeyValue> found, Read(name, kTimeout));
    if (!found) {
      return written.ok() ? absl::UnavailableError("keys change too fast; try again")
                          : written.status();
    }
    if (found->value == record) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::string wrapped, Decode(found->value));
    return wrapped.empty() ? absl::FailedPreconditionError("the key was destroyed")
                           : absl::AlreadyExistsError("the key exists");
  }

  absl::StatusOr<std::string> Wrap(std::string_view name, std::string_view context,
                                   const SecretKey& key) override {
    ASSIGN_OR_RETURN(const SecretKey wrapping, Find(name));
    return crypto::SealingKey(wrapping).WrapKey(WrapContext(name, context), key, random_);
  }

  absl::StatusOr<SecretKey> Unwrap(std::string_view name, std::string_view context,
                                   std::string_view wrapped) override {
    ASSIGN_OR_RETURN(const SecretKey wrapping, Find(name));
    return crypto::SealingKey(wrapping).UnwrapKey(WrapContext(name, context), wrapped);
  }

  absl::Status DestroyKey(std::string_view name) override {
    for (;;) {
      ASSIGN_OR_RETURN(const std::optional<KeyValue> found, Read(name, kTimeout));
      if (!found) return absl::NotFoundError("the KMS has no such key");
      cache_->Erase(name);
      ASSIGN_OR_RETURN(const std::string wrapped, Decode(found->value));
      if (wrapped.empty()) return absl::OkStatus();
      ASSIGN_OR_RETURN(const bool destroyed,
                       Commit({{{found->key, found->mod_revision}}, {{found->key, Encode("")}}}));
      // Else it was written in between, which only another's destruction does.
      if (destroyed) return absl::OkStatus();
    }
  }

 private:
  absl::StatusOr<std::string> NewRecord(std::string_view name) {
    absl::StatusOr<std::string> wrapped =
        root_.Wrap(kSharedKmsRoot, RootContext(name), SecretKey::Draw(random_));
    if (!wrapped.ok()) return RootError(wrapped.status());
    return Encode(*std::move(wrapped));
  }

  static absl::Status RootError(const absl::Status& status) {
    if (!absl::IsNotFound(status)) return status;
    return absl::FailedPreconditionError(
        "the keyring has no key \"root\": make a keyring with `meridian keyring init`");
  }

  absl::StatusOr<SecretKey> Find(std::string_view name) {
    const std::optional<KeyCache::Cached> cached = cache_->Find(name);
    if (cached && cached->current) return cached->key;
    const uint64_t read_at = cache_->changes();
    absl::StatusOr<std::optional<KeyValue>> found = Read(name, cached ? kRecheckTimeout : kTimeout);
    if (absl::IsUnavailable(found.status()) && cached) return cached->key;
    RETURN_IF_ERROR(found.status());
    if (!*found) return Missing();
    ASSIGN_OR_RETURN(const std::string wrapped, Decode((*found)->value));
    if (wrapped.empty()) {
      cache_->Erase(name);
      return Missing();
    }
    absl::StatusOr<SecretKey> key = root_.Unwrap(kSharedKmsRoot, RootContext(name), wrapped);
    if (absl::IsDataLoss(key.status())) {
      return absl::DataLossError(
          "a key in the coordination store was not wrapped by this keyring's root key: the keyring "
          "is another cluster's, or the store's value is damaged");
    }
    if (!key.ok()) return RootError(key.status());
    cache_->Put(name, *key, read_at);
    return key;
  }

  absl::StatusOr<std::optional<KeyValue>> Read(std::string_view name, absl::Duration timeout) {
    return Await<std::optional<KeyValue>>(
        timeout, [&](auto done) { store_.Get(StoreKey(name), std::move(done)); });
  }

  // Whether the compares held.
  absl::StatusOr<bool> Commit(coordination::Transaction transaction) {
    ASSIGN_OR_RETURN(const CommitResult result, Await<CommitResult>(kTimeout, [&](auto done) {
                       store_.Commit(std::move(transaction), std::move(done));
                     }));
    return result.succeeded;
  }

  crypto::Kms& root_;
  coordination::CoordinationStore& store_;
  Random& random_;
  const std::shared_ptr<KeyCache> cache_ = std::make_shared<KeyCache>();
  const std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
};

}  // namespace

std::unique_ptr<crypto::Kms> MakeSharedKms(crypto::Kms& root,
                                           coordination::CoordinationStore& store, Random& random) {
  return std::make_unique<SharedKms>(root, store, random);
}

}  // namespace meridian::tenancy
