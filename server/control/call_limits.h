// How long the caller of an operation waits for it.
#pragma once

#include <algorithm>
#include <functional>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian::server {

struct CallLimits {
  absl::Time deadline = absl::InfiniteFuture();
  // Whether the caller is gone; null: it never is.
  std::function<bool()> cancelled = {};

  // The same caller, who waits no longer than that.
  CallLimits Until(absl::Time end) const { return {std::min(deadline, end), cancelled}; }
  // Sleeps; false, at once, if nobody would wait for that long.
  bool Sleep(absl::Duration duration) const {
    if ((cancelled && cancelled()) || absl::Now() + duration >= deadline) return false;
    absl::SleepFor(duration);
    return true;
  }
};

}  // namespace meridian::server
