#include "server/ops/chunk_budget.h"

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "server/ops/errors.h"

namespace meridian::ops {

struct ChunkBudget::State {
  absl::Mutex mutex;
  size_t free ABSL_GUARDED_BY(mutex) = 0;
};

ChunkBudget::ChunkBudget(size_t max_chunks) : state_(std::make_shared<State>()) {
  absl::MutexLock lock(&state_->mutex);
  state_->free = max_chunks;
}

ChunkBudget::~ChunkBudget() = default;

absl::StatusOr<std::shared_ptr<void>> ChunkBudget::Acquire(absl::Time deadline) {
  absl::MutexLock lock(&state_->mutex);
  const auto has_free = [state = state_.get()] {
    state->mutex.AssertReaderHeld();
    return state->free > 0;
  };
  if (!state_->mutex.AwaitWithDeadline(absl::Condition(&has_free), deadline)) {
    return DeadlineExceeded("wait for other streams' chunks");
  }
  --state_->free;
  return std::shared_ptr<void>(nullptr, [state = state_](void*) {
    absl::MutexLock lock(&state->mutex);
    ++state->free;
  });
}

}  // namespace meridian::ops
