// Time, taken from outside. A clock only tells time; timers go through Executor.
#pragma once

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian {

// Thread-safe.
class Clock {
 public:
  virtual ~Clock() = default;
  // Civil time; may jump.
  virtual absl::Time WallNow() = 0;
  // Since an arbitrary start; never goes back and counts suspended time (CLOCK_BOOTTIME).
  virtual absl::Duration MonotonicNow() = 0;
};

class SystemClock : public Clock {
 public:
  absl::Time WallNow() override;
  absl::Duration MonotonicNow() override;
};

}  // namespace meridian
