#include "replication/lost_search.h"

#include <vector>

namespace meridian::replication {
namespace {
constexpr size_t kMaxAtOnce = 4;
constexpr absl::Duration kPause = absl::Seconds(2);
// After all have been looked for.
constexpr absl::Duration kRest = absl::Minutes(1);
}  // namespace

void LostSearch::Tick(absl::Duration now) {
  if (now < next_) return;
  next_ = now + kPause;
  const size_t under_way = fetcher_.sought();
  if (under_way >= kMaxAtOnce) return;
  const size_t room = kMaxAtOnce - under_way;
  const std::vector<storage::ChunkId> lost = storage_.ListLost(after_, room);
  for (const storage::ChunkId& chunk : lost) fetcher_.Seek(chunk);
  if (lost.size() == room) {
    after_ = lost.back();
  } else {
    after_.reset();
    next_ = now + kRest;
  }
}

}  // namespace meridian::replication
