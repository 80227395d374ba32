#include "base/clock.h"

#include <time.h>

namespace meridian {

absl::Time SystemClock::WallNow() { return absl::Now(); }

absl::Duration SystemClock::MonotonicNow() {
  timespec ts;
  clock_gettime(CLOCK_BOOTTIME, &ts);
  return absl::DurationFromTimespec(ts);
}

}  // namespace meridian
