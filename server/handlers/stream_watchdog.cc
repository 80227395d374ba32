#include "server/handlers/stream_watchdog.h"

#include <algorithm>
#include <utility>

namespace meridian::server {

StreamWatchdog::StreamWatchdog(absl::Duration max_wait, absl::Duration interval)
    : max_wait_(max_wait), interval_(interval), thread_([this] { Run(); }) {}

StreamWatchdog::~StreamWatchdog() {
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
  }
  thread_.join();
}

StreamWatchdog::Call::Call(StreamWatchdog& watchdog, absl::Time deadline,
                           std::function<void()> cancel)
    : watchdog_(watchdog) {
  absl::MutexLock lock(&watchdog_.mutex_);
  id_ = ++watchdog_.last_id_;
  watchdog_.calls_[id_] = {deadline, absl::InfiniteFuture(), std::move(cancel)};
}

StreamWatchdog::Call::~Call() {
  absl::MutexLock lock(&watchdog_.mutex_);
  watchdog_.calls_.erase(id_);
}

void StreamWatchdog::SetWaitEnd(uint64_t id, absl::Time end) {
  absl::MutexLock lock(&mutex_);
  calls_[id].wait_end = end;
}

void StreamWatchdog::Run() {
  absl::MutexLock lock(&mutex_);
  while (!mutex_.AwaitWithTimeout(absl::Condition(&stopping_), interval_)) {
    const absl::Time now = absl::Now();
    for (auto& [id, call] : calls_) {
      if (now < std::min(call.deadline, call.wait_end) || !call.cancel) continue;
      // Under the lock, so that the call cannot end meanwhile.
      std::exchange(call.cancel, nullptr)();
    }
  }
}

}  // namespace meridian::server
