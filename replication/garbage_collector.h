// Frees runs that nothing references any more, and finds those that nobody ever will (P8).
#pragma once

#include <functional>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/run_pins.h"
#include "storage/replica_storage.h"
#include "storage/state_machine.h"

namespace meridian::replication {

// Confined to the replica's strand. Errors of its calls are the disk's or the state's.
class GarbageCollector {
 public:
  // `in_use`: the run is being written here, read here, or referenced by a log entry that a member
  // has not passed.
  GarbageCollector(storage::ReplicaStorage& storage, const storage::StateMachine& state_machine,
                   absl::Duration orphan_age, std::function<bool(RunId)> in_use)
      : storage_(storage),
        state_machine_(state_machine),
        orphan_age_(orphan_age),
        in_use_(std::move(in_use)) {}

  // Frees a bounded number of runs whose last reference was dropped at or below `up_to`, which
  // every member has passed and which is applied here. How many it freed. The log up to there goes
  // first: its entries may name, or have their bodies in, what is freed, and neither a restart nor
  // a member may be led to them any more. RESOURCE_EXHAUSTED: the disk is full, again later.
  absl::StatusOr<size_t> Collect(LogIndex up_to, LogIndex applied, Timestamp applied_timestamp);

  // Looks at the next few runs on the disk: those that nothing has known for the orphan age. Passes
  // over all runs begin a part of that age apart; in between, this does nothing.
  absl::StatusOr<std::vector<RunId>> FindOrphans(absl::Duration now);

  // Those of `runs`, as a member reports them, that nothing knows here either.
  absl::StatusOr<std::vector<RunId>> UnknownOf(const std::vector<RunId>& runs) const;

 private:
  absl::StatusOr<bool> IsUnknown(const storage::KvReader& state, RunId run) const;

  storage::ReplicaStorage& storage_;
  const storage::StateMachine& state_machine_;
  const absl::Duration orphan_age_;
  const std::function<bool(RunId)> in_use_;
  absl::Duration next_pass_;
  RunId passed_;  // of the pass under way: the last run looked at; nil: none
  // When each was first found unknown. Bounded; what does not fit is found by a later pass.
  std::map<RunId, absl::Duration> unknown_since_;
};

}  // namespace meridian::replication
