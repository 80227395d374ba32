// How often each thing happened that a simulation is there to make happen.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace meridian::simulation {

struct Totals {
  uint64_t operations = 0;
  uint64_t leader_changes = 0;
  // Of leaders that heard no quorum.
  uint64_t suspensions = 0;
  // Of those: with learners, or joint members.
  uint64_t suspensions_in_changes = 0;
  // Joint configurations that ended in the new members alone.
  uint64_t member_changes = 0;
  uint64_t crashes_that_lost_bytes = 0;
  uint64_t messages_dropped = 0;
  uint64_t messages_reordered = 0;
  uint64_t messages_duplicated = 0;
  uint64_t snapshots = 0;
  uint64_t stale_epochs_rejected = 0;
  // Of configuration swaps whose callers were told UNAVAILABLE, and of clients' operations.
  uint64_t unknown_swaps = 0;
  uint64_t unknown_outcomes = 0;
  uint64_t retries = 0;
  uint64_t preconditions_failed = 0;
  uint64_t entries_truncated = 0;
  uint64_t chunks_repaired = 0;
  uint64_t runs_freed = 0;
  uint64_t orphans_aborted = 0;
  uint64_t splits_finished = 0;
  // Children that were removed: the entry that splits never came into the log, or was refused.
  uint64_t splits_given_up = 0;
  // Replicas of children.
  uint64_t children_built = 0;
  uint64_t children_by_snapshot = 0;
  uint64_t moved_answers = 0;
  // Changes of a container's redundancy: all, those that came to their end, and those that were
  // taken back before.
  uint64_t conversions_begun = 0;
  uint64_t conversions_ended = 0;
  uint64_t conversions_taken_back = 0;

  void Add(const Totals& other);
  // One "name value" a line.
  std::string ToString() const;
  // What never happened.
  std::vector<std::string> Zeros() const;
};

}  // namespace meridian::simulation
