#include "replication/garbage_collector.h"

#include "base/status.h"

namespace meridian::replication {
namespace {
// Bound the time that one call takes on the strand.
constexpr size_t kMaxFreed = 64;
constexpr size_t kMaxLookedAt = 128;
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

absl::StatusOr<bool> GarbageCollector::IsUnknown(const storage::KvReader& state, RunId run) const {
  if (in_use_(run)) return false;
  ASSIGN_OR_RETURN(const bool known, state_machine_.KnowsRun(state, run));
  return !known;
}

absl::StatusOr<std::vector<RunId>> GarbageCollector::UnknownOf(
    const std::vector<RunId>& runs) const {
  const auto state = storage_.NewView();
  std::vector<RunId> unknown;
  for (const RunId& run : runs) {
    ASSIGN_OR_RETURN(const bool is_unknown, IsUnknown(*state, run));
    if (is_unknown) unknown.push_back(run);
  }
  return unknown;
}

absl::StatusOr<std::vector<RunId>> GarbageCollector::FindOrphans(absl::Duration now) {
  std::vector<RunId> orphans;
  if (now < next_pass_) return orphans;
  ASSIGN_OR_RETURN(const std::vector<RunId> runs, storage_.ListRuns(passed_, kMaxLookedAt));
  ASSIGN_OR_RETURN(const std::vector<RunId> unknown, UnknownOf(runs));
  const bool ends_pass = runs.size() < kMaxLookedAt;
  // Both are in order of id: what was noted of this part of the runs is noted anew.
  auto noted = unknown_since_.upper_bound(passed_);
  for (const RunId& run : unknown) {
    while (noted != unknown_since_.end() && noted->first < run) noted = unknown_since_.erase(noted);
    if (noted == unknown_since_.end() || noted->first != run) {
      if (unknown_since_.size() == kMaxUnknown) continue;
      noted = unknown_since_.emplace_hint(noted, run, now);
    }
    if (now - noted->second >= orphan_age_) orphans.push_back(run);
    ++noted;
  }
  while (noted != unknown_since_.end() && (ends_pass || noted->first <= runs.back())) {
    noted = unknown_since_.erase(noted);
  }
  passed_ = ends_pass ? RunId() : runs.back();
  if (ends_pass) next_pass_ = now + orphan_age_ / 4;
  return orphans;
}

}  // namespace meridian::replication
