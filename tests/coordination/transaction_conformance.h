// What every CoordinationStore does with reads and transactions, whatever it is made of.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/coordination/store_subject.h"

namespace meridian::coordination {

template <typename SubjectType>
class TransactionConformance : public StoreConformance<SubjectType> {};

TYPED_TEST_SUITE_P(TransactionConformance);

TYPED_TEST_P(TransactionConformance, AnswersAnAbsentKeyWithNothing) {
  const auto found = this->Get("missing");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->has_value());
}

TYPED_TEST_P(TransactionConformance, ReturnsWhatWasCommittedWithItsRevision) {
  const int64_t revision = this->Put("key", std::string("va\0lue", 6));
  EXPECT_GT(revision, 0);
  const auto found = this->Get("key");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->key, "key");
  EXPECT_EQ((*found)->value, std::string("va\0lue", 6));
  EXPECT_EQ((*found)->mod_revision, revision);
}

TYPED_TEST_P(TransactionConformance, TellsAnEmptyValueFromAnAbsentKey) {
  this->Put("key", "");
  const auto found = this->Get("key");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->value, "");
}

TYPED_TEST_P(TransactionConformance, GivesEveryTransactionThatWritesAHigherRevision) {
  const int64_t first = this->Put("a", "1");
  const int64_t second = this->Put("b", "1");
  const int64_t third = this->Put("a", "1");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_EQ((*this->Get("a"))->mod_revision, third);
  EXPECT_EQ((*this->Get("b"))->mod_revision, second);
}

TYPED_TEST_P(TransactionConformance, AGetSeesEveryCommitAnsweredBeforeIt) {
  for (int i = 0; i < 50; ++i) {
    this->Put("counter", absl::StrCat(i));
    EXPECT_EQ((*this->Get("counter"))->value, absl::StrCat(i));
  }
}

TYPED_TEST_P(TransactionConformance, ListsExactlyThePrefixInByteOrder) {
  const std::string high = "p/\xff";
  for (const std::string& key : {std::string("p/b"), std::string("p/a/x"), high, std::string("p"),
                                 std::string("p0"), std::string("o/z"), std::string("p/B")}) {
    this->Put(key, "v");
  }
  EXPECT_EQ(this->ListKeys("p/"), (std::vector<std::string>{"p/B", "p/a/x", "p/b", high}));
  EXPECT_EQ(this->ListKeys(high), (std::vector<std::string>{high}));
  EXPECT_EQ(this->ListKeys("").size(), 7u);
  EXPECT_TRUE(this->ListKeys("q").empty());
}

TYPED_TEST_P(TransactionConformance, ListsKeysOfBytesAboveTheLastPrefixByte) {
  const std::string prefix = "\xff";
  this->Put(prefix + "a", "v");
  EXPECT_EQ(this->ListKeys(prefix), (std::vector<std::string>{prefix + "a"}));
}

TYPED_TEST_P(TransactionConformance, ComparesAbsence) {
  const Transaction create = {.compares = {{.key = "key", .mod_revision = 0}},
                              .writes = {{"key", "first"}}};
  EXPECT_TRUE(this->Commit(create)->succeeded);
  EXPECT_FALSE(this->Commit(create)->succeeded);
  EXPECT_TRUE(this->Commit({.writes = {{"key", std::nullopt}}})->succeeded);
  EXPECT_TRUE(this->Commit(create)->succeeded);
}

TYPED_TEST_P(TransactionConformance, ComparesTheRevisionOfTheLastWrite) {
  const int64_t first = this->Put("key", "same");
  const int64_t second = this->Put("key", "same");
  EXPECT_FALSE(this->Commit({.compares = {{"key", first}}, .writes = {{"key", "x"}}})->succeeded);
  EXPECT_EQ((*this->Get("key"))->value, "same");
  EXPECT_TRUE(this->Commit({.compares = {{"key", second}}, .writes = {{"key", "x"}}})->succeeded);
  EXPECT_EQ((*this->Get("key"))->value, "x");
}

TYPED_TEST_P(TransactionConformance, AppliesAllWritesOrNone) {
  const int64_t a = this->Put("a", "1");
  const Transaction refused = {.compares = {{"a", a}, {"b", 77}},
                               .writes = {{"a", "2"}, {"c", "2"}}};
  EXPECT_FALSE(this->Commit(refused)->succeeded);
  EXPECT_EQ((*this->Get("a"))->value, "1");
  EXPECT_FALSE(this->Get("c")->has_value());

  const auto done = this->Commit(
      {.compares = {{"a", a}, {"b", 0}}, .writes = {{"a", std::nullopt}, {"b", "2"}, {"c", "2"}}});
  ASSERT_TRUE(done.ok() && done->succeeded);
  EXPECT_FALSE(this->Get("a")->has_value());
  EXPECT_EQ((*this->Get("b"))->mod_revision, done->revision);
  EXPECT_EQ((*this->Get("c"))->mod_revision, done->revision);
}

TYPED_TEST_P(TransactionConformance, ACompareWithoutAWriteIsACheck) {
  const int64_t revision = this->Put("a", "1");
  const auto held = this->Commit({.compares = {{"a", revision}}});
  EXPECT_TRUE(held->succeeded);
  EXPECT_EQ(held->revision, revision);
  EXPECT_FALSE(this->Commit({.compares = {{"a", revision + 1}}})->succeeded);
}

TYPED_TEST_P(TransactionConformance, TakesMaxOpsAndRefusesOneMore) {
  Transaction transaction;
  for (size_t i = 0; i < Transaction::kMaxOps - 1; ++i) {
    transaction.writes.push_back({absl::StrCat("key", i), "v"});
  }
  transaction.compares.push_back({"absent", 0});
  EXPECT_TRUE(this->Commit(transaction)->succeeded);
  transaction.writes.push_back({"one-more", "v"});
  EXPECT_EQ(this->Commit(transaction).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(this->Get("one-more")->has_value());
}

TYPED_TEST_P(TransactionConformance, RefusesEmptyKeysAndAKeyWrittenTwice) {
  const auto refused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(this->Commit({.writes = {{"", "v"}}}).status().code(), refused);
  EXPECT_EQ(this->Commit({.compares = {{"", 0}}}).status().code(), refused);
  EXPECT_EQ(this->Commit({.writes = {{"a", "1"}, {"a", "2"}}}).status().code(), refused);
  EXPECT_FALSE(this->Get("a")->has_value());
}

TYPED_TEST_P(TransactionConformance, OfConcurrentSwapsExactlyOneSucceeds) {
  constexpr int kThreads = 4;
  constexpr int kRounds = 20;
  std::atomic<int> succeeded{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < kRounds; ++round) {
        const auto result =
            this->Commit({.compares = {{absl::StrCat("round", round), 0}},
                          .writes = {{absl::StrCat("round", round), absl::StrCat(t)}}});
        if (result->succeeded) ++succeeded;
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(succeeded, kRounds);
}

TYPED_TEST_P(TransactionConformance, NeverCallsBackInsideTheCall) {
  std::promise<void> answered;
  std::promise<void> returned;
  std::shared_future<void> has_returned = returned.get_future().share();
  const std::thread::id caller = std::this_thread::get_id();
  this->store().Get("key", [&](auto) {
    EXPECT_NE(std::this_thread::get_id(), caller);
    has_returned.wait();  // would deadlock inside the call
    answered.set_value();
  });
  returned.set_value();
  answered.get_future().wait();
}

REGISTER_TYPED_TEST_SUITE_P(TransactionConformance, AnswersAnAbsentKeyWithNothing,
                            ReturnsWhatWasCommittedWithItsRevision,
                            TellsAnEmptyValueFromAnAbsentKey,
                            GivesEveryTransactionThatWritesAHigherRevision,
                            AGetSeesEveryCommitAnsweredBeforeIt, ListsExactlyThePrefixInByteOrder,
                            ListsKeysOfBytesAboveTheLastPrefixByte, ComparesAbsence,
                            ComparesTheRevisionOfTheLastWrite, AppliesAllWritesOrNone,
                            ACompareWithoutAWriteIsACheck, TakesMaxOpsAndRefusesOneMore,
                            RefusesEmptyKeysAndAKeyWrittenTwice,
                            OfConcurrentSwapsExactlyOneSucceeds, NeverCallsBackInsideTheCall);

}  // namespace meridian::coordination
