// How fast a node brings itself copies that it is to have: what snapshots consist of, rows and
// chunks, for all its groups together. Nothing that a client or a quorum waits for goes through it.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>

#include "absl/time/time.h"
#include "base/executor.h"
#include "base/token_bucket.h"

namespace meridian::replication {

// Bytes a second: 10 GiB are copied in less than six minutes.
inline constexpr uint64_t kDefaultRebuildRate = 32 << 20;

// Confined to the node's strand, from which all its replicas use it; outlives them and the strand.
class RebuildThrottle {
 public:
  RebuildThrottle(Executor& strand, uint64_t bytes_per_second);

  // Whether something may be asked for now. If not, `resume` is called, once, when it is worth
  // asking again; others may have come first.
  bool MayGo(std::function<void()> resume);
  void Take(uint64_t bytes) { bucket_.Take(bytes, strand_.MonotonicNow()); }
  void GiveBack(uint64_t bytes) { bucket_.GiveBack(bytes, strand_.MonotonicNow()); }

 private:
  void SetTimer();
  void Resume();

  Executor& strand_;
  TokenBucket bucket_;
  // In the order in which they came; at most two a replica.
  std::deque<std::function<void()>> waiting_;
  bool timer_set_ = false;
};

}  // namespace meridian::replication
