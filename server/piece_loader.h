// Hands rows from a thread that reads them to a strand that loads them: the next ones are read
// meanwhile. One by one, each piece would wait for the strand's turn and then for the thread's,
// which on a busy machine takes several times longer than all the work.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"

namespace meridian::server {

// Used by one thread, which is not the strand's. Blocks.
class PieceLoader {
 public:
  using Rows = std::vector<std::pair<std::string, std::string>>;
  using Load = std::function<absl::Status(const Rows&)>;
  // Pieces that wait for the strand.
  static constexpr size_t kMaxWaiting = 4;

  // `load` is called on the strand, which outlives this.
  PieceLoader(Executor& strand, Load load) : strand_(strand), load_(std::move(load)) {}
  // Waits until no piece is on the way.
  ~PieceLoader();
  PieceLoader(const PieceLoader&) = delete;

  // In this order. Waits while kMaxWaiting pieces are on the way; the error is an earlier one's.
  absl::Status Add(Rows piece) ABSL_LOCKS_EXCLUDED(mutex_);
  // Once all are loaded: OK, or the first error.
  absl::Status Finish() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  absl::Status AwaitAtMost(size_t waiting) ABSL_LOCKS_EXCLUDED(mutex_);

  Executor& strand_;
  const Load load_;
  absl::Mutex mutex_;
  size_t waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
