#include "base/token_bucket.h"

#include <gtest/gtest.h>

namespace meridian {
namespace {

constexpr absl::Duration kStart = absl::Hours(5);

TEST(TokenBucket, LetsABurstThroughAndThenTheRate) {
  TokenBucket bucket(/*rate=*/1000, /*burst_bytes=*/100);
  absl::Duration now = kStart;
  uint64_t gone = 0;
  for (; now < kStart + absl::Seconds(10); now += absl::Milliseconds(1)) {
    while (bucket.MayGo(now)) {
      bucket.Take(10, now);
      gone += 10;
    }
  }
  EXPECT_GE(gone, 10'000u);
  EXPECT_LE(gone, 10'110u);
}

TEST(TokenBucket, SomethingLargerThanTheBurstGoesAndIsMadeUpFor) {
  TokenBucket bucket(1000, 100);
  ASSERT_TRUE(bucket.MayGo(kStart));
  bucket.Take(5100, kStart);
  EXPECT_FALSE(bucket.MayGo(kStart));
  const absl::Duration wait = bucket.WaitFor(kStart);
  EXPECT_GT(wait, absl::Milliseconds(4990));
  EXPECT_LT(wait, absl::Milliseconds(5010));
  EXPECT_FALSE(bucket.MayGo(kStart + wait - absl::Milliseconds(10)));
  EXPECT_TRUE(bucket.MayGo(kStart + wait));
  EXPECT_EQ(bucket.WaitFor(kStart + wait), absl::ZeroDuration());
}

TEST(TokenBucket, APauseSavesUpNoMoreThanABurst) {
  TokenBucket bucket(1000, 100);
  bucket.Take(100, kStart);
  const absl::Duration later = kStart + absl::Hours(1);
  ASSERT_TRUE(bucket.MayGo(later));
  bucket.Take(100, later);
  EXPECT_FALSE(bucket.MayGo(later));
}

TEST(TokenBucket, WhatIsGivenBackMayGoAgain) {
  TokenBucket bucket(1000, 100);
  bucket.Take(100, kStart);
  EXPECT_FALSE(bucket.MayGo(kStart));
  bucket.GiveBack(1000, kStart);
  EXPECT_TRUE(bucket.MayGo(kStart));
  bucket.Take(100, kStart);
  EXPECT_FALSE(bucket.MayGo(kStart)) << "never more than a burst";
}

TEST(TokenBucket, AClockThatStandsStillBringsNothing) {
  TokenBucket bucket(1000, 100);
  bucket.Take(200, kStart);
  EXPECT_FALSE(bucket.MayGo(kStart));
  EXPECT_FALSE(bucket.MayGo(kStart - absl::Seconds(1)));
  EXPECT_TRUE(bucket.MayGo(kStart + absl::Milliseconds(102)));
}

}  // namespace
}  // namespace meridian
