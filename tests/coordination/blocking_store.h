// Calls a CoordinationStore and waits for the answer.
#pragma once

#include <future>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
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

}  // namespace meridian::coordination
