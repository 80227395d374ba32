// Calls a CoordinationStore and waits for the answer.
#pragma once

#include <functional>
#include <future>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "coordination/coordination_store.h"

namespace meridian::coordination {

inline absl::StatusOr<std::optional<KeyValue>> BlockingGet(CoordinationStore& store,
                                                           std::string key) {
  std::promise<absl::StatusOr<std::optional<KeyValue>>> answer;
  store.Get(std::move(key), [&answer](auto result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<std::vector<KeyValue>> BlockingList(CoordinationStore& store,
                                                          std::string prefix) {
  std::promise<absl::StatusOr<std::vector<KeyValue>>> answer;
  store.List(std::move(prefix), [&answer](auto result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

inline absl::StatusOr<CommitResult> BlockingCommit(CoordinationStore& store,
                                                   Transaction transaction) {
  std::promise<absl::StatusOr<CommitResult>> answer;
  store.Commit(std::move(transaction),
               [&answer](auto result) { answer.set_value(std::move(result)); });
  return answer.get_future().get();
}

// Waits, by a watch, until `holds` of the row; UNAVAILABLE counts as not.
inline std::optional<KeyValue> AwaitKey(
    CoordinationStore& store, const std::string& key,
    const std::function<bool(const std::optional<KeyValue>&)>& holds) {
  absl::Mutex mutex;
  bool hinted = true;
  const auto watch = store.Watch(key, [&] {
    absl::MutexLock lock(&mutex);
    hinted = true;
  });
  while (true) {
    {
      // A store that is away for a while gives no hint of it.
      absl::MutexLock lock(&mutex);
      mutex.AwaitWithTimeout(absl::Condition(&hinted), absl::Seconds(1));
      hinted = false;
    }
    const auto row = BlockingGet(store, key);
    if (row.ok() && holds(*row)) return *row;
  }
}

inline KeyValue AwaitRow(CoordinationStore& store, const std::string& key) {
  return *AwaitKey(store, key, [](const auto& row) { return row.has_value(); });
}

inline KeyValue AwaitRow(CoordinationStore& store, const std::string& key,
                         const std::string& value) {
  return *AwaitKey(store, key,
                   [&value](const auto& row) { return row.has_value() && row->value == value; });
}

inline void AwaitAbsence(CoordinationStore& store, const std::string& key) {
  AwaitKey(store, key, [](const auto& row) { return !row.has_value(); });
}

}  // namespace meridian::coordination
