// Waits for what other threads or processes bring about.
#pragma once

#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian {

// Looks again and again; false if it did not come to hold in that time. The bound is for a test
// that fails, not a claim about speed.
inline bool Until(const std::function<bool()>& holds, absl::Duration at_most = absl::Seconds(60)) {
  for (const absl::Time end = absl::Now() + at_most; absl::Now() < end;) {
    if (holds()) return true;
    absl::SleepFor(absl::Milliseconds(10));
  }
  return holds();
}

}  // namespace meridian
