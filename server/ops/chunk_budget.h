// Bounds the chunks that all streams of a node have in flight together: each stream bounds its own,
// but not how many streams there are.
#pragma once

#include <cstddef>
#include <memory>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian::ops {

// Thread-safe. What it has handed out may outlive it.
class ChunkBudget {
 public:
  explicit ChunkBudget(size_t max_chunks);
  ~ChunkBudget();

  // Blocks until a chunk may be in flight; it counts until the last copy of the result is gone.
  // DEADLINE_EXCEEDED.
  absl::StatusOr<std::shared_ptr<void>> Acquire(absl::Time deadline);

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace meridian::ops
