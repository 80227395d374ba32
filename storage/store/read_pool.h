// Threads that read a disk for those who must not wait for it.
#pragma once

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
  ReadPool(size_t threads, size_t max_waiting);
  // Drops what waits, and waits for the reads under way.
  ~ReadPool();
  ReadPool(const ReadPool&) = delete;

  // False, and `read` is not run: too many wait.
  bool Add(std::function<void()> read);

 private:
  void Run();

  const size_t max_waiting_;
  absl::Mutex mutex_;
  absl::CondVar changed_;
  std::deque<std::function<void()>> waiting_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

}  // namespace meridian::storage
