// A strand that the test's own thread runs, in simulated time.
#pragma once

#include <deque>
#include <functional>
#include <map>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"

namespace meridian {

// Any thread posts; one thread runs. Time stands still while tasks are queued, and jumps to the
// next timer when none is.
class ManualExecutor final : public Executor {
 public:
  void Post(Task task) override;
  TimerId PostAfter(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  absl::Duration MonotonicNow() override;

  // Runs tasks and timers until `done()`, asked after each, is true. With none of either it waits
  // for another thread to add one: a test that waits for nothing hangs until its time-out.
  void RunUntil(const std::function<bool()>& done);
  // Runs what is queued now and what that posts; no timers.
  void RunQueued();

 private:
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return !queue_.empty() || !timers_.empty();
  }
  // A queued task, else the next timer's; nothing if there is neither.
  Task TakeNext(bool timers_too) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<absl::Duration, TimerId>, Task> timers_ ABSL_GUARDED_BY(mutex_);
  TimerId last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Duration now_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian
