// What a replica has seen since its process started; for status, tests and simulations.
#pragma once

#include <cstdint>

namespace meridian::replication {

struct ReplicaCounters {
  // Times this replica began to lead, and times it stopped.
  uint64_t leaderships_begun = 0;
  uint64_t leaderships_lost = 0;
  // Times this replica led and heard no quorum for an election timeout.
  uint64_t suspensions = 0;
  // Epochs that this replica raised in place, as the leader, to change the members (P4).
  uint64_t member_changes = 0;
  // Swaps of the configuration that the coordination store has not carried out; not those that
  // another member's swap came before.
  uint64_t swaps_failed = 0;
  // Probe rounds that this replica began because it did not hear a leader.
  uint64_t probes_begun = 0;
  // Messages refused because their epoch was below the promised one (I3).
  uint64_t stale_epochs_rejected = 0;
  // Appends refused because the log before them differs or is missing.
  uint64_t appends_rejected = 0;
  // Uncommitted entries that a newer leader's log replaced.
  uint64_t entries_truncated = 0;
  // Leaderships given up because another member's log had to be preferred and could not be fetched,
  // and offered: because this replica leaves the group, is slow, or was asked to.
  uint64_t hand_overs = 0;
  uint64_t snapshots_sent = 0;
  uint64_t snapshots_installed = 0;
  uint64_t chunks_fetched = 0;
  // Chunks of committed entries that no peer could deliver, recorded as lost here.
  uint64_t chunks_lost = 0;
  uint64_t runs_freed = 0;
  uint64_t orphans_aborted = 0;
  // Messages from peers that could not be decoded or named something that does not exist.
  uint64_t malformed_messages = 0;
};

}  // namespace meridian::replication
