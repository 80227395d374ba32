// Closed-loop load: so many operations in flight, each begun when the one before it has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian::bench {

struct Point {
  std::string op;
  int64_t size_bytes = 0;
  int in_flight = 0;
};

struct Result {
  Point point;
  double ops_per_s = 0;
  // Megabytes (10^6) of bodies.
  double mb_per_s = 0;
  double p50_us = 0;
  double p99_us = 0;
  // Of all nodes together, if they are one process that we may look at.
  std::optional<double> server_cpu_us_per_op;
};

// `operation(i)`, i counting up over all threads; its error ends the run and is returned.
using Operation = std::function<absl::Status(uint64_t i)>;

// Warms up for a tenth of `time`, then measures. `server`: its processor time is taken; 0: not.
absl::StatusOr<Result> Run(const Point& point, absl::Duration time, pid_t server,
                           const Operation& operation);

}  // namespace meridian::bench
