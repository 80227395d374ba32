// What a replica does while it leads: follows each member's progress, fills their pipelines, counts
// commits, confirms reads. Lives from its first epoch-start entry until somebody else has a higher
// epoch; a change of members raises its epoch in place (P4).
#pragma once

#include <map>
#include <optional>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/core/group_config.h"
#include "replication/core/log_view.h"
#include "replication/core/member_pace.h"
#include "replication/core/messages.h"
#include "replication/core/peer_progress.h"
#include "replication/core/quorum.h"
#include "replication/core/read_rounds.h"

namespace meridian::replication {

struct LeadershipOptions {
  absl::Duration heartbeat_interval;
  absl::Duration election_timeout;
  size_t max_append_bytes = 0;
  size_t max_inflight_append_bytes = 0;
};

class Leadership {
 public:
  // `start` is the index of the first epoch-start entry: nothing commits before it does.
  // `freeable`: what an earlier leader told of that index (P8).
  Leadership(ReplicaId self, const GroupConfig& config, LogIndex start, LogIndex freeable,
             absl::Duration now, const LeadershipOptions& options);

  // Goes on under `config`, the next epoch that this leader has swapped in itself, and whose entry
  // will be at `start`. What a member has acknowledged stays true: its log and this one are the
  // same up to there. Reads under way are confirmed anew, by quorums of `config`.
  void Continue(const GroupConfig& config, LogIndex start, absl::Duration now);

  Epoch epoch() const { return epoch_; }
  LogIndex start() const { return start_; }
  // The index of the current epoch's entry; start() unless the epoch was raised in place.
  LogIndex epoch_start() const { return epoch_start_; }
  LogIndex freeable() const { return freeable_; }

  // Suspends a leadership that has heard no quorum for an election timeout. Suspended, it keeps its
  // epoch and what it knows of the members, serves nothing, and asks the members instead of telling
  // them, so that those who do not answer elect another. While the coordination store is down
  // nobody else can lead, and nothing is lost by it (I12). True if it was suspended now; the reads
  // that waited are dropped.
  bool SuspendIfUnheard(absl::Duration now);
  // Ends it once a quorum is heard.
  void ResumeIfHeard(absl::Duration now);
  bool suspended() const { return suspended_; }
  // Of a suspended leadership: what to ask the members, if it is time.
  void Ask(uint64_t round, absl::Duration now, std::vector<OutboundMessage>& out);
  // A member grants that nobody else leads, and that it has promised nothing above this epoch.
  void OnGranted(ReplicaId from, absl::Duration now);

  void OnReply(ReplicaId from, const AppendReply& reply, const LogView& log, absl::Duration now);
  // It has promised this epoch, and knows its configuration.
  void OnFenced(ReplicaId from) { unaware_.erase(from); }

  // The highest index that a quorum of each set holds durably, if an entry of this epoch (I5:
  // earlier ones commit only through it); else nullopt.
  std::optional<LogIndex> CountCommit(const LogView& log) const;

  // Raises the freeable index: every member has durably passed it, or gets it by a snapshot (P8).
  void UpdateFreeable(LogIndex applied, const LogView& log);

  void AddRead(uint64_t read_id) { reads_.Add(read_id); }
  // Begins a read round if one is due and collects those confirmed.
  void AdvanceReads(LogIndex commit, std::vector<ConfirmedRead>& confirmed);

  // Appends that may go out now. Members whose next entry is not above the log's base, or not above
  // the freeable index (its chunks may be gone everywhere), are added to `need_snapshot`, once
  // each. An error means that the log cannot be read.
  absl::Status Fill(const LogView& log, const LogReader& reader, LogIndex commit,
                    absl::Duration now, std::vector<OutboundMessage>& out,
                    std::vector<ReplicaId>& need_snapshot);
  absl::Duration next_heartbeat() const { return next_heartbeat_; }

  void OnSnapshotStarted(ReplicaId peer, LogIndex index);
  void OnSnapshotEnded(ReplicaId peer, std::optional<LogIndex> installed);

  // Times what was appended, on all voters; see MemberPace.
  void MeasurePace(const LogView& log, absl::Duration now);
  const MemberPace& pace() const { return pace_; }

  // The last index before what members that answer still need of the log: they follow it, or will
  // once the snapshot that is under way is there. Nothing above `commit`.
  LogIndex AwaitedFrom(LogIndex commit, absl::Duration now) const;

  // Since the peer was last heard, or since this leadership began to ask again.
  absl::Duration Silence(const PeerProgress& peer, absl::Duration now) const;
  // nullptr: no such peer.
  const PeerProgress* progress(ReplicaId peer) const;

  void CheckInvariants(const LogView& log, LogIndex commit) const;

 private:
  absl::Status FillPeer(ReplicaId peer, PeerProgress& progress, const LogView& log,
                        const LogReader& reader, LogIndex commit, std::vector<OutboundMessage>& out,
                        std::vector<ReplicaId>& need_snapshot);
  Append Header(LogPosition prev, LogIndex commit) const;
  bool HearsQuorum(absl::Duration now) const;

  void LearnPeers(absl::Duration now);

  const ReplicaId self_;
  const LogIndex start_;
  const LeadershipOptions options_;
  GroupConfig config_;
  Epoch epoch_;  // of config_
  LogIndex epoch_start_;
  Quorum quorum_;
  std::map<ReplicaId, PeerProgress> peers_;  // voters of both sets and learners, without self
  // Those that may not know config_ yet. They are sent it with each heartbeat: the coordination
  // store may be down when they ask it (I12).
  std::set<ReplicaId> unaware_;
  ReadRounds reads_;
  MemberPace pace_;
  uint64_t round_sent_ = 0;
  absl::Duration next_heartbeat_;
  bool suspended_ = false;
  absl::Duration resumed_at_ = -absl::InfiniteDuration();
  LogIndex freeable_;
};

}  // namespace meridian::replication
