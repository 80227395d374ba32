#include "coordination/in_memory.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "coordination/transaction.h"

namespace meridian::coordination {

class InMemoryCoordinationStore::Announcement final : public Presence {
 public:
  Announcement(InMemoryCoordinationStore& store, std::string key, int64_t revision)
      : store_(store), key_(std::move(key)), revision_(revision) {}
  ~Announcement() override { store_.Remove(key_, revision_); }

 private:
  InMemoryCoordinationStore& store_;
  const std::string key_;
  const int64_t revision_;
};

InMemoryCoordinationStore::InMemoryCoordinationStore(Executor& executor)
    : executor_(executor), watches_(executor) {}

void InMemoryCoordinationStore::Get(
    std::string key, std::function<void(absl::StatusOr<std::optional<KeyValue>>)> done) {
  std::optional<KeyValue> found;
  {
    absl::MutexLock lock(&mutex_);
    if (const auto row = rows_.find(key); row != rows_.end()) found = row->second;
  }
  executor_.Post([done = std::move(done), found = std::move(found)] { done(found); });
}

void InMemoryCoordinationStore::List(
    std::string prefix, std::function<void(absl::StatusOr<std::vector<KeyValue>>)> done) {
  std::vector<KeyValue> found;
  {
    absl::MutexLock lock(&mutex_);
    for (auto row = rows_.lower_bound(prefix); row != rows_.end() && row->first.starts_with(prefix);
         ++row) {
      found.push_back(row->second);
    }
  }
  executor_.Post([done = std::move(done), found = std::move(found)] { done(found); });
}

void InMemoryCoordinationStore::Commit(Transaction transaction,
                                       std::function<void(absl::StatusOr<CommitResult>)> done) {
  absl::StatusOr<CommitResult> result = Apply(transaction);
  const bool changed = result.ok() && result->succeeded;
  executor_.Post([done = std::move(done), result = std::move(result)] { done(result); });
  if (changed) watches_.Notify(transaction.writes);
}

std::unique_ptr<CoordinationStore::WatchHandle> InMemoryCoordinationStore::Watch(
    std::string prefix, std::function<void()> changed) {
  return watches_.Add(std::move(prefix), std::move(changed));
}

std::unique_ptr<CoordinationStore::Presence> InMemoryCoordinationStore::Announce(std::string key,
                                                                                 std::string value,
                                                                                 absl::Duration) {
  const Transaction write = {.writes = {{key, std::move(value)}}};
  const absl::StatusOr<CommitResult> written = Apply(write);
  CHECK_INVARIANT(written.ok(), "the key of an announcement is empty");
  watches_.Notify(write.writes);
  return std::make_unique<Announcement>(*this, std::move(key), written->revision);
}

void InMemoryCoordinationStore::Remove(const std::string& key, int64_t revision) {
  const Transaction removal = {.compares = {{key, revision}}, .writes = {{key, std::nullopt}}};
  const absl::StatusOr<CommitResult> removed = Apply(removal);
  if (removed.ok() && removed->succeeded) watches_.Notify(removal.writes);
}

absl::StatusOr<CommitResult> InMemoryCoordinationStore::Apply(const Transaction& transaction) {
  RETURN_IF_ERROR(Validate(transaction));
  absl::MutexLock lock(&mutex_);
  for (const Compare& compare : transaction.compares) {
    if (!Holds(compare)) return CommitResult{.succeeded = false, .revision = revision_};
  }
  if (!transaction.writes.empty()) ++revision_;
  for (const Write& write : transaction.writes) {
    if (write.value.has_value()) {
      rows_[write.key] = {.key = write.key, .value = *write.value, .mod_revision = revision_};
    } else {
      rows_.erase(write.key);
    }
  }
  return CommitResult{.succeeded = true, .revision = revision_};
}

bool InMemoryCoordinationStore::Holds(const Compare& compare) const {
  const auto row = rows_.find(compare.key);
  return (row == rows_.end() ? 0 : row->second.mod_revision) == compare.mod_revision;
}

}  // namespace meridian::coordination
