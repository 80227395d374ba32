// A 64-bit unsigned integer with a name, so that an epoch cannot be passed for a log index.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>
#include <utility>

namespace meridian {

template <typename Tag>
class StrongInt {
 public:
  constexpr StrongInt() = default;
  explicit constexpr StrongInt(uint64_t value) : value_(value) {}

  constexpr uint64_t value() const { return value_; }
  constexpr auto operator<=>(const StrongInt&) const = default;

  constexpr StrongInt& operator++() {
    ++value_;
    return *this;
  }
  constexpr StrongInt operator+(uint64_t n) const { return StrongInt(value_ + n); }
  // The caller guarantees that the result is not negative.
  constexpr StrongInt operator-(uint64_t n) const { return StrongInt(value_ - n); }
  constexpr uint64_t operator-(StrongInt other) const { return value_ - other.value_; }

  template <typename H>
  friend H AbslHashValue(H h, StrongInt v) {
    return H::combine(std::move(h), v.value_);
  }
  friend std::ostream& operator<<(std::ostream& os, StrongInt v) { return os << v.value_; }

 private:
  uint64_t value_ = 0;
};

// The number of a group's configuration; 0 is "none yet". Strictly increases (I3).
using Epoch = StrongInt<struct EpochTag>;
// A position in a group's log; the first entry is 1, 0 is "before the first".
using LogIndex = StrongInt<struct LogIndexTag>;
// Commit time of an entry: microseconds since the Unix epoch, monotone in a partition (P14).
using Timestamp = StrongInt<struct TimestampTag>;

}  // namespace meridian
