// What a replica tells of itself: for placement, administrators, metrics, tests.
#pragma once

#include <cstdint>
#include <map>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/histogram.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/counters.h"
#include "replication/core/group_config.h"

namespace meridian::replication {

struct ReplicaStatus {
  bool is_leader = false;
  // Leads, and its epoch-start entry has committed: serves.
  bool is_serving = false;
  ReplicaId leader;  // nil if unknown
  Epoch epoch;
  LogIndex last_index;
  // The end of what is durable here with all that it references, as adoption compares it, and the
  // time that its leader's clock gave that entry, or an earlier one if that is not known.
  Epoch durable_epoch;
  LogIndex durable_index;
  Timestamp durable_time;
  LogIndex commit_index;
  LogIndex applied_index;
  Timestamp applied_time;
  // What a leader has told that every member had; above the own log's end if this one was left to a
  // snapshot.
  LogIndex freeable_index;
  uint64_t corrupt_chunks = 0;
  uint64_t repaired_chunks = 0;
  // Chunks that entries, or a snapshot's rows, wait for here. A count that stays says that a voter
  // which is silent or busy may have what no other has.
  uint64_t chunks_awaited = 0;
  // Chunks of which there is no good copy here now, recorded as lost or known to be damaged; also
  // of earlier processes' lives. They are searched for in the background, on members that have just
  // left too: one of those may have the last copy.
  uint64_t chunks_without_copy = 0;
  // A snapshot is being installed: the state is not usable.
  bool installing = false;
  // Not OK once the disk has failed: the replica no longer votes, stores or serves.
  absl::Status health;
  // Why the group's configuration could not be changed at the last attempt (a full coordination
  // store, say); OK: it could, or was not tried.
  absl::Status last_swap;
  // While leading: whether the configuration's entry has committed, and whether there are learners,
  // a joint configuration, or members that ChangeMembers has asked for and that are not yet.
  bool config_committed = false;
  bool changing_members = false;
  // The newest known, and, while leading: how long each other replica of it has been silent.
  GroupConfig config;
  std::map<ReplicaId, absl::Duration> silence;
  // While leading, of members that are being sent a snapshot: for how long it has made no progress,
  // though they answer. A count that grows says that the member has no room, or waits for a chunk.
  struct SnapshotProgress {
    absl::Duration stalled;
    bool disk_full = false;  // by the member's last word
  };
  std::map<ReplicaId, SnapshotProgress> snapshots;
  // While leading: how many of this log's entries each other replica is not known to have durably.
  std::map<ReplicaId, uint64_t> lag;
  // Proposals and reads that have not been answered yet.
  uint64_t proposals_waiting = 0;
  uint64_t reads_waiting = 0;
  // From its proposal here until a command was applied, in microseconds.
  HistogramCounts commit_latency;
  ReplicaCounters counters;
};

}  // namespace meridian::replication
