// How long something has taken, for metrics and logs. Nothing is decided by it: what decides takes
// its time from a Clock or an Executor, which a simulation drives.
#pragma once

#include <chrono>

#include "absl/time/time.h"

namespace meridian {

class Stopwatch {
 public:
  absl::Duration Elapsed() const {
    return absl::FromChrono(std::chrono::steady_clock::now() - start_);
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

}  // namespace meridian
