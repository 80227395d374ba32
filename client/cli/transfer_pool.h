// Runs transfers side by side.
#pragma once

#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian::cli {

// Submit and Drain are called by one thread.
class TransferPool {
 public:
  explicit TransferPool(int threads);
  // Drains.
  ~TransferPool();

  // Waits while kMaxQueued jobs are queued.
  void Submit(std::function<void()> job);
  // Returns when all jobs are done; none may be submitted after.
  void Drain();

 private:
  static constexpr size_t kMaxQueued = 256;

  void Work();
  bool HasRoom() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return jobs_.size() < kMaxQueued; }
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return closed_ || !jobs_.empty(); }

  absl::Mutex mutex_;
  std::deque<std::function<void()>> jobs_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace meridian::cli
