#include "base/histogram.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "base/stopwatch.h"

namespace meridian {
namespace {

constexpr uint64_t kBounds[] = {10, 20, 50};

TEST(Histogram, CountsAValueAtTheFirstBoundThatIsNotBelowIt) {
  Histogram histogram(kBounds);
  for (const uint64_t value : {0, 10, 11, 20, 21, 50, 51, 1000}) histogram.Observe(value);
  const HistogramCounts counts = histogram.Read();
  EXPECT_EQ(counts.upper_bounds, (std::vector<uint64_t>{10, 20, 50}));
  EXPECT_EQ(counts.counts, (std::vector<uint64_t>{2, 2, 2, 2}));
  EXPECT_EQ(counts.sum, 1163u);
  EXPECT_EQ(counts.total(), 8u);
}

TEST(Histogram, TakesTimesAsMicrosecondsAndNoneForLessThanNothing) {
  Histogram histogram(kBounds);
  histogram.Observe(absl::Microseconds(15));
  histogram.Observe(absl::Milliseconds(-3));
  const HistogramCounts counts = histogram.Read();
  EXPECT_EQ(counts.counts, (std::vector<uint64_t>{1, 1, 0, 0}));
  EXPECT_EQ(counts.sum, 15u);
}

TEST(Histogram, LosesNothingThatThreadsObserveAtOnce) {
  Histogram histogram(kLatencyBounds);
  constexpr int kThreads = 4, kEach = 20000;
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&histogram, t] {
      for (int i = 0; i < kEach; ++i) histogram.Observe(static_cast<uint64_t>(t * 1000));
    });
  }
  for (std::thread& thread : threads) thread.join();
  const HistogramCounts counts = histogram.Read();
  EXPECT_EQ(counts.total(), static_cast<uint64_t>(kThreads * kEach));
  EXPECT_EQ(counts.sum, static_cast<uint64_t>(kEach) * (1000 + 2000 + 3000));
}

TEST(Stopwatch, DoesNotGoBack) {
  const Stopwatch stopwatch;
  const absl::Duration first = stopwatch.Elapsed();
  EXPECT_GE(first, absl::ZeroDuration());
  EXPECT_GE(stopwatch.Elapsed(), first);
}

}  // namespace
}  // namespace meridian
