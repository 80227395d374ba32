#include "replication/lost_search.h"

#include <algorithm>
#include <vector>

namespace meridian::replication {
namespace {
constexpr size_t kMaxAtOnce = 4;
constexpr size_t kMaxLookedAt = 64;
constexpr size_t kMaxCounted = 1000;
constexpr absl::Duration kPause = absl::Seconds(2);
// After all have been looked for.
constexpr absl::Duration kRest = absl::Minutes(1);
}  // namespace

void LostSearch::Tick(absl::Duration now) {
  if (now < next_) return;
  next_ = now + kPause;
  const size_t under_way = fetcher_.sought();
  if (under_way >= kMaxAtOnce) return;
  size_t room = kMaxAtOnce - under_way;
  const bool shared = HasSiblings();
  const std::vector<storage::ChunkId> lost = storage_.ListLost(after_, kMaxLookedAt);
  for (const storage::ChunkId& chunk : lost) {
    if (room == 0) return;
    after_ = chunk;
    if (shared && !IsNeeded(chunk.run)) continue;
    fetcher_.Seek(chunk);
    --room;
  }
  if (lost.size() == kMaxLookedAt) return;
  // While nothing is lost, what is found damaged next need not wait.
  if (!after_) return;
  after_.reset();
  next_ = now + kRest;
}

uint64_t LostSearch::Count() const {
  if (!HasSiblings()) return storage_.lost_chunks();
  const std::vector<storage::ChunkId> lost = storage_.ListLost(std::nullopt, kMaxCounted);
  return std::count_if(lost.begin(), lost.end(),
                       [this](const storage::ChunkId& chunk) { return IsNeeded(chunk.run); });
}

bool LostSearch::IsNeeded(RunId run) const {
  if (own_.MayNeedAny() || own_.Holds(run)) return true;
  const absl::StatusOr<bool> known = own_.Knows(run);
  return !known.ok() || *known;  // in doubt it is looked for
}

}  // namespace meridian::replication
