// The replica state machine: pure. Inputs are messages, ticks, disk completions, the coordination
// store's answers; the output is what to send, persist and apply. It holds no thread, clock, socket
// or file. After the model of etcd's raft (rawnode.go), with leaders named by a compare-and-swap in
// the coordination store instead of by votes.
//
// After every input, call TakeOutput and act on it. Not thread-safe: confined to a strand.
#pragma once

#include <deque>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "base/strong_int.h"
#include "replication/core/campaign.h"
#include "replication/core/core_output.h"
#include "replication/core/counters.h"
#include "replication/core/group_config.h"
#include "replication/core/leadership.h"
#include "replication/core/log_view.h"
#include "replication/core/messages.h"
#include "replication/core/quorum.h"
#include "storage/log_entry.h"
#include "storage/replica_storage.h"

namespace meridian::replication {

class ReplicaCore {
 public:
  // `session` is fresh for each process life (P1). `reader` and `random` outlive the core.
  ReplicaCore(ReplicaId self, SessionId session, GroupConfig config,
              const storage::RecoveredReplica& recovered, const CoreOptions& options,
              const LogReader& reader, Random& random, absl::Duration now);

  void OnMessage(ReplicaId from, CoreMessage message, absl::Duration now);
  void Tick(absl::Duration now);
  void OnPersisted(uint64_t persist_id, absl::Duration now);
  void OnComplete(LogPosition position) { log_.MarkComplete(position); }
  // What the store holds, read linearizably.
  void OnConfig(const GroupConfig& config, absl::Duration now);
  void OnApplied(LogIndex index, Timestamp timestamp);
  // The LogReader has what it was asked for.
  void OnLogRead(absl::Duration now);
  // Storage keeps only entries above `base`.
  void OnTrimmed(LogIndex base);

  // Appends a command; `entry` comes without epoch, index and timestamp, and its chunks are durable
  // here. The entry's place, or UNAVAILABLE if this replica does not serve.
  absl::StatusOr<LogPosition> Propose(storage::LogEntry entry, Timestamp wall_now);
  // As a serving leader: makes `members` the group's voters, in swaps of one epoch each (P4): they
  // join as learners; once they keep up the configuration is joint; once that has committed in both
  // sets, it is `members` alone. A leader that is not among them offers the leadership to one of
  // them, and serves until that one leads. A later call replaces the target; a leader that finds a
  // joint configuration finishes it without being asked. Forgotten with the leadership: compare
  // config(), and ask again.
  // UNAVAILABLE if this replica does not serve; INVALID_ARGUMENT: none, a replica or node twice, or
  // a new replica on the disk of one that the group has.
  absl::Status ChangeMembers(std::vector<Member> members);
  // As a serving leader: offers the leadership to a member, once, and serves until that one leads
  // (if it ever does: it needs the coordination store). UNAVAILABLE if this replica does not serve;
  // FAILED_PRECONDITION if the other is no member, does not keep up, or was the slowest by far
  // lately.
  absl::Status OfferLeadership(ReplicaId to, absl::Duration now);
  // Ends in CoreOutput::reads or leadership_lost. UNAVAILABLE if this replica does not serve.
  absl::Status ConfirmRead(uint64_t read_id);

  // Where a snapshot that this leader sends now would stand. nullopt while none is of use: it has
  // to hold what may be freed, and everything committed before this epoch once that is known.
  // Without a quorum it is not, and a member that needs a snapshot may be the one that is missing.
  std::optional<LogPosition> SnapshotPosition() const;
  enum class SnapshotVerdict {
    kInstall,  // nothing that was acknowledged is discarded by it
    kPresent,  // the log here holds all of it durably
    kRefuse,   // too old, or about to be durable here
  };
  // As a receiver: what to do with a snapshot that the leader of the promised epoch offers.
  SnapshotVerdict JudgeSnapshot(LogPosition last);
  // As a receiver: state and log are gone (P6); then: replaced by a snapshot, durable.
  void BeginInstall();
  void FinishInstall(LogPosition last, Timestamp timestamp, absl::Duration now);
  // As a leader: a snapshot to `peer`, standing at `index`, was begun; has ended (nullopt: failed).
  void OnSnapshotStarted(ReplicaId peer, LogIndex index);
  void OnSnapshotEnded(ReplicaId peer, std::optional<LogIndex> installed);

  CoreOutput TakeOutput(absl::Duration now);
  // When to Tick next at the latest; InfiniteDuration if only an input can change anything.
  absl::Duration NextDeadline() const;

  // It leads, and hears a quorum.
  bool is_leader() const { return leadership_ != nullptr && !leadership_->suspended(); }
  bool is_serving() const { return is_leader() && commit_ >= leadership_->start(); }
  // While leading: this epoch's entry has committed; other members are on the way, or asked for.
  bool config_committed() const { return leadership_ && commit_ >= leadership_->epoch_start(); }
  bool changing_members() const;
  bool is_installing() const { return installing_; }
  ReplicaId leader() const { return is_leader() ? self_ : leader_; }
  Epoch promised() const { return promised_; }
  const GroupConfig& config() const { return config_; }
  LogIndex commit_index() const { return commit_; }
  // Every member has durably passed it, as far as this replica knows (P8).
  LogIndex freeable_index() const { return freeable_; }
  // Leadership::AwaitedFrom; while another leads, freeable_index(): it goes by that one's.
  LogIndex awaited_from(absl::Duration now) const;
  const LogView& log() const { return log_; }
  const Leadership* leadership() const { return leadership_.get(); }
  const ReplicaCounters& counters() const { return counters_; }
  absl::StatusOr<std::vector<storage::LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                         size_t max_bytes) const {
    return log_.Read(first, last, max_bytes, reader_);
  }

  // Everything that can be checked on one replica; stops the process if it does not hold.
  void CheckInvariants() const;

 private:
  // Follower: replica_core_follower.cc.
  void On(ReplicaId from, Append& append, absl::Duration now);
  void On(ReplicaId from, const Probe& probe, absl::Duration now);
  void On(ReplicaId from, const Fence& fence, absl::Duration now);
  void On(ReplicaId from, const FetchLog& fetch, absl::Duration now);
  void FollowAppend(ReplicaId from, Append& append);
  void RefuseStale(ReplicaId from, CoreMessage reply);
  void HeardLeader(absl::Duration now);
  void FlushReplies();
  // Adds what is new of `entries` (consecutive, from the log that this one shall equal), replacing
  // what differs.
  void Merge(std::vector<storage::LogEntry>& entries);
  void Truncate(LogIndex first);

  // Campaign: replica_core_campaign.cc.
  void On(ReplicaId from, const ProbeReply& reply, absl::Duration now);
  void On(ReplicaId from, const FenceReply& reply, absl::Duration now);
  void On(ReplicaId from, FetchLogReply& reply, absl::Duration now);
  void On(ReplicaId from, const HandOver& hand_over, absl::Duration now);
  bool MayCampaign() const;
  void BeginProbe(absl::Duration now);
  void MaybeWinProbe(absl::Duration now);
  void BeginSwap(absl::Duration now);
  void BeginFence(absl::Duration now);
  void MaybeWinFence(absl::Duration now);
  void GiveTo(ReplicaId better, Epoch epoch, absl::Duration now);
  void SendCampaignMessages(absl::Duration now);
  void TickCampaign(absl::Duration now);
  void BeginLeading(absl::Duration now);
  absl::Duration RandomTimeout();

  // Change of members: replica_core_members.cc.
  bool AdoptOwnSwap(const GroupConfig& config, absl::Duration now);
  void AdvanceMembers(absl::Duration now);
  void NoteCommitted(absl::Duration now);
  std::optional<GroupConfig> NextMembership(absl::Duration now) const;
  bool KeepsUp(const Member& member, absl::Duration now) const;
  void HandOverToMember(absl::Duration now);
  void OfferToFaster(absl::Duration now);

  // Shared: replica_core.cc.
  void On(ReplicaId from, const AppendReply& reply, absl::Duration now);
  void RaisePromise(Epoch epoch);
  void SetConfig(const GroupConfig& config);
  void BecomeFollower(ReplicaId leader, absl::Duration now);
  void DriveLeadership(absl::Duration now);
  // Another member has promised `epoch`, above ours.
  void SawHigherEpoch(absl::Duration now);
  void OnRecovery(absl::Duration now);
  void OnLeftOut(absl::Duration now);
  void AppendOwn(storage::LogEntry entry, Timestamp at_least);
  void Recount();
  void CollectPersist();
  void Send(ReplicaId to, CoreMessage message) {
    out_.messages.push_back({to, std::move(message)});
  }

  const ReplicaId self_;
  const SessionId session_;
  const CoreOptions options_;
  const LogReader& reader_;
  Random& random_;

  GroupConfig config_;  // the newest known
  Quorum quorum_;       // of config_
  LogView log_;
  bool installing_;

  // Nothing below is accepted (I3). Messages that promise it wait until it is durable.
  Epoch promised_;
  Epoch issued_promise_;
  Epoch durable_promise_;
  struct InFlightPromise {
    uint64_t persist_id;
    Epoch promise;
  };
  std::vector<InFlightPromise> in_flight_promises_;
  uint64_t next_persist_id_ = 1;

  // Never goes back (I5), but to nothing when an install begins, and to what is complete here when
  // this replica goes on alone (P23).
  LogIndex commit_;
  LogIndex applied_;  // <= min(commit, durable)
  Timestamp applied_timestamp_;
  LogIndex freeable_;

  // As a follower of `leader_` in epoch promised_.
  ReplicaId leader_;  // nil: unknown
  LogIndex matched_;  // the log equals the leader's up to here
  bool reply_owed_ = false;
  uint64_t read_round_ = 0;
  std::optional<ReplicaId> fence_reply_owed_;
  // Until the disk has been read.
  std::optional<std::pair<ReplicaId, FetchLog>> fetch_waiting_;
  absl::Duration last_heard_;
  absl::Duration election_deadline_;

  // At most one of them is set; none: a follower.
  std::optional<Campaign> campaign_;
  std::unique_ptr<Leadership> leadership_;
  // While leading: the voters to reach, and until when the swap under way is waited for.
  std::optional<std::vector<Member>> target_members_;
  std::optional<absl::Duration> swap_deadline_;
  // What was committed at the last heartbeats, the oldest first: a member that has all of the first
  // keeps up.
  std::deque<LogIndex> committed_lately_;
  absl::Duration next_committed_;
  // To whom this leader, which leaves the group, has offered the leadership last.
  ReplicaId last_offer_;
  // When this replica, as a leader that is slow, may offer the leadership to a faster one again.
  absl::Duration next_offer_to_faster_;
  // The epoch that a leader has offered to hand over, whose configuration is being read; and until
  // when the offer stands.
  std::optional<Epoch> offered_;
  absl::Duration offered_until_;
  uint64_t probe_round_ = 0;
  Timestamp last_timestamp_;  // of the last entry, while leading

  ReplicaCounters counters_;
  CoreOutput out_;
};

}  // namespace meridian::replication
