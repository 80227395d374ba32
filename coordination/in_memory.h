// A CoordinationStore that lives and dies with its process: for tests and simulations.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "coordination/coordination_store.h"
#include "coordination/watch_registry.h"

namespace meridian::coordination {

// Every operation takes effect inside its call; its callback is posted to the executor.
// Thread-safe.
class InMemoryCoordinationStore final : public CoordinationStore {
 public:
  // `executor` outlives the store and every callback.
  explicit InMemoryCoordinationStore(Executor& executor);

  void Get(std::string key,
           std::function<void(absl::StatusOr<std::optional<KeyValue>>)> done) override;
  void List(std::string prefix,
            std::function<void(absl::StatusOr<std::vector<KeyValue>>)> done) override;
  void Commit(Transaction transaction,
              std::function<void(absl::StatusOr<CommitResult>)> done) override;
  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override;
  // The process does not outlive the store, so that the time does not matter.
  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override;

 private:
  class Announcement;

  // Unless it was written since `revision`.
  void Remove(const std::string& key, int64_t revision);
  absl::StatusOr<CommitResult> Apply(const Transaction& transaction);
  bool Holds(const Compare& compare) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  Executor& executor_;
  WatchRegistry watches_;
  absl::Mutex mutex_;
  std::map<std::string, KeyValue> rows_ ABSL_GUARDED_BY(mutex_);
  // Of the last transaction that wrote; every row's mod_revision is at or below it.
  int64_t revision_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace meridian::coordination
