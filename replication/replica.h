// One replica of a partition: drives the pure core with messages, timers, disk completions and the
// coordination store, applies committed entries, moves chunks and snapshots, collects garbage.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/cord.h"
#include "absl/time/time.h"
#include "base/buffer.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "base/strong_int.h"
#include "coordination/coordination_store.h"
#include "replication/core/group_config.h"
#include "replication/replica_status.h"
#include "replication/transport.h"
#include "storage/log_entry.h"
#include "storage/replica_storage.h"
#include "storage/state_machine.h"

namespace meridian::replication {

class RebuildThrottle;

struct Proposal {
  std::string command;
  Buffer inline_body;
  RunId inline_run;
  uint32_t inline_crc32c = 0;
  std::vector<storage::ChunkRange> chunks;
};

struct Applied {
  std::string outcome;  // of StateMachine::Apply
  LogIndex index;
  Timestamp timestamp;
};

struct ReplicaOptions {
  absl::Duration heartbeat_interval = absl::Milliseconds(150);
  // A member that has not heard the leader for a random time in [1, 2] x this asks the others (P3).
  absl::Duration election_timeout = absl::Milliseconds(1500);
  // A proposal or read that has not been decided by then is answered UNAVAILABLE (outcome unknown).
  absl::Duration request_timeout = absl::Seconds(10);
  size_t max_append_bytes = 1 << 20;
  // Entries sent to one peer and not acknowledged yet.
  size_t max_inflight_append_bytes = 8 << 20;
  size_t max_inflight_proposals = 4096;  // more: RESOURCE_EXHAUSTED
  // Likewise; of entries in the leader's log that it has not applied. A proposal that was answered
  // by the timeout still counts.
  size_t max_inflight_proposal_bytes = 32 << 20;
  // A larger entry is refused with INVALID_ARGUMENT: it has to fit a record of every member's
  // journal, with its framing.
  size_t max_entry_bytes = (4 << 20) - (64 << 10);
  // Entries handed to the disk and not durable yet.
  size_t max_persisting_bytes = 2 << 20;
  // Of WriteChunk calls not answered yet; more: RESOURCE_EXHAUSTED.
  size_t max_inflight_chunk_bytes = 128 << 20;
  // Recent entries kept in memory for slower peers.
  size_t max_cached_log_bytes = 4 << 20;
  // Applied entries kept for members that lag; a member further behind needs a snapshot.
  uint64_t retained_log_entries = 16384;
  // Likewise for one that answers, and for one that installs a snapshot: writes that come faster
  // than a snapshot does must not leave it behind the log again, for ever.
  uint64_t retained_for_answering = 262'144;
  absl::Duration garbage_interval = absl::Seconds(2);
  // A run that no state, log entry or running write knows for this long is aborted (P8).
  absl::Duration orphan_age = absl::Minutes(10);
  // Digests are computed on a thread of their own; false (for a simulation): on the strand.
  bool digest_on_own_thread = false;
};

// Of the two kinds of RESOURCE_EXHAUSTED that WriteChunk answers: the disks of too many replicas
// are full, which lasts, instead of too much in flight, which passes.
inline constexpr char kDiskFullPayload[] = "meridian/disk-full";
inline absl::Status DiskFullError(absl::string_view message) {
  absl::Status status = absl::ResourceExhaustedError(message);
  status.SetPayload(kDiskFullPayload, absl::Cord());
  return status;
}
inline bool IsDiskFull(const absl::Status& status) {
  return status.GetPayload(kDiskFullPayload).has_value();
}

// What the voters of a group say of a part of the state, each after it has applied the same entry.
struct StateComparison {
  LogIndex index;
  // Of every voter: the hash, or why there is none: OUT_OF_RANGE, it was past the entry already;
  // UNAVAILABLE, it has not answered; RESOURCE_EXHAUSTED, it is busy.
  std::map<ReplicaId, absl::StatusOr<std::string>> digests;
};

// Public calls are thread-safe and post to the replica's strand; callbacks run there and must not
// block. Errors: UNAVAILABLE (not the leader, no quorum, stopped: retry elsewhere or later; of
// Propose the outcome is then unknown), RESOURCE_EXHAUSTED, DATA_LOSS, INVALID_ARGUMENT (an entry
// or chunk that no disk could take).
class Replica {
 public:
  // All references outlive the replica. `storage` belongs to `self`.
  struct Environment {
    Executor& strand;
    Clock& clock;
    Random& random;
    Transport& transport;
    coordination::CoordinationStore& coordination;
    std::unique_ptr<storage::ReplicaStorage> storage;
    const storage::StateMachine& state_machine;
    // Encodes the command that aborts a run nobody knows (P8); commands are opaque here.
    std::function<std::string(RunId)> encode_abort_run;
    // Called once, on the strand, when the disk (or the state on it) has failed and the replica has
    // taken itself out of service. May be empty. Must not destroy the replica during the call.
    std::function<void(const absl::Status&)> on_failure;
    // Of what snapshots bring here; outlives the strand. Null: as fast as it goes.
    RebuildThrottle* rebuild_throttle = nullptr;
  };

  virtual ~Replica() = default;

  // Commits and applies a command; `done` after its entry is durable on a quorum and applied (I1).
  virtual void Propose(Proposal proposal, std::function<void(absl::StatusOr<Applied>)> done) = 0;

  // After OK, a NewView taken then holds every write acknowledged before this call (I2): a quorum
  // has confirmed the leadership since. Many waiting reads share one round.
  virtual void ConfirmRead(std::function<void(absl::Status)> done) = 0;

  // Any thread; see ConfirmRead for when it may be served from.
  virtual std::unique_ptr<storage::KvReader> NewView() const = 0;

  // Sends a chunk's ciphertext to every replica; `done` when it is durable on a write quorum. The
  // run counts as active, and is not taken for an orphan, until EndRun. RESOURCE_EXHAUSTED: see
  // IsDiskFull.
  virtual void WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c,
                          std::function<void(absl::Status)> done) = 0;
  virtual void EndRun(RunId run) = 0;

  // Bytes of a chunk from this disk, or, if missing or corrupt here, from a peer: then the local
  // copy is repaired and counted. Blocks the calling thread, which must not be a strand's.
  virtual absl::StatusOr<Buffer> ReadChunk(storage::ChunkId chunk, size_t offset, size_t size,
                                           absl::Duration timeout) = 0;
  // Without blocking: the whole ciphertext of a chunk from a peer, which also repairs the copy
  // here. DATA_LOSS if every peer says that it has no good copy; UNAVAILABLE if none has delivered
  // it within the request timeout.
  virtual void FetchChunk(storage::ChunkId chunk,
                          std::function<void(absl::StatusOr<Buffer>)> done) = 0;
  // While the pin lives, this replica does not free the run's chunks (a running read).
  virtual std::shared_ptr<void> PinRun(RunId run) = 0;

  // As the serving leader: begins to make `members` the group's voters
  // (ReplicaCore::ChangeMembers). Forgotten when this replica stops leading. UNAVAILABLE,
  // INVALID_ARGUMENT.
  virtual void ChangeMembers(std::vector<Member> members,
                             std::function<void(absl::Status)> done) = 0;

  // As ReplicaCore::OfferLeadership.
  virtual void OfferLeadership(ReplicaId to, std::function<void(absl::Status)> done) = 0;

  virtual void GetStatus(std::function<void(ReplicaStatus)> done) = 0;
  // SHA-256 of the applied state, with the index that it stands at.
  virtual void GetDigest(
      std::function<void(absl::StatusOr<std::pair<LogIndex, std::string>>)> done) = 0;

  // As the serving leader: what each voter's state has in the rows with keys in [first, end), after
  // the entry that is the last one in the log now. UNAVAILABLE.
  virtual void CompareState(std::string first, std::string end,
                            std::function<void(absl::StatusOr<StateComparison>)> done) = 0;
  // ReplicaStorage::StoredBytes. Any thread.
  virtual uint64_t StoredBytes() const = 0;

  // On the strand: a message for this replica; the configuration may have changed (a hint).
  virtual void OnMessage(PeerMessage message) = 0;
  virtual void OnConfigHint() = 0;
  // On the strand: whether the newest configuration known here names that replica on that node, or
  // one of those before did: it may be asked for what it took along. The newest may have come from
  // the leader, and be newer than what the coordination store last showed.
  virtual bool HasMember(ReplicaId replica, const NodeId& node) const = 0;

  // On the strand: stops the process if an invariant of the protocol does not hold here.
  virtual void CheckInvariants() const {}

  // On the strand: answers everything that waits with UNAVAILABLE and refuses what comes later.
  // Lets calls blocked in ReadChunk return before the replica is destroyed.
  virtual void Stop() = 0;
};

// Keys of the coordination store that replication owns.
// "group/<partition hex>" -> encoded meridian.internal.v1.GroupConfig.
std::string GroupConfigKey(PartitionId partition);
std::string EncodeGroupConfig(const GroupConfig& config);
absl::StatusOr<GroupConfig> DecodeGroupConfig(std::string_view encoded);

// Call and destroy on the strand; no public call may be running on another thread then (see Stop).
// Destruction cancels its timers, answers what waits with UNAVAILABLE, and no callback runs after.
std::unique_ptr<Replica> MakeReplica(PartitionId partition, ReplicaId self, GroupConfig config,
                                     int64_t config_revision, const ReplicaOptions& options,
                                     Replica::Environment environment);

}  // namespace meridian::replication
