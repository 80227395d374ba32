#include "server/telemetry/line_budget.h"

namespace meridian::server {
namespace {

constexpr int kCountBits = 16;

}  // namespace

bool LineBudget::Take(absl::Time now) {
  const auto second = static_cast<uint64_t>(absl::ToUnixSeconds(now));
  uint64_t state = state_.load(std::memory_order_relaxed);
  while (true) {
    const uint64_t taken = state >> kCountBits == second ? state & ((1 << kCountBits) - 1) : 0;
    if (taken >= lines_a_second_) {
      dropped_.fetch_add(1, std::memory_order_relaxed);
      return false;
    }
    const uint64_t next = second << kCountBits | (taken + 1);
    if (state_.compare_exchange_weak(state, next, std::memory_order_relaxed)) return true;
  }
}

}  // namespace meridian::server
