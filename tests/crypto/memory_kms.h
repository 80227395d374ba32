// A Kms in memory that can be cut off. The conformance test of Kms holds it and the local keyring.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/kms.h"
#include "crypto/sealing_key.h"

namespace meridian::crypto {

class MemoryKms : public Kms {
 public:
  explicit MemoryKms(Random& random) : random_(random) {}

  void set_reachable(bool reachable) {
    absl::MutexLock lock(&mutex_);
    reachable_ = reachable;
  }
  // Runs once, while an Unwrap is under way that will succeed.
  std::function<void()> during_unwrap;
  // Calls of Unwrap so far.
  int unwraps() const {
    absl::MutexLock lock(&mutex_);
    return unwraps_;
  }

  absl::Status CreateKey(std::string_view name) override {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Reach());
    if (name.empty() || name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789/-") !=
                            std::string_view::npos) {
      return absl::InvalidArgumentError("not a key's name");
    }
    if (const auto it = keys_.find(name); it != keys_.end()) {
      return it->second.destroyed ? absl::FailedPreconditionError("destroyed")
                                  : absl::AlreadyExistsError("exists");
    }
    keys_.emplace(name, Key{SecretKey::Draw(random_), false});
    return absl::OkStatus();
  }

  absl::StatusOr<std::string> Wrap(std::string_view name, std::string_view context,
                                   const SecretKey& key) override {
    absl::MutexLock lock(&mutex_);
    ASSIGN_OR_RETURN(const SecretKey root, Find(name));
    return SealingKey(root).WrapKey(context, key, random_);
  }

  absl::StatusOr<SecretKey> Unwrap(std::string_view name, std::string_view context,
                                   std::string_view wrapped) override {
    const absl::StatusOr<SecretKey> root = [&] {
      absl::MutexLock lock(&mutex_);
      ++unwraps_;
      return Find(name);
    }();
    if (auto hook = std::exchange(during_unwrap, nullptr)) hook();
    RETURN_IF_ERROR(root.status());
    return SealingKey(*root).UnwrapKey(context, wrapped);
  }

  absl::Status DestroyKey(std::string_view name) override {
    absl::MutexLock lock(&mutex_);
    RETURN_IF_ERROR(Reach());
    const auto it = keys_.find(name);
    if (it == keys_.end()) return absl::NotFoundError("no such key");
    it->second = Key{SecretKey::Zero(), true};
    return absl::OkStatus();
  }

 private:
  struct Key {
    SecretKey key;
    bool destroyed;
  };

  absl::Status Reach() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return reachable_ ? absl::OkStatus() : absl::UnavailableError("the KMS is away");
  }
  absl::StatusOr<SecretKey> Find(std::string_view name) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    RETURN_IF_ERROR(Reach());
    const auto it = keys_.find(name);
    if (it == keys_.end() || it->second.destroyed) return absl::NotFoundError("no such key");
    return it->second.key;
  }

  Random& random_;
  mutable absl::Mutex mutex_;
  bool reachable_ ABSL_GUARDED_BY(mutex_) = true;
  int unwraps_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<std::string, Key, std::less<>> keys_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::crypto
