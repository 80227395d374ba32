// What the conformance suites of the CoordinationStores have in common.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "coordination/coordination_store.h"
#include "gtest/gtest.h"
#include "tests/coordination/blocking_store.h"

namespace meridian::coordination {

// A store that holds nothing and can be reached, and what it lives on.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual CoordinationStore& store() = 0;
};

template <typename SubjectType>
class StoreConformance : public testing::Test {
 protected:
  CoordinationStore& store() { return subject_.store(); }

  absl::StatusOr<std::optional<KeyValue>> Get(std::string key) {
    return BlockingGet(store(), std::move(key));
  }
  absl::StatusOr<CommitResult> Commit(Transaction transaction) {
    return BlockingCommit(store(), std::move(transaction));
  }
  int64_t Put(std::string key, std::string value) {
    const auto result = Commit({.writes = {{std::move(key), std::move(value)}}});
    EXPECT_TRUE(result.ok() && result->succeeded) << result.status();
    return result.ok() ? result->revision : -1;
  }
  std::vector<std::string> ListKeys(std::string prefix) {
    std::vector<std::string> keys;
    const auto rows = BlockingList(store(), std::move(prefix));
    EXPECT_TRUE(rows.ok()) << rows.status();
    for (const KeyValue& row : *rows) keys.push_back(row.key);
    return keys;
  }

 private:
  SubjectType subject_;
};

}  // namespace meridian::coordination
