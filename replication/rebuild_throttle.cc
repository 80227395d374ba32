#include "replication/rebuild_throttle.h"

#include <algorithm>
#include <iterator>
#include <utility>

namespace meridian::replication {
namespace {

// So much goes at once, in time at the rate and in bytes at least: enough for the chunks that are
// asked for together, too little to be noticed beside it.
constexpr absl::Duration kBurstTime = absl::Milliseconds(100);
constexpr uint64_t kMinBurst = 1 << 20;

uint64_t BurstOf(uint64_t rate) {
  return std::max(kMinBurst, static_cast<uint64_t>(static_cast<double>(rate) *
                                                   absl::ToDoubleSeconds(kBurstTime)));
}

}  // namespace

RebuildThrottle::RebuildThrottle(Executor& strand, uint64_t bytes_per_second)
    : strand_(strand), bucket_(bytes_per_second, BurstOf(bytes_per_second)) {}

bool RebuildThrottle::MayGo(std::function<void()> resume) {
  if (bucket_.MayGo(strand_.MonotonicNow())) return true;
  waiting_.push_back(std::move(resume));
  SetTimer();
  return false;
}

void RebuildThrottle::SetTimer() {
  if (std::exchange(timer_set_, true)) return;
  strand_.PostAfter(bucket_.WaitFor(strand_.MonotonicNow()), [this] { Resume(); });
}

// Those for whom nothing is left keep their places, before those who went and wait again.
void RebuildThrottle::Resume() {
  timer_set_ = false;
  std::deque<std::function<void()>> waiting = std::exchange(waiting_, {});
  while (!waiting.empty() && bucket_.MayGo(strand_.MonotonicNow())) {
    const std::function<void()> resume = std::move(waiting.front());
    waiting.pop_front();
    resume();
  }
  waiting_.insert(waiting_.begin(), std::make_move_iterator(waiting.begin()),
                  std::make_move_iterator(waiting.end()));
  if (!waiting_.empty()) SetTimer();
}

}  // namespace meridian::replication
