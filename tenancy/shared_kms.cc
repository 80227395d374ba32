#include "tenancy/shared_kms.h"

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
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
// Between attempts to learn what a change has left of the known keys.
constexpr absl::Duration kReviewRetry = absl::Seconds(1);
// Of a key that changes are told of while it is read.
constexpr int kMaxReads = 3;
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

// What was read of keys, and whether it may have changed since: a row changes only by the key's
// destruction. Thread-safe.
class KeyCache {
 public:
  struct Cached {
    SecretKey key;
    bool current;  // no change of any key was told of since it was read
  };
  // The revisions of rows that are there.
  using Revisions = std::map<std::string, int64_t, std::less<>>;

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
  // `read_at`: changes() before it was read. False, and without effect, if a change was told of
  // since: it may be this key's destruction.
  bool Put(std::string_view name, const SecretKey& key, int64_t revision, uint64_t read_at) {
    absl::MutexLock lock(&mutex_);
    if (read_at != changes_) return false;
    if (keys_.size() >= kMaxCachedKeys) keys_.erase(keys_.begin());
    keys_.insert_or_assign(std::string(name), Entry{key, revision, read_at});
    return true;
  }
  // It is gone from the store. Nothing that was read before is put here afterwards.
  void Erase(std::string_view name) {
    absl::MutexLock lock(&mutex_);
    ++changes_;
    if (const auto it = keys_.find(name); it != keys_.end()) keys_.erase(it);
  }

  bool AllCurrent() const {
    absl::MutexLock lock(&mutex_);
    return std::all_of(keys_.begin(), keys_.end(), [this](const auto& entry) {
      mutex_.AssertReaderHeld();
      return entry.second.read_at == changes_;
    });
  }
  // All that there is, and changes() before that was read. Forgets the keys that are gone.
  void Review(const Revisions& rows, uint64_t read_at) {
    absl::MutexLock lock(&mutex_);
    for (auto it = keys_.begin(); it != keys_.end();) {
      Entry& entry = it->second;
      const auto row = rows.find(it->first);
      if (entry.read_at >= read_at) {
        ++it;
      } else if (row == rows.end() || row->second != entry.revision) {
        it = keys_.erase(it);
      } else {
        entry.read_at = read_at;
        ++it;
      }
    }
  }

 private:
  struct Entry {
    SecretKey key;
    int64_t revision;
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
        watch_(store.Watch(kPrefix, [this] { OnChange(); })) {}

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
      ASSIGN_OR_RETURN(const std::string wrapped, Decode(found->value));
      absl::StatusOr<bool> destroyed = wrapped.empty();
      if (!*destroyed) {
        destroyed = Commit({{{found->key, found->mod_revision}}, {{found->key, Encode("")}}});
      }
      // What became of it is not known: the keys that are known here are looked at again.
      if (!destroyed.ok()) OnChange();
      RETURN_IF_ERROR(destroyed.status());
      if (*destroyed) {
        cache_.Erase(name);
        return absl::OkStatus();
      }
      // It was written in between, which only another's destruction does.
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
    for (int reads = 1;; ++reads) {
      const std::optional<KeyCache::Cached> cached = cache_.Find(name);
      if (cached && cached->current) return cached->key;
      const uint64_t read_at = cache_.changes();
      absl::StatusOr<std::optional<KeyValue>> found =
          Read(name, cached ? kRecheckTimeout : kTimeout);
      if (absl::IsUnavailable(found.status()) && cached) return cached->key;
      RETURN_IF_ERROR(found.status());
      if (!*found) return Missing();
      ASSIGN_OR_RETURN(const std::string wrapped, Decode((*found)->value));
      if (wrapped.empty()) {
        cache_.Erase(name);
        return Missing();
      }
      ASSIGN_OR_RETURN(const SecretKey key, Open(name, wrapped));
      if (cache_.Put(name, key, (*found)->mod_revision, read_at) || reads == kMaxReads) return key;
    }
  }

  absl::StatusOr<SecretKey> Open(std::string_view name, std::string_view wrapped) {
    absl::StatusOr<SecretKey> key = root_.Unwrap(kSharedKmsRoot, RootContext(name), wrapped);
    if (absl::IsDataLoss(key.status())) {
      return absl::DataLossError(
          "a key in the coordination store was not wrapped by this keyring's root key: the keyring "
          "is another cluster's, or the store's value is damaged");
    }
    if (!key.ok()) return RootError(key.status());
    return key;
  }

  // Keys may have been destroyed. What they were is not kept until somebody asks for them.
  void OnChange() {
    cache_.Invalidate();
    ReviewAfter(absl::ZeroDuration());
  }

  void ReviewAfter(absl::Duration delay) {
    if (review_is_due_.exchange(true)) return;
    reviewer_->PostAfter(delay, [this] { Review(); });
  }

  void Review() {
    review_is_due_ = false;
    if (cache_.AllCurrent()) return;
    const uint64_t read_at = cache_.changes();
    const absl::StatusOr<std::vector<KeyValue>> rows = Await<std::vector<KeyValue>>(
        kTimeout, [&](auto done) { store_.List(kPrefix, std::move(done)); });
    if (!rows.ok()) return ReviewAfter(kReviewRetry);
    KeyCache::Revisions revisions;
    for (const KeyValue& row : *rows) {
      revisions.emplace(row.key.substr(sizeof(kPrefix) - 1), row.mod_revision);
    }
    cache_.Review(revisions, read_at);
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
  KeyCache cache_;
  std::atomic<bool> review_is_due_{false};
  const std::unique_ptr<Executor> reviewer_ = MakeThreadExecutor("kms-review");
  // Goes first: it uses all of the above.
  const std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
};

}  // namespace

std::unique_ptr<crypto::Kms> MakeSharedKms(crypto::Kms& root,
                                           coordination::CoordinationStore& store, Random& random) {
  return std::make_unique<SharedKms>(root, store, random);
}

}  // namespace meridian::tenancy
