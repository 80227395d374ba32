#include "base/token_bucket.h"

#include <algorithm>

#include "base/check.h"

namespace meridian {

TokenBucket::TokenBucket(uint64_t rate, uint64_t burst_bytes)
    : rate_(static_cast<double>(rate)),
      burst_(static_cast<double>(burst_bytes)),
      left_(static_cast<double>(burst_bytes)) {
  CHECK_INVARIANT(rate > 0 && burst_bytes > 0, "a rate lets something through");
}

void TokenBucket::Fill(absl::Duration now) {
  if (filled_at_ > -absl::InfiniteDuration() && now > filled_at_) {
    left_ = std::min(burst_, left_ + rate_ * absl::ToDoubleSeconds(now - filled_at_));
  }
  filled_at_ = std::max(filled_at_, now);
}

bool TokenBucket::MayGo(absl::Duration now) {
  Fill(now);
  return left_ > 0;
}

absl::Duration TokenBucket::WaitFor(absl::Duration now) {
  if (MayGo(now)) return absl::ZeroDuration();
  // One byte beyond what is owed.
  return absl::Seconds((1 - left_) / rate_) + absl::Microseconds(1);
}

void TokenBucket::Take(uint64_t bytes, absl::Duration now) {
  Fill(now);
  left_ -= static_cast<double>(bytes);
}

void TokenBucket::GiveBack(uint64_t bytes, absl::Duration now) {
  Fill(now);
  left_ = std::min(burst_, left_ + static_cast<double>(bytes));
}

}  // namespace meridian
