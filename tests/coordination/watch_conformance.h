// What the watches of every CoordinationStore do.
#pragma once

#include <atomic>
#include <future>
#include <memory>
#include <thread>

#include "tests/coordination/store_subject.h"

namespace meridian::coordination {

template <typename SubjectType>
class WatchConformance : public StoreConformance<SubjectType> {};

TYPED_TEST_SUITE_P(WatchConformance);

TYPED_TEST_P(WatchConformance, HintsAWatchOfItsPrefixOnly) {
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

TYPED_TEST_P(WatchConformance, HintsADeletion) {
  this->Put("group/1", "v");
  std::promise<void> hinted;
  std::atomic<int> hints{0};
  const auto watch = this->store().Watch("group/", [&] {
    if (++hints == 1) hinted.set_value();
  });
  EXPECT_TRUE(this->Commit({.writes = {{"group/1", std::nullopt}}})->succeeded);
  hinted.get_future().wait();
}

TYPED_TEST_P(WatchConformance, AChangeDuringAHintIsHintedAgain) {
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

TYPED_TEST_P(WatchConformance, AnEndedWatchIsNotCalled) {
  std::atomic<int> hints{0};
  auto watch = this->store().Watch("group/", [&] { ++hints; });
  watch.reset();
  this->Put("group/1", "v");
  ASSERT_TRUE(this->Get("group/1").ok());
  EXPECT_EQ(hints, 0);
}

TYPED_TEST_P(WatchConformance, EndingAWatchWaitsForItsRunningCallback) {
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

TYPED_TEST_P(WatchConformance, AWatchMayEndInsideItsOwnCallback) {
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

REGISTER_TYPED_TEST_SUITE_P(WatchConformance, HintsAWatchOfItsPrefixOnly, HintsADeletion,
                            AChangeDuringAHintIsHintedAgain, AnEndedWatchIsNotCalled,
                            EndingAWatchWaitsForItsRunningCallback,
                            AWatchMayEndInsideItsOwnCallback);

}  // namespace meridian::coordination
