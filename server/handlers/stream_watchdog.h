// Ends calls whose client keeps them waiting. gRPC's blocking Read and Write know no limit, and
// each holds one of the process's threads, and the runs that a reader has pinned.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian::server {

// Thread-safe.
class StreamWatchdog {
 public:
  // `max_wait`: how long one Read or Write may take. Looks every `interval`.
  StreamWatchdog(absl::Duration max_wait, absl::Duration interval);
  // No call is registered any more.
  ~StreamWatchdog();

  // One call, while it lives. Of one thread.
  class Call {
   public:
    // `cancel` makes a blocked Read or Write return; it is called at most once, not after the
    // destructor, and must not block. At `deadline` it is called whether the call waits or not.
    Call(StreamWatchdog& watchdog, absl::Time deadline, std::function<void()> cancel);
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    // What waits for the client.
    template <typename Blocking>
    bool Wait(const Blocking& blocking) {
      watchdog_.SetWaitEnd(id_, absl::Now() + watchdog_.max_wait_);
      const bool done = blocking();
      watchdog_.SetWaitEnd(id_, absl::InfiniteFuture());
      return done;
    }

   private:
    StreamWatchdog& watchdog_;
    uint64_t id_ = 0;
  };

 private:
  struct Watched {
    absl::Time deadline;
    absl::Time wait_end = absl::InfiniteFuture();
    std::function<void()> cancel;  // null once called
  };

  void SetWaitEnd(uint64_t id, absl::Time end) ABSL_LOCKS_EXCLUDED(mutex_);
  void Run() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::Duration max_wait_;
  const absl::Duration interval_;
  absl::Mutex mutex_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  // Bounded by the threads that run calls.
  std::map<uint64_t, Watched> calls_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

}  // namespace meridian::server
