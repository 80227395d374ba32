// A rate: so many bytes a second on average, some more after a pause.
#pragma once

#include <cstdint>

#include "absl/time/time.h"

namespace meridian {

// Not thread-safe. Times are of one monotonic clock and never go back.
class TokenBucket {
 public:
  // Bytes a second, > 0. After a pause as many as `burst_bytes` go at once.
  TokenBucket(uint64_t rate, uint64_t burst_bytes);

  // Whether something may go now. Whatever its size: what exceeds what is left is owed, and nothing
  // more goes until it has been made up for.
  bool MayGo(absl::Duration now);
  // When that will be: 0 if it may go now.
  absl::Duration WaitFor(absl::Duration now);

  void Take(uint64_t bytes, absl::Duration now);
  // Of what was taken and not needed.
  void GiveBack(uint64_t bytes, absl::Duration now);

 private:
  void Fill(absl::Duration now);

  const double rate_;
  const double burst_;
  double left_;  // <= burst_
  absl::Duration filled_at_ = -absl::InfiniteDuration();
};

}  // namespace meridian
