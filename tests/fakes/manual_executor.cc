#include "tests/fakes/manual_executor.h"

namespace meridian {

void ManualExecutor::Post(Task task) {
  absl::MutexLock lock(&mutex_);
  queue_.push_back(std::move(task));
}

Executor::TimerId ManualExecutor::PostAfter(absl::Duration delay, Task task) {
  absl::MutexLock lock(&mutex_);
  const TimerId id = ++last_timer_;
  timers_.emplace(std::make_pair(now_ + delay, id), std::move(task));
  return id;
}

void ManualExecutor::Cancel(TimerId timer) {
  Task cancelled;  // destroyed outside the lock: it may own what calls back here
  absl::MutexLock lock(&mutex_);
  for (auto it = timers_.begin(); it != timers_.end(); ++it) {
    if (it->first.second != timer) continue;
    cancelled = std::move(it->second);
    timers_.erase(it);
    return;
  }
}

absl::Duration ManualExecutor::MonotonicNow() {
  absl::MutexLock lock(&mutex_);
  return now_;
}

Task ManualExecutor::TakeNext(bool timers_too) {
  Task next;
  if (!queue_.empty()) {
    next = std::move(queue_.front());
    queue_.pop_front();
  } else if (timers_too && !timers_.empty()) {
    const auto first = timers_.begin();
    now_ = first->first.first;
    next = std::move(first->second);
    timers_.erase(first);
  }
  return next;
}

void ManualExecutor::RunUntil(const std::function<bool()>& done) {
  while (!done()) {
    Task next;
    {
      absl::MutexLock lock(&mutex_);
      mutex_.Await(absl::Condition(this, &ManualExecutor::HasWork));
      next = TakeNext(/*timers_too=*/true);
    }
    next();
  }
}

void ManualExecutor::RunQueued() {
  while (true) {
    Task next;
    {
      absl::MutexLock lock(&mutex_);
      next = TakeNext(/*timers_too=*/false);
    }
    if (!next) return;
    next();
  }
}

}  // namespace meridian
