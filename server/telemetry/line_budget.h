// How many lines of one kind the log gets.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/time/time.h"

namespace meridian::server {

// Lets so many lines a second pass, so that trouble that makes every call slow does not become
// trouble with the log. Thread-safe and without locks.
class LineBudget {
 public:
  explicit LineBudget(uint32_t lines_a_second) : lines_a_second_(lines_a_second) {}
  bool Take(absl::Time now);
  // Lines that were refused.
  uint64_t dropped() const { return dropped_.load(std::memory_order_relaxed); }

 private:
  const uint32_t lines_a_second_;
  // Seconds since the epoch, above the lines of that second in the lowest bits.
  std::atomic<uint64_t> state_{0};
  std::atomic<uint64_t> dropped_{0};
};

}  // namespace meridian::server
