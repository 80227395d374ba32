#include "replication/rebuild_throttle.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/fakes/manual_executor.h"

namespace meridian::replication {
namespace {

constexpr uint64_t kRate = 10 << 20;
constexpr uint64_t kChunk = 1 << 20;

class RebuildThrottleTest : public testing::Test {
 protected:
  // Asks for one chunk after the other, for ever.
  void Ask(size_t who) {
    while (throttle_.MayGo([this, who] { Ask(who); })) {
      throttle_.Take(kChunk);
      gone_[who] += kChunk;
    }
  }
  void RunFor(absl::Duration time) {
    bool over = false;
    strand_.PostAfter(time, [&over] { over = true; });
    strand_.RunUntil([&over] { return over; });
  }

  ManualExecutor strand_;
  RebuildThrottle throttle_{strand_, kRate};
  std::vector<uint64_t> gone_ = std::vector<uint64_t>(3);
};

TEST_F(RebuildThrottleTest, AllTogetherGoAtTheRateAndNobodyStarves) {
  for (size_t who = 0; who < gone_.size(); ++who) Ask(who);
  RunFor(absl::Seconds(30));
  uint64_t sum = 0;
  for (const uint64_t gone : gone_) {
    EXPECT_GT(gone, 30 * kRate / 6) << "a third is the fair part";
    sum += gone;
  }
  EXPECT_GE(sum, 29 * kRate);
  EXPECT_LE(sum, 31 * kRate);
}

TEST_F(RebuildThrottleTest, WhatWasReservedAndNotNeededGoesToOthers) {
  std::vector<std::string> events;
  while (throttle_.MayGo([&] { events.push_back("resumed"); })) throttle_.Take(kChunk);
  throttle_.GiveBack(kChunk);
  EXPECT_TRUE(throttle_.MayGo([] {}));
  RunFor(absl::Seconds(1));
  EXPECT_EQ(events, (std::vector<std::string>{"resumed"})) << "once";
}

}  // namespace
}  // namespace meridian::replication
