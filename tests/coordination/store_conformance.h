// What every CoordinationStore does, whatever it is made of: a test suite over Subjects.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
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
class CoordinationStoreConformance : public testing::Test {
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

TYPED_TEST_SUITE_P(CoordinationStoreConformance);

TYPED_TEST_P(CoordinationStoreConformance, AnswersAnAbsentKeyWithNothing) {
  const auto found = this->Get("missing");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_FALSE(found->has_value());
}

TYPED_TEST_P(CoordinationStoreConformance, ReturnsWhatWasCommittedWithItsRevision) {
  const int64_t revision = this->Put("key", std::string("va\0lue", 6));
  EXPECT_GT(revision, 0);
  const auto found = this->Get("key");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->key, "key");
  EXPECT_EQ((*found)->value, std::string("va\0lue", 6));
  EXPECT_EQ((*found)->mod_revision, revision);
}

TYPED_TEST_P(CoordinationStoreConformance, TellsAnEmptyValueFromAnAbsentKey) {
  this->Put("key", "");
  const auto found = this->Get("key");
  ASSERT_TRUE(found.ok() && found->has_value());
  EXPECT_EQ((*found)->value, "");
}

TYPED_TEST_P(CoordinationStoreConformance, GivesEveryTransactionThatWritesAHigherRevision) {
  const int64_t first = this->Put("a", "1");
  const int64_t second = this->Put("b", "1");
  const int64_t third = this->Put("a", "1");
  EXPECT_LT(first, second);
  EXPECT_LT(second, third);
  EXPECT_EQ((*this->Get("a"))->mod_revision, third);
  EXPECT_EQ((*this->Get("b"))->mod_revision, second);
}

TYPED_TEST_P(CoordinationStoreConformance, AGetSeesEveryCommitAnsweredBeforeIt) {
  for (int i = 0; i < 50; ++i) {
    this->Put("counter", absl::StrCat(i));
    EXPECT_EQ((*this->Get("counter"))->value, absl::StrCat(i));
  }
}

TYPED_TEST_P(CoordinationStoreConformance, ListsExactlyThePrefixInByteOrder) {
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

TYPED_TEST_P(CoordinationStoreConformance, ListsKeysOfBytesAboveTheLastPrefixByte) {
  const std::string prefix = "\xff";
  this->Put(prefix + "a", "v");
  EXPECT_EQ(this->ListKeys(prefix), (std::vector<std::string>{prefix + "a"}));
}

TYPED_TEST_P(CoordinationStoreConformance, ComparesAbsence) {
  const Transaction create = {.compares = {{.key = "key", .mod_revision = 0}},
                              .writes = {{"key", "first"}}};
  EXPECT_TRUE(this->Commit(create)->succeeded);
  EXPECT_FALSE(this->Commit(create)->succeeded);
  EXPECT_TRUE(this->Commit({.writes = {{"key", std::nullopt}}})->succeeded);
  EXPECT_TRUE(this->Commit(create)->succeeded);
}

TYPED_TEST_P(CoordinationStoreConformance, ComparesTheRevisionOfTheLastWrite) {
  const int64_t first = this->Put("key", "same");
  const int64_t second = this->Put("key", "same");
  EXPECT_FALSE(this->Commit({.compares = {{"key", first}}, .writes = {{"key", "x"}}})->succeeded);
  EXPECT_EQ((*this->Get("key"))->value, "same");
  EXPECT_TRUE(this->Commit({.compares = {{"key", second}}, .writes = {{"key", "x"}}})->succeeded);
  EXPECT_EQ((*this->Get("key"))->value, "x");
}

TYPED_TEST_P(CoordinationStoreConformance, AppliesAllWritesOrNone) {
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

TYPED_TEST_P(CoordinationStoreConformance, ACompareWithoutAWriteIsACheck) {
  const int64_t revision = this->Put("a", "1");
  const auto held = this->Commit({.compares = {{"a", revision}}});
  EXPECT_TRUE(held->succeeded);
  EXPECT_EQ(held->revision, revision);
  EXPECT_FALSE(this->Commit({.compares = {{"a", revision + 1}}})->succeeded);
}

TYPED_TEST_P(CoordinationStoreConformance, TakesMaxOpsAndRefusesOneMore) {
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

TYPED_TEST_P(CoordinationStoreConformance, RefusesEmptyKeysAndAKeyWrittenTwice) {
  const auto refused = absl::StatusCode::kInvalidArgument;
  EXPECT_EQ(this->Commit({.writes = {{"", "v"}}}).status().code(), refused);
  EXPECT_EQ(this->Commit({.compares = {{"", 0}}}).status().code(), refused);
  EXPECT_EQ(this->Commit({.writes = {{"a", "1"}, {"a", "2"}}}).status().code(), refused);
  EXPECT_FALSE(this->Get("a")->has_value());
}

TYPED_TEST_P(CoordinationStoreConformance, OfConcurrentSwapsExactlyOneSucceeds) {
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

TYPED_TEST_P(CoordinationStoreConformance, NeverCallsBackInsideTheCall) {
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

TYPED_TEST_P(CoordinationStoreConformance, HintsAWatchOfItsPrefixOnly) {
  std::promise<void> hinted;
  std::atomic<int> foreign{0};
  std::atomic<int> hints{0};
  const auto other = this->store().Watch("other/", [&] { ++foreign; });
  const auto watch = this->store().Watch("group/", [&] {
    if (++hints == 1) hinted.set_value();
  });
  this->Put("group/1", "v");
  hinted.get_future().wait();
  this->Put("neither", "v");
  EXPECT_FALSE(this->Get("neither")->value().value.empty());  // later hints would be due by now
  EXPECT_EQ(foreign, 0);
}

TYPED_TEST_P(CoordinationStoreConformance, HintsADeletion) {
  this->Put("group/1", "v");
  std::promise<void> hinted;
  std::atomic<int> hints{0};
  const auto watch = this->store().Watch("group/", [&] {
    if (++hints == 1) hinted.set_value();
  });
  EXPECT_TRUE(this->Commit({.writes = {{"group/1", std::nullopt}}})->succeeded);
  hinted.get_future().wait();
}

TYPED_TEST_P(CoordinationStoreConformance, AChangeDuringAHintIsHintedAgain) {
  std::promise<void> in_first;
  std::promise<void> go_on;
  std::promise<void> second;
  std::atomic<int> hints{0};
  const auto watch = this->store().Watch("group/", [&] {
    const int hint = ++hints;
    if (hint == 1) {
      in_first.set_value();
      go_on.get_future().wait();
    } else if (hint == 2) {
      second.set_value();
    }
  });
  this->store().Commit({.writes = {{"group/1", "v"}}}, [](auto) {});
  in_first.get_future().wait();
  this->store().Commit({.writes = {{"group/2", "v"}}}, [](auto) {});
  go_on.set_value();
  second.get_future().wait();
}

TYPED_TEST_P(CoordinationStoreConformance, AnEndedWatchIsNotCalled) {
  std::atomic<int> hints{0};
  auto watch = this->store().Watch("group/", [&] { ++hints; });
  watch.reset();
  this->Put("group/1", "v");
  ASSERT_TRUE(this->Get("group/1").ok());
  EXPECT_EQ(hints, 0);
}

TYPED_TEST_P(CoordinationStoreConformance, EndingAWatchWaitsForItsRunningCallback) {
  std::promise<void> running;
  std::promise<void> go_on;
  std::atomic<bool> finished{false};
  auto watch = this->store().Watch("group/", [&] {
    running.set_value();
    go_on.get_future().wait();
    finished = true;
  });
  this->store().Commit({.writes = {{"group/1", "v"}}}, [](auto) {});
  running.get_future().wait();
  std::thread release([&] { go_on.set_value(); });
  watch.reset();
  EXPECT_TRUE(finished);
  release.join();
}

TYPED_TEST_P(CoordinationStoreConformance, AWatchMayEndInsideItsOwnCallback) {
  std::promise<void> ended;
  std::unique_ptr<CoordinationStore::WatchHandle> watch;
  watch = this->store().Watch("group/", [&] {
    watch.reset();
    ended.set_value();
  });
  this->Put("group/1", "v");
  ended.get_future().wait();
  this->Put("group/2", "v");
  ASSERT_TRUE(this->Get("group/2").ok());
}

TYPED_TEST_P(CoordinationStoreConformance, AnAnnouncedKeyIsThereWhileItsHandleLives) {
  auto presence = this->store().Announce("node/a", "endpoint", absl::Seconds(10));
  const KeyValue row = AwaitRow(this->store(), "node/a");
  EXPECT_EQ(row.value, "endpoint");
  EXPECT_GT(row.mod_revision, 0);
  this->Put("node/b", "stored");
  EXPECT_EQ(this->ListKeys("node/"), (std::vector<std::string>{"node/a", "node/b"}));
  presence.reset();
  AwaitAbsence(this->store(), "node/a");
  EXPECT_EQ(this->ListKeys("node/"), (std::vector<std::string>{"node/b"}));
}

TYPED_TEST_P(CoordinationStoreConformance, AnAnnouncementReplacesAStoredValueForGood) {
  const int64_t stored = this->Put("node/a", "stored");
  auto presence = this->store().Announce("node/a", "announced", absl::Seconds(10));
  EXPECT_GT(AwaitRow(this->store(), "node/a", "announced").mod_revision, stored);
  EXPECT_FALSE(this->Commit({.compares = {{"node/a", stored}}, .writes = {{"x", "1"}}})->succeeded);
  presence.reset();
  AwaitAbsence(this->store(), "node/a");
}

TYPED_TEST_P(CoordinationStoreConformance, OfTwoAnnouncementsTheLaterCounts) {
  auto earlier = this->store().Announce("node/a", "1", absl::Seconds(10));
  AwaitRow(this->store(), "node/a", "1");
  auto later = this->store().Announce("node/a", "2", absl::Seconds(10));
  AwaitRow(this->store(), "node/a", "2");
  earlier.reset();
  auto marker = this->store().Announce("node/b", "1", absl::Seconds(10));
  AwaitRow(this->store(), "node/b");
  marker.reset();
  AwaitAbsence(this->store(), "node/b");  // and so all that was ended before
  EXPECT_EQ((*this->Get("node/a"))->value, "2");
}

TYPED_TEST_P(CoordinationStoreConformance, AnnouncingAndTakingBackAreHinted) {
  absl::Mutex mutex;
  int hints = 0;
  const auto watch = this->store().Watch("node/", [&] {
    absl::MutexLock lock(&mutex);
    ++hints;
  });
  const auto await_hint = [&](int above) {
    absl::MutexLock lock(&mutex);
    const auto hinted = [&] { return hints > above; };
    mutex.Await(absl::Condition(&hinted));
    return hints;
  };
  auto presence = this->store().Announce("node/a", "1", absl::Seconds(10));
  const int after_announcing = await_hint(0);
  presence.reset();
  await_hint(after_announcing);
}

TYPED_TEST_P(CoordinationStoreConformance, AnAnnouncementMayEndAtOnce) {
  for (int i = 0; i < 5; ++i) this->store().Announce("node/a", "1", absl::Seconds(10));
  auto marker = this->store().Announce("node/b", "1", absl::Seconds(10));
  AwaitRow(this->store(), "node/b");
  marker.reset();
  AwaitAbsence(this->store(), "node/b");
  AwaitAbsence(this->store(), "node/a");
}

REGISTER_TYPED_TEST_SUITE_P(
    CoordinationStoreConformance, AnswersAnAbsentKeyWithNothing,
    ReturnsWhatWasCommittedWithItsRevision, TellsAnEmptyValueFromAnAbsentKey,
    GivesEveryTransactionThatWritesAHigherRevision, AGetSeesEveryCommitAnsweredBeforeIt,
    ListsExactlyThePrefixInByteOrder, ListsKeysOfBytesAboveTheLastPrefixByte, ComparesAbsence,
    ComparesTheRevisionOfTheLastWrite, AppliesAllWritesOrNone, ACompareWithoutAWriteIsACheck,
    TakesMaxOpsAndRefusesOneMore, RefusesEmptyKeysAndAKeyWrittenTwice,
    OfConcurrentSwapsExactlyOneSucceeds, NeverCallsBackInsideTheCall, HintsAWatchOfItsPrefixOnly,
    HintsADeletion, AChangeDuringAHintIsHintedAgain, AnEndedWatchIsNotCalled,
    EndingAWatchWaitsForItsRunningCallback, AWatchMayEndInsideItsOwnCallback,
    AnAnnouncedKeyIsThereWhileItsHandleLives, AnAnnouncementReplacesAStoredValueForGood,
    OfTwoAnnouncementsTheLaterCounts, AnnouncingAndTakingBackAreHinted, AnAnnouncementMayEndAtOnce);

}  // namespace meridian::coordination
