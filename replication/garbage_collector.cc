#include "replication/garbage_collector.h"

#include "base/status.h"

namespace meridian::replication {
namespace {
// Bound the time that one call takes on the strand.
constexpr size_t kMaxFreed = 64;
constexpr size_t kMaxLookedAt = 128;
constexpr size_t kMaxUnknown = 1 << 16;

absl::StatusOr<bool> IsNeeded(RunId run, const storage::RunNeeds& needs) {
  if (needs.Holds(run)) return true;
  return needs.Knows(run);
}
}  // namespace

absl::StatusOr<size_t> GarbageCollector::Collect(LogIndex up_to, LogIndex applied,
                                                 Timestamp applied_timestamp) {
  const storage::RunNeeds* siblings = storage_.siblings();
  if (siblings != nullptr && siblings->MayNeedAny()) return 0;
  auto held = [this, siblings](RunId run) {
    return own_.Holds(run) || (siblings != nullptr && siblings->Holds(run));
  };
  auto view = storage_.NewView();
  ASSIGN_OR_RETURN(auto garbage, state_machine_.CollectGarbage(*view, up_to, kMaxFreed, held));
  if (!garbage.empty()) RETURN_IF_ERROR(storage_.TrimTo(up_to));
  for (const auto& found : garbage) {
    bool shared = false;
    if (siblings != nullptr) {
      ASSIGN_OR_RETURN(shared, siblings->Knows(found.run));
    }
    // In this order: after a crash in between, the run is found again and dropped again.
    if (!shared) RETURN_IF_ERROR(storage_.DropRun(found.run));
    RETURN_IF_ERROR(storage_.Apply(found.forget, applied, applied_timestamp));
  }
  return garbage.size();
}

absl::StatusOr<std::vector<RunId>> GarbageCollector::UnknownOf(
    const std::vector<RunId>& runs) const {
  std::vector<RunId> unknown;
  for (const RunId& run : runs) {
    ASSIGN_OR_RETURN(const bool needed, IsNeeded(run, own_));
    if (!needed) unknown.push_back(run);
  }
  return unknown;
}

absl::StatusOr<bool> GarbageCollector::IsOrphan(const storage::ReplicaStorage::StoredRun& stored,
                                                const storage::RunNeeds* siblings) const {
  if (stored.owner == storage::RunOwner::kSibling) return false;
  ASSIGN_OR_RETURN(bool needed, IsNeeded(stored.run, own_));
  if (!needed && siblings != nullptr) {
    ASSIGN_OR_RETURN(needed, IsNeeded(stored.run, *siblings));
  }
  return !needed;
}

absl::StatusOr<GarbageCollector::Orphans> GarbageCollector::FindOrphans(absl::Duration now) {
  Orphans orphans;
  if (now < next_pass_) return orphans;
  const storage::RunNeeds* siblings = storage_.siblings();
  if (siblings != nullptr && siblings->MayNeedAny()) return orphans;
  ASSIGN_OR_RETURN(const auto runs, storage_.ListRuns(passed_, kMaxLookedAt));
  const bool ends_pass = runs.size() < kMaxLookedAt;
  // Both are in order of id: what was noted of this part of the runs is noted anew.
  auto noted = unknown_since_.upper_bound(passed_);
  for (const auto& stored : runs) {
    ASSIGN_OR_RETURN(const bool is_orphan, IsOrphan(stored, siblings));
    if (!is_orphan) continue;
    const RunId run = stored.run;
    while (noted != unknown_since_.end() && noted->first < run) noted = unknown_since_.erase(noted);
    if (noted == unknown_since_.end() || noted->first != run) {
      if (unknown_since_.size() == kMaxUnknown) continue;
      noted = unknown_since_.emplace_hint(noted, run, now);
    }
    if (now - noted->second >= orphan_age_) {
      if (stored.owner == storage::RunOwner::kSelf) {
        orphans.to_abort.push_back(run);
      } else {
        RETURN_IF_ERROR(storage_.DropRun(run));
        ++orphans.freed;
      }
    }
    ++noted;
  }
  while (noted != unknown_since_.end() && (ends_pass || noted->first <= runs.back().run)) {
    noted = unknown_since_.erase(noted);
  }
  passed_ = ends_pass ? RunId() : runs.back().run;
  if (ends_pass) next_pass_ = now + orphan_age_ / 4;
  return orphans;
}

}  // namespace meridian::replication
