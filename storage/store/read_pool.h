// Threads that read a disk for those who must not wait for it.
#pragma once

#include <array>
#include <cstddef>
#include <deque>
#include <functional>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian::storage {

// Thread-safe.
class ReadPool {
 public:
  // Each kind waits in a queue of its own, and they take turns: what a replica needs of its log
  // does not wait behind all the chunks that others want.
  enum class Kind { kLog, kChunk };

  ReadPool(size_t threads, size_t max_waiting_logs, size_t max_waiting_chunks);
  // Drops what waits, and waits for the reads under way.
  ~ReadPool();
  ReadPool(const ReadPool&) = delete;

  // False, and `read` is not run: too many of the kind wait.
  bool Add(Kind kind, std::function<void()> read);

 private:
  struct Queue {
    size_t max = 0;
    std::deque<std::function<void()>> waiting = {};
  };

  void Run();
  bool IsIdle() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::array<Queue, 2> queues_ ABSL_GUARDED_BY(mutex_);
  size_t turn_ ABSL_GUARDED_BY(mutex_) = 0;  // whose it is
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace meridian::storage
