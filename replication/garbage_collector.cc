#include "replication/garbage_collector.h"

#include <algorithm>

#include "base/status.h"

namespace meridian::replication {
namespace {
// Bound the time that one call takes on the strand.
constexpr size_t kMaxFreed = 64;
constexpr size_t kMaxLookedAt = 256;
constexpr size_t kMaxUnknown = 1 << 16;
}  // namespace

absl::StatusOr<size_t> GarbageCollector::Collect(LogIndex up_to, LogIndex applied,
                                                 Timestamp applied_timestamp) {
  auto view = storage_.NewView();
  ASSIGN_OR_RETURN(auto garbage, state_machine_.CollectGarbage(*view, up_to, kMaxFreed, in_use_));
  if (!garbage.empty()) RETURN_IF_ERROR(storage_.TrimTo(up_to));
  for (const auto& found : garbage) {
    // In this order: after a crash in between, the run is found again and dropped again.
    RETURN_IF_ERROR(storage_.DropRun(found.run));
    RETURN_IF_ERROR(storage_.Apply(found.forget, applied, applied_timestamp));
  }
  return garbage.size();
}

absl::StatusOr<bool> GarbageCollector::IsOrphan(RunId run) const {
  if (in_use_(run)) return false;
  ASSIGN_OR_RETURN(bool known, state_machine_.KnowsRun(*storage_.NewView(), run));
  return !known;
}

absl::StatusOr<std::vector<RunId>> GarbageCollector::FindOrphans(absl::Duration now) {
  if (to_look_at_.empty() && now >= next_listing_) {
    ASSIGN_OR_RETURN(to_look_at_, storage_.ListRuns());
    next_listing_ = now + orphan_age_ / 4;
    std::sort(to_look_at_.begin(), to_look_at_.end());
    std::erase_if(unknown_since_, [&](const auto& entry) {
      return !std::binary_search(to_look_at_.begin(), to_look_at_.end(), entry.first);
    });
  }
  std::vector<RunId> orphans;
  for (size_t i = 0; i < kMaxLookedAt && !to_look_at_.empty(); ++i) {
    RunId run = to_look_at_.back();
    to_look_at_.pop_back();
    ASSIGN_OR_RETURN(bool orphan, IsOrphan(run));
    if (!orphan) {
      unknown_since_.erase(run);
    } else if (unknown_since_.size() < kMaxUnknown || unknown_since_.contains(run)) {
      auto since = unknown_since_.try_emplace(run, now).first->second;
      if (now - since >= orphan_age_) orphans.push_back(run);
    }
  }
  return orphans;
}

}  // namespace meridian::replication
