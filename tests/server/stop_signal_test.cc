#include "server/stop_signal.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <unistd.h>

#include <cstdio>
#include <thread>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"

namespace meridian::server {
namespace {

// Each in a process of its own, which ends by the signal.
class StopSignalDeathTest : public testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }
};

TEST_F(StopSignalDeathTest, WhatIsStillStartingIsNotWaitedFor) {
  EXPECT_EXIT(
      {
        StopSignal stop(absl::Minutes(10));
        kill(getpid(), SIGTERM);
        absl::SleepFor(absl::Minutes(10));
      },
      testing::ExitedWithCode(0), "");
}

TEST_F(StopSignalDeathTest, TheDrainIsWaitedFor) {
  EXPECT_EXIT(
      {
        StopSignal stop(absl::Minutes(10));
        stop.SetDrain([] { std::fputs("drained", stderr); });
        kill(getpid(), SIGINT);
        stop.Wait();
      },
      testing::ExitedWithCode(0), "drained");
}

TEST_F(StopSignalDeathTest, ADrainThatHangsIsNot) {
  EXPECT_EXIT(
      {
        StopSignal stop(absl::Milliseconds(50));
        stop.SetDrain([] { absl::SleepFor(absl::InfiniteDuration()); });
        kill(getpid(), SIGTERM);
        stop.Wait();
      },
      testing::ExitedWithCode(0), "");
}

// As one that writes to a pipe which nobody reads.
TEST_F(StopSignalDeathTest, AThreadThatIsStuckInAWriteHoldsNothingUp) {
  EXPECT_EXIT(
      {
        alarm(20);
        StopSignal stop(absl::Milliseconds(50));
        stop.SetDrain([] {});
        absl::Notification locked;
        std::thread([&locked] {
          flockfile(stderr);
          locked.Notify();
          absl::SleepFor(absl::InfiniteDuration());
        }).detach();
        locked.WaitForNotification();
        kill(getpid(), SIGTERM);
        stop.Wait();
      },
      testing::ExitedWithCode(0), "");
}

}  // namespace
}  // namespace meridian::server
