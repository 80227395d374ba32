// Something that is done again and again, on a thread of its own.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"

namespace meridian::server {

// Thread-safe.
class Periodic {
 public:
  // Calls `turn` an interval after the start, and after the end of each turn.
  Periodic(std::string name, absl::Duration interval, std::function<void()> turn);
  // Waits for a turn that runs.
  ~Periodic();
  Periodic(const Periodic&) = delete;

 private:
  void Schedule() ABSL_LOCKS_EXCLUDED(mutex_);

  const absl::Duration interval_;
  const std::function<void()> turn_;
  absl::Mutex mutex_;
  // Null once it is being destroyed.
  std::unique_ptr<Executor> thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
