#include "replication/core/leadership.h"

#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "base/status.h"

namespace meridian::replication {
namespace {
// A member that was heard within this time is waited for: a restart takes less.
constexpr absl::Duration kAnsweringWithin = absl::Seconds(10);
}  // namespace

Leadership::Leadership(ReplicaId self, const GroupConfig& config, LogIndex start, LogIndex freeable,
                       absl::Duration now, const LeadershipOptions& options)
    : self_(self),
      start_(start),
      options_(options),
      config_(config),
      epoch_(config.epoch),
      epoch_start_(start),
      quorum_(config),
      next_heartbeat_(now),
      freeable_(freeable) {
  LearnPeers(now);
}

void Leadership::LearnPeers(absl::Duration now) {
  std::set<ReplicaId> named;
  for (const auto* members : {&config_.members, &config_.joint_old, &config_.learners}) {
    for (const Member& member : *members) {
      if (member.replica == self_) continue;
      named.insert(member.replica);
      peers_.try_emplace(member.replica, epoch_start_, now);
    }
  }
  std::erase_if(peers_, [&](const auto& peer) { return !named.contains(peer.first); });
  unaware_ = std::move(named);
}

void Leadership::Continue(const GroupConfig& config, LogIndex start, absl::Duration now) {
  CHECK_INVARIANT(config.epoch > epoch_ && start > epoch_start_, "epochs are only ever raised");
  config_ = config;
  epoch_ = config.epoch;
  epoch_start_ = start;
  quorum_ = Quorum(config);
  LearnPeers(now);
  reads_.StartAgain();
  next_heartbeat_ = now;
}

bool Leadership::HearsQuorum(absl::Duration now) const {
  return quorum_.Reached([&](ReplicaId id) {
    if (id == self_) return true;
    return now - peers_.at(id).last_heard() <= options_.election_timeout;
  });
}

bool Leadership::SuspendIfUnheard(absl::Duration now) {
  if (suspended_ || HearsQuorum(now)) return false;
  suspended_ = true;
  next_heartbeat_ = now;
  reads_.Drop();
  return true;
}

void Leadership::ResumeIfHeard(absl::Duration now) {
  if (!suspended_ || !HearsQuorum(now)) return;
  suspended_ = false;
  next_heartbeat_ = resumed_at_ = now;
}

absl::Duration Leadership::Silence(const PeerProgress& peer, absl::Duration now) const {
  return now - std::max(peer.last_heard(), resumed_at_);
}

void Leadership::Ask(uint64_t round, absl::Duration now, std::vector<OutboundMessage>& out) {
  if (now < next_heartbeat_) return;
  next_heartbeat_ = now + options_.heartbeat_interval;
  for (const ReplicaId& voter : quorum_.voters()) {
    if (voter != self_) out.push_back({voter, Probe{epoch_, round}});
  }
}

void Leadership::OnGranted(ReplicaId from, absl::Duration now) {
  if (auto it = peers_.find(from); it != peers_.end()) it->second.Heard(now);
}

void Leadership::OnReply(ReplicaId from, const AppendReply& reply, const LogView& log,
                         absl::Duration now) {
  auto it = peers_.find(from);
  if (it == peers_.end()) return;
  PeerProgress& peer = it->second;
  peer.Heard(now);
  reads_.OnEcho(from, reply.read_round);
  if (reply.installing) {
    // Its state is gone: whatever it has acknowledged before, only a snapshot helps now.
    if (peer.mode() != PeerProgress::Mode::kSnapshot) peer.LostState();
    return;
  }
  if (reply.match > log.last().index) return;  // cannot be ours: never counted
  if (reply.rejected) {
    LogPosition retry = log.LastAgreeable(reply.hint);
    // Below our base only a snapshot helps: Fill finds that out from `next`.
    LogIndex retry_after = reply.hint.index < log.base().index ? reply.hint.index : retry.index;
    peer.OnRejected(reply.rejected_prev, retry_after);
  }
  peer.OnMatch(reply.match);
  // What it was sent begins above the freeable index: it holds the entries up to there, waits for
  // their chunks, and an earlier leader has given it up, or that index would not be what it is.
  if (!reply.rejected && peer.mode() != PeerProgress::Mode::kSnapshot && peer.match() < freeable_) {
    peer.NeedsSnapshot();
  }
}

std::optional<LogIndex> Leadership::CountCommit(const LogView& log) const {
  LogIndex index = quorum_.HighestReached([&](ReplicaId id) {
    // The leader's own vote counts only once it is durable here (P2).
    if (id == self_) return log.durable_index();
    return peers_.at(id).match();
  });
  if (log.EpochAt(index) != epoch_) return std::nullopt;
  return index;
}

void Leadership::UpdateFreeable(LogIndex applied, const LogView& log) {
  LogIndex lowest = std::min(applied, log.durable_index());
  for (const auto& [id, peer] : peers_) {
    if (peer.mode() == PeerProgress::Mode::kSnapshot) {
      // Without a running snapshot it will get one that is newer than anything freed now.
      if (peer.snapshot_index()) lowest = std::min(lowest, *peer.snapshot_index());
    } else {
      lowest = std::min(lowest, peer.match());
    }
  }
  freeable_ = std::max(freeable_, lowest);
}

LogIndex Leadership::AwaitedFrom(LogIndex commit, absl::Duration now) const {
  LogIndex lowest = commit;
  for (const auto& [id, peer] : peers_) {
    if (Silence(peer, now) > kAnsweringWithin) continue;
    if (peer.mode() != PeerProgress::Mode::kSnapshot) {
      lowest = std::min(lowest, peer.match());
    } else if (peer.snapshot_index()) {
      lowest = std::min(lowest, *peer.snapshot_index());
    }
  }
  return lowest;
}

void Leadership::AdvanceReads(LogIndex commit, std::vector<ConfirmedRead>& confirmed) {
  reads_.TakeConfirmed(quorum_, self_, confirmed);
  // A group of one confirms at once.
  if (reads_.BeginIfDue(commit)) reads_.TakeConfirmed(quorum_, self_, confirmed);
}

Append Leadership::Header(LogPosition prev, LogIndex commit) const {
  Append append;
  append.epoch = epoch_;
  append.prev = prev;
  append.commit = commit;
  append.freeable = freeable_;
  append.read_round = reads_.current();
  return append;
}

absl::Status Leadership::Fill(const LogView& log, const LogReader& reader, LogIndex commit,
                              absl::Duration now, std::vector<OutboundMessage>& out,
                              std::vector<ReplicaId>& need_snapshot) {
  bool heartbeat = now >= next_heartbeat_;
  if (heartbeat) next_heartbeat_ = now + options_.heartbeat_interval;
  bool new_round = reads_.current() != round_sent_;
  round_sent_ = reads_.current();
  for (auto& [id, peer] : peers_) {
    if (heartbeat) peer.AllowProbe();
    if (heartbeat && unaware_.contains(id)) out.push_back({id, Fence{config_}});
    size_t before = out.size();
    RETURN_IF_ERROR(FillPeer(id, peer, log, reader, commit, out, need_snapshot));
    if (out.size() != before || !(heartbeat || new_round)) continue;
    // `prev` next to what was sent shows the member whether the end of it was lost on the way. A
    // member that awaits a snapshot is only kept from probing.
    LogPosition prev;
    if (peer.mode() != PeerProgress::Mode::kSnapshot) {
      prev = {*log.EpochAt(peer.next() - 1), peer.next() - 1};
    }
    out.push_back({id, Header(prev, commit)});
  }
  return absl::OkStatus();
}

absl::Status Leadership::FillPeer(ReplicaId id, PeerProgress& peer, const LogView& log,
                                  const LogReader& reader, LogIndex commit,
                                  std::vector<OutboundMessage>& out,
                                  std::vector<ReplicaId>& need_snapshot) {
  LogIndex reachable = std::max(log.base().index, freeable_);
  if (peer.mode() != PeerProgress::Mode::kSnapshot && peer.next() <= reachable) {
    peer.NeedsSnapshot();
  }
  if (peer.TakeSnapshotWanted()) need_snapshot.push_back(id);
  LogIndex first = peer.next();
  while (first <= log.last().index && peer.CanSend(options_.max_inflight_append_bytes)) {
    auto entries = log.Read(first, log.last().index, options_.max_append_bytes, reader);
    if (absl::IsOutOfRange(entries.status())) {
      // Trimmed since: the base is about to follow.
      peer.NeedsSnapshot();
      if (peer.TakeSnapshotWanted()) need_snapshot.push_back(id);
      return absl::OkStatus();
    }
    if (IsReadUnderWay(entries.status())) return absl::OkStatus();
    RETURN_IF_ERROR(entries.status());
    CHECK_INVARIANT(!entries->empty(), "a log read returns at least one entry");
    Append append = Header({*log.EpochAt(first - 1), first - 1}, commit);
    append.entries = *std::move(entries);
    size_t bytes = 0;
    for (const auto& entry : append.entries) bytes += EntryBytes(entry);
    LogIndex last = append.entries.back().index;
    out.push_back({id, std::move(append)});
    peer.SentEntries(last, bytes);
    first = last + 1;
  }
  return absl::OkStatus();
}

void Leadership::MeasurePace(const LogView& log, absl::Duration now) {
  const auto durable = [&](ReplicaId id) {
    return id == self_ ? log.durable_index() : peers_.at(id).match();
  };
  pace_.Advance(config_.members, durable, log.last().index, now);
}

void Leadership::OnSnapshotStarted(ReplicaId peer, LogIndex index) {
  auto it = peers_.find(peer);
  if (it != peers_.end()) it->second.SnapshotStarted(index);
}

void Leadership::OnSnapshotEnded(ReplicaId peer, std::optional<LogIndex> installed) {
  auto it = peers_.find(peer);
  if (it != peers_.end()) it->second.SnapshotEnded(installed);
}

const PeerProgress* Leadership::progress(ReplicaId peer) const {
  auto it = peers_.find(peer);
  return it == peers_.end() ? nullptr : &it->second;
}

void Leadership::CheckInvariants(const LogView& log, LogIndex commit) const {
  CHECK_INVARIANT(freeable_ <= commit, "only what is committed is freeable (P8)");
  CHECK_INVARIANT(log.last().epoch == epoch_, "a leader's log ends with its own epoch");
  for (const auto& [id, peer] : peers_) {
    CHECK_INVARIANT(peer.match() < peer.next(), "match < next");
    CHECK_INVARIANT(peer.next() <= log.last().index + 1, "nothing is sent that is not in the log");
  }
}

}  // namespace meridian::replication
