// A strand: tasks run one at a time, in the order posted. Product code is confined to strands
// instead of locking; a simulation drives all of them from one thread in simulated time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "absl/time/time.h"

namespace meridian {

using Task = std::function<void()>;

// Post and timers may be used from any thread.
class Executor {
 public:
  // 0 is never a timer's id.
  using TimerId = uint64_t;

  virtual ~Executor() = default;
  virtual void Post(Task task) = 0;
  // Runs `task` on the strand once `delay` has passed.
  virtual TimerId PostAfter(absl::Duration delay, Task task) = 0;
  // The task will not run after this returns, if called on the strand; no effect if it has run.
  virtual void Cancel(TimerId timer) = 0;
  // Of the clock that drives the timers.
  virtual absl::Duration MonotonicNow() = 0;
};

// One thread of its own. The destructor runs no further task: what is queued is dropped, then the
// thread is joined.
std::unique_ptr<Executor> MakeThreadExecutor(std::string name);

}  // namespace meridian
