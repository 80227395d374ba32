#include "base/histogram.h"

#include <algorithm>
#include <numeric>

#include "base/check.h"

namespace meridian {

uint64_t HistogramCounts::total() const {
  return std::accumulate(counts.begin(), counts.end(), uint64_t{0});
}

Histogram::Histogram(std::span<const uint64_t> upper_bounds) : upper_bounds_(upper_bounds) {
  CHECK_INVARIANT(upper_bounds.size() <= kMaxBounds, "a histogram has so many buckets at most");
  CHECK_INVARIANT(std::is_sorted(upper_bounds.begin(), upper_bounds.end()), "bounds ascend");
}

void Histogram::Observe(uint64_t value) {
  const auto bound = std::lower_bound(upper_bounds_.begin(), upper_bounds_.end(), value);
  counts_[bound - upper_bounds_.begin()].fetch_add(1, std::memory_order_relaxed);
  sum_.fetch_add(value, std::memory_order_relaxed);
}

void Histogram::Observe(absl::Duration time) {
  Observe(static_cast<uint64_t>(std::max<int64_t>(0, absl::ToInt64Microseconds(time))));
}

HistogramCounts Histogram::Read() const {
  HistogramCounts read;
  read.upper_bounds.assign(upper_bounds_.begin(), upper_bounds_.end());
  for (size_t i = 0; i <= upper_bounds_.size(); ++i) {
    read.counts.push_back(counts_[i].load(std::memory_order_relaxed));
  }
  read.sum = sum_.load(std::memory_order_relaxed);
  return read;
}

}  // namespace meridian
