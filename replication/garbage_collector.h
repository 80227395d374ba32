// Frees runs that nothing references any more, and finds those that nobody ever will (P8). Never
// those that a sibling, another replica of the container on this disk, needs or may need.
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/replica_storage.h"
#include "storage/run_needs.h"
#include "storage/state_machine.h"

namespace meridian::replication {

// Confined to the replica's strand. Errors of its calls are the disk's or the state's.
class GarbageCollector {
 public:
  // `own` is this replica's; all outlive it.
  GarbageCollector(storage::ReplicaStorage& storage, const storage::StateMachine& state_machine,
                   const storage::RunNeeds& own, absl::Duration orphan_age)
      : storage_(storage), state_machine_(state_machine), own_(own), orphan_age_(orphan_age) {}

  // Frees a bounded number of runs whose last reference was dropped at or below `up_to`, which
  // every member has passed and which is applied here. One that a sibling knows is only forgotten
  // here: it is the sibling's to free. How many it has done with. The log up to there goes
  // first: its entries may name, or have their bodies in, what is freed, and neither a restart nor
  // a member may be led to them any more. RESOURCE_EXHAUSTED: the disk is full, again later.
  absl::StatusOr<size_t> Collect(LogIndex up_to, LogIndex applied, Timestamp applied_timestamp);

  // Looks at the next few runs on the disk: those that nothing, and no sibling, has known for the
  // orphan age. Passes over all runs begin a part of that age apart; in between, this does nothing.
  // RESOURCE_EXHAUSTED: as above.
  struct Orphans {
    // This partition's: to be aborted by its log (P8).
    std::vector<RunId> to_abort;
    // Of partitions that have no replica on this disk any more: freed here, and only here. No group
    // speaks for all disks that hold them.
    size_t freed = 0;
  };
  absl::StatusOr<Orphans> FindOrphans(absl::Duration now);

  // Those of `runs`, as a member reports them, that this partition does not know here either. A
  // sibling may: each disk asks its own before it frees one.
  absl::StatusOr<std::vector<RunId>> UnknownOf(const std::vector<RunId>& runs) const;

 private:
  absl::StatusOr<bool> IsOrphan(const storage::ReplicaStorage::StoredRun& stored,
                                const storage::RunNeeds* siblings) const;

  storage::ReplicaStorage& storage_;
  const storage::StateMachine& state_machine_;
  const storage::RunNeeds& own_;
  const absl::Duration orphan_age_;
  absl::Duration next_pass_;
  RunId passed_;  // of the pass under way: the last run looked at; nil: none
  // When each was first found unknown. Bounded; what does not fit is found by a later pass.
  std::map<RunId, absl::Duration> unknown_since_;
};

}  // namespace meridian::replication
