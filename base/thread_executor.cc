#include <pthread.h>

#include <deque>
#include <map>
#include <optional>
#include <thread>

#include "base/clock.h"
#include "base/executor.h"


#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace meridian {
namespace {

// Thread-safe: one mutex over queue and timers; tasks run outside it.
class ThreadExecutor final : public Executor {
 public:
  explicit ThreadExecutor(const std::string& name) : thread_([this] { Run(); }) {
    pthread_setname_np(thread_.native_handle(), name.substr(0, 15).c_str());
  }

  ~ThreadExecutor() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
      changed_.Signal();
    }
    thread_.join();
  }

  void Post(Task task) override {
    absl::MutexLock lock(&mutex_);
    queue_.push_back(std::move(task));
    if (queue_.size() == 1) changed_.Signal();
  }

  TimerId PostAfter(absl::Duration delay, Task task) override {
    const absl::Duration when = MonotonicNow() + delay;
    absl::MutexLock lock(&mutex_);
    const TimerId id = ++last_timer_;
    due_.emplace(id, when);
    const bool earliest = timers_.empty() || when < timers_.begin()->first.first;
    timers_.emplace(std::make_pair(when, id), std::move(task));
    if (earliest) changed_.Signal();
    return id;
  }

  void Cancel(TimerId timer) override {
    absl::MutexLock lock(&mutex_);
    const auto due = due_.find(timer);
    if (due == due_.end()) return;
    timers_.erase({due->second, timer});
    due_.erase(due);
  }

  absl::Duration MonotonicNow() override { return clock_.MonotonicNow(); }

 private:
  void Run() {
    absl::MutexLock lock(&mutex_);
    while (!stopping_) {
      if (std::optional<Task> task = TakeDueTimer()) {
        RunUnlocked(*std::move(task));
      } else if (!queue_.empty()) {
        Task next = std::move(queue_.front());
        queue_.pop_front();
        RunUnlocked(std::move(next));
      } else if (timers_.empty()) {
        changed_.Wait(&mutex_);
      } else {
        changed_.WaitWithTimeout(&mutex_, timers_.begin()->first.first - MonotonicNow());
      }
    }
  }

  std::optional<Task> TakeDueTimer() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (timers_.empty()) return std::nullopt;
    const auto first = timers_.begin();
    if (first->first.first > MonotonicNow()) return std::nullopt;
    Task task = std::move(first->second);
    due_.erase(first->first.second);
    timers_.erase(first);
    return task;
  }

  void RunUnlocked(Task task) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    mutex_.Unlock();
    task();
    task = nullptr;  // captured objects are destroyed outside the lock too
    mutex_.Lock();
  }

  SystemClock clock_;
  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::deque<Task> queue_ ABSL_GUARDED_BY(mutex_);
  std::map<std::pair<absl::Duration, TimerId>, Task> timers_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<TimerId, absl::Duration> due_ ABSL_GUARDED_BY(mutex_);
  TimerId last_timer_ ABSL_GUARDED_BY(mutex_) = 0;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::thread thread_;  // last: it starts when all above is there
};

}  // namespace

std::unique_ptr<Executor> MakeThreadExecutor(std::string name) {
  return std::make_unique<ThreadExecutor>(name);
}

}  // namespace meridian
