// Closed-loop load: so many operations in flight, each begun when the one before it has ended.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

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
  // Of all nodes together, if we may look at their processes.
  std::optional<double> server_cpu_us_per_op;
  // Of this process: the client library and what drives it.
  double client_cpu_us_per_op = 0;
};

// `operation(i)`, i counting up over all threads; its error ends the run and is returned.
using Operation = std::function<absl::Status(uint64_t i)>;

// Warms up for a tenth of `time`, then measures. `servers`: whose processor time is taken.
absl::StatusOr<Result> Run(const Point& point, absl::Duration time,
                           const std::vector<pid_t>& servers, const Operation& operation);

// The run with the median rate; `runs` are of one point, and not none.
Result Median(std::vector<Result> runs);

}  // namespace meridian::bench
