// Values counted in buckets, for metrics: how long things take, how large they are.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <span>
#include <vector>

#include "absl/time/time.h"

namespace meridian {

// What a histogram has counted.
struct HistogramCounts {
  // Ascending; a value belongs to the first bound that is not below it.
  std::vector<uint64_t> upper_bounds;
  // One a bound, and last, of the values above all bounds.
  std::vector<uint64_t> counts;
  uint64_t sum = 0;  // of all values

  uint64_t total() const;
};

// Thread-safe and without locks: for hot paths. What is read while others observe may lack some of
// what they have just added.
class Histogram {
 public:
  static constexpr size_t kMaxBounds = 18;

  // Ascending, at most kMaxBounds; they outlive the histogram.
  explicit Histogram(std::span<const uint64_t> upper_bounds);

  void Observe(uint64_t value);
  // In microseconds; a negative one counts as 0.
  void Observe(absl::Duration time);

  HistogramCounts Read() const;

 private:
  const std::span<const uint64_t> upper_bounds_;
  std::array<std::atomic<uint64_t>, kMaxBounds + 1> counts_{};
  std::atomic<uint64_t> sum_{0};
};

// 50 us to 10 s, in microseconds.
inline constexpr uint64_t kLatencyBounds[] = {
    50,     100,     250,     500,     1'000,     2'500,     5'000,     10'000,    25'000,
    50'000, 100'000, 250'000, 500'000, 1'000'000, 2'500'000, 5'000'000, 10'000'000};

}  // namespace meridian
