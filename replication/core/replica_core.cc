#include "replication/core/replica_core.h"

#include <algorithm>
#include <utility>

#include "base/check.h"

namespace meridian::replication {
namespace {

// Entries as a decoder accepts them: consecutive after `prev`, epochs ascending and not above
// `most`.
bool WellFormed(const std::vector<storage::LogEntry>& entries, LogPosition prev, Epoch most) {
  for (const storage::LogEntry& entry : entries) {
    if (entry.index != prev.index + 1 || entry.epoch < prev.epoch || entry.epoch > most) {
      return false;
    }
    prev = {entry.epoch, entry.index};
  }
  return prev.epoch <= most;
}

}  // namespace

ReplicaCore::ReplicaCore(ReplicaId self, SessionId session, GroupConfig config,
                         const storage::RecoveredReplica& recovered, const CoreOptions& options,
                         const LogReader& reader, Random& random, absl::Duration now)
    : self_(self),
      session_(session),
      options_(options),
      reader_(reader),
      random_(random),
      config_(std::move(config)),
      quorum_(config_),
      log_(recovered, options.log),
      installing_(recovered.installing),
      promised_(recovered.hard_state.promised),
      issued_promise_(promised_),
      durable_promise_(promised_),
      commit_(recovered.applied_index),
      applied_(recovered.applied_index),
      applied_timestamp_(recovered.applied_timestamp),
      leader_(config_.leader == self ? ReplicaId() : config_.leader),
      last_heard_(now) {
  // After a restart a replica is a plain member, even of a group that it led (P1). The others will
  // not hear that leader again, so it asks at once; of a new group, so does the first member.
  bool first = config_.leader == self_ ||
               (config_.leader.is_nil() && config_.members.front().replica == self_);
  election_deadline_ = first ? now : now + RandomTimeout();
}

void ReplicaCore::OnMessage(ReplicaId from, CoreMessage message, absl::Duration now) {
  if (from == self_) return;
  if (auto* append = std::get_if<Append>(&message)) {
    if (!WellFormed(append->entries, append->prev, append->epoch)) {
      ++counters_.malformed_messages;
      return;
    }
  } else if (auto* fetched = std::get_if<FetchLogReply>(&message)) {
    if (!WellFormed(fetched->entries, fetched->prev, fetched->epoch)) {
      ++counters_.malformed_messages;
      return;
    }
  }
  std::visit([&](auto& body) { On(from, body, now); }, message);
}

void ReplicaCore::Tick(absl::Duration now) {
  if (leadership_) {
    // A leader that no quorum hears cannot commit; the others may have another by now.
    if (!leadership_->SuspendIfUnheard(now)) return;
    ++counters_.suspensions;
    ++probe_round_;
    out_.leadership_lost = true;
  } else if (campaign_) {
    TickCampaign(now);
  } else if (now >= election_deadline_) {
    election_deadline_ = now + RandomTimeout();
    if (MayCampaign()) BeginProbe(now);
  }
}

absl::Duration ReplicaCore::NextDeadline() const {
  if (leadership_) return leadership_->next_heartbeat();
  if (campaign_) return std::min(campaign_->deadline, campaign_->resend_at);
  return MayCampaign() ? election_deadline_ : absl::InfiniteDuration();
}

void ReplicaCore::OnPersisted(uint64_t persist_id, absl::Duration now) {
  bool moved = log_.OnPersisted(persist_id);
  while (!in_flight_promises_.empty() && in_flight_promises_.front().persist_id <= persist_id) {
    durable_promise_ = std::max(durable_promise_, in_flight_promises_.front().promise);
    in_flight_promises_.erase(in_flight_promises_.begin());
  }
  if (moved && !is_leader() && !leader_.is_nil()) reply_owed_ = true;
  if (leadership_) Recount();
  if (campaign_ && campaign_->stage() == Campaign::Stage::kFence) MaybeWinFence(now);
}

void ReplicaCore::OnConfig(const GroupConfig& config, absl::Duration now) {
  if (config.epoch < config_.epoch) return;
  if (AdoptOwnSwap(config, now)) return;
  bool newer = config.epoch > config_.epoch;
  SetConfig(config);
  if (newer && config.leader.is_nil()) return OnRecovery(now);
  if (newer && config.epoch > promised_ && !config_.Names(self_)) return OnLeftOut(now);
  bool ours = config.leader == self_ && config.session == session_;
  if (ours && config.epoch > promised_ && MayCampaign()) {
    // Also of a swap whose outcome was unknown: the session tells that it is ours (P1).
    BeginFence(now);
    return;
  }
  if (newer && config.epoch > promised_) {
    // Somebody else leads, or is about to; give it the time to fence.
    BecomeFollower(ours ? ReplicaId() : config.leader, now);
    // Named by an earlier life of this replica.
    if (config.leader == self_) election_deadline_ = now;
    last_heard_ = now;
  } else if (campaign_ && campaign_->stage() == Campaign::Stage::kSwap) {
    BecomeFollower(ReplicaId(), now);  // the swap has failed
  }
  bool offered = offered_ == config.epoch && config.epoch >= promised_ && now < offered_until_;
  if (offered_ && *offered_ <= config.epoch) offered_.reset();
  if (offered && MayCampaign() && !campaign_) BeginSwap(now);
}

// An operator wrote this configuration after a quorum was lost for good (P23): no member swaps in
// one without a leader. Whoever learns of it accepts nothing of an earlier leader from then on,
// whether it is named or not; the only voter leads at once.
void ReplicaCore::OnRecovery(absl::Duration now) {
  BecomeFollower(ReplicaId(), now);
  offered_.reset();
  if (quorum_.voters().size() == 1 && quorum_.IsVoter(self_)) {
    // The log goes on from what is durable here with its chunks: of what waits for chunks,
    // committed or not, the chunks are with those who were given up.
    if (!installing_) commit_ = std::min(commit_, log_.issued_index());
    election_deadline_ = now;
  }
  if (config_.epoch > promised_) RaisePromise(config_.epoch);
}

// Whoever is left out may have been given up when a quorum was lost for good, and hear only of a
// configuration that came after (P23): leaders of epochs before this one's neighbour get nothing
// from it any more. One that left by a change of members (P4) was in no quorum of this epoch, and
// its last leader, of the epoch before, is still answered. It stays below this epoch: such a
// replica may be removed.
void ReplicaCore::OnLeftOut(absl::Duration now) {
  BecomeFollower(config_.leader, now);
  offered_.reset();
  last_heard_ = now;
  if (config_.epoch - 1 > promised_) RaisePromise(config_.epoch - 1);
}

void ReplicaCore::OnApplied(LogIndex index, Timestamp timestamp) {
  CHECK_INVARIANT(index <= std::min(commit_, log_.durable_index()),
                  "only what is committed and durable here is applied");
  applied_ = std::max(applied_, index);
  applied_timestamp_ = std::max(applied_timestamp_, timestamp);
  log_.OnApplied(applied_);
}

void ReplicaCore::OnTrimmed(LogIndex base) { log_.OnTrimmed(std::min(base, applied_)); }

absl::StatusOr<LogPosition> ReplicaCore::Propose(storage::LogEntry entry, Timestamp wall_now) {
  if (!is_serving()) return absl::UnavailableError("this replica does not lead its group");
  entry.kind = storage::LogEntry::Kind::kCommand;
  AppendOwn(std::move(entry), wall_now);
  return log_.last();
}

absl::Status ReplicaCore::ConfirmRead(uint64_t read_id) {
  // Before an entry of its own epoch has committed, a leader does not know what is committed.
  if (!is_serving()) return absl::UnavailableError("this replica does not lead its group");
  leadership_->AddRead(read_id);
  return absl::OkStatus();
}

void ReplicaCore::BeginInstall() {
  CHECK_INVARIANT(!leadership_, "a leader's own state is never replaced (P6)");
  campaign_.reset();
  installing_ = true;
  out_.truncated_from = LogIndex(0);
  out_.incomplete.clear();
  log_.Reset(LogPosition());
  // As after a restart in the middle: a later leader that knows less for now may be the next to
  // send.
  commit_ = applied_ = matched_ = LogIndex(0);
  applied_timestamp_ = Timestamp(0);
}

void ReplicaCore::FinishInstall(LogPosition last, Timestamp timestamp, absl::Duration now) {
  CHECK_INVARIANT(installing_, "an install was begun");
  installing_ = false;
  ++counters_.snapshots_installed;
  log_.Reset(last);
  // A snapshot holds committed entries only.
  commit_ = applied_ = matched_ = last.index;
  applied_timestamp_ = timestamp;
  reply_owed_ = !leader_.is_nil();
  election_deadline_ = now + RandomTimeout();
}

LogIndex ReplicaCore::awaited_from(absl::Duration now) const {
  return leadership_ ? leadership_->AwaitedFrom(commit_, now) : freeable_;
}

std::optional<LogPosition> ReplicaCore::SnapshotPosition() const {
  if (!is_leader() || applied_ < freeable_) return std::nullopt;
  if (is_serving() && applied_ < leadership_->start()) return std::nullopt;
  std::optional<Epoch> epoch = log_.EpochAt(applied_);
  if (!epoch) return std::nullopt;
  return LogPosition{*epoch, applied_};
}

ReplicaCore::SnapshotVerdict ReplicaCore::JudgeSnapshot(LogPosition last) {
  if (installing_) return SnapshotVerdict::kInstall;  // all is gone already
  bool committed_here = last.index <= commit_;
  if (!committed_here && !log_.Contains(last)) return SnapshotVerdict::kInstall;
  if (!committed_here) {
    // A snapshot stands at a committed entry, and this log equals the leader's up to it.
    commit_ = last.index;
    matched_ = std::max(matched_, commit_);
  }
  // The quorum that committed `last` counts this replica if it is durable here: then everything up
  // to the log's end may have been acknowledged, and none of it is given up (I1, P4).
  if (last.index <= log_.durable_index()) return SnapshotVerdict::kPresent;
  // Entries that wait for their chunks were never acknowledged, and the chunks may be gone (P8).
  if (last.index > log_.issued_index() && last.index == commit_) return SnapshotVerdict::kInstall;
  return SnapshotVerdict::kRefuse;
}

void ReplicaCore::OnSnapshotStarted(ReplicaId peer, LogIndex index) {
  if (leadership_) leadership_->OnSnapshotStarted(peer, index);
}

void ReplicaCore::OnSnapshotEnded(ReplicaId peer, std::optional<LogIndex> installed) {
  if (!leadership_) return;
  if (installed) ++counters_.snapshots_sent;
  leadership_->OnSnapshotEnded(peer, installed);
}

CoreOutput ReplicaCore::TakeOutput(absl::Duration now) {
  if (leadership_) DriveLeadership(now);
  CollectPersist();
  FlushReplies();
  if (!installing_) out_.apply_to = std::min(commit_, log_.durable_index());
  return std::exchange(out_, CoreOutput());
}

void ReplicaCore::DriveLeadership(absl::Duration now) {
  Recount();
  leadership_->UpdateFreeable(applied_, log_);
  freeable_ = std::max(freeable_, leadership_->freeable());
  if (leadership_->suspended()) return leadership_->Ask(probe_round_, now, out_.messages);
  leadership_->MeasurePace(log_, now);
  OfferToFaster(now);
  AdvanceMembers(now);
  if (is_serving()) leadership_->AdvanceReads(commit_, out_.reads);
  absl::Status filled =
      leadership_->Fill(log_, reader_, commit_, now, out_.messages, out_.need_snapshot);
  if (!filled.ok()) out_.failure = filled;
}

void ReplicaCore::On(ReplicaId from, const AppendReply& reply, absl::Duration now) {
  if (reply.epoch > promised_) return SawHigherEpoch(now);
  if (!leadership_ || reply.epoch != leadership_->epoch()) return;
  leadership_->OnReply(from, reply, log_, now);
  leadership_->ResumeIfHeard(now);
  Recount();
}

void ReplicaCore::RaisePromise(Epoch epoch) {
  CHECK_INVARIANT(epoch > promised_, "promises are only ever raised (I3)");
  promised_ = epoch;
  matched_ = LogIndex(0);
  read_round_ = 0;
  reply_owed_ = false;
  fence_reply_owed_.reset();
  // What waits for its chunks was never acknowledged: without this, it could wait for ever.
  LogIndex keep = std::max(log_.issued_index(), commit_);
  if (!installing_ && keep < log_.last().index) Truncate(keep + 1);
}

void ReplicaCore::SetConfig(const GroupConfig& config) {
  config_ = config;
  quorum_ = Quorum(config_);
}

void ReplicaCore::BecomeFollower(ReplicaId leader, absl::Duration now) {
  if (leadership_) {
    ++counters_.leaderships_lost;
    out_.leadership_lost = true;
    leadership_.reset();
    target_members_.reset();
    swap_deadline_.reset();
    committed_lately_.clear();
  }
  campaign_.reset();
  leader_ = leader;
  election_deadline_ = now + RandomTimeout();
}

void ReplicaCore::SawHigherEpoch(absl::Duration now) {
  ++counters_.stale_epochs_rejected;
  out_.read_config = true;
  if (leadership_ || campaign_) BecomeFollower(ReplicaId(), now);
}

void ReplicaCore::AppendOwn(storage::LogEntry entry, Timestamp at_least) {
  // Strictly monotone, also over leader changes (P14).
  last_timestamp_ = std::max(at_least, last_timestamp_ + 1);
  entry.epoch = promised_;
  entry.index = log_.last().index + 1;
  entry.timestamp = last_timestamp_;
  log_.Append(std::move(entry), /*complete=*/true);
}

void ReplicaCore::Recount() {
  std::optional<LogIndex> counted = leadership_->CountCommit(log_);
  if (counted && *counted > commit_) commit_ = *counted;
}

void ReplicaCore::CollectPersist() {
  storage::PersistRequest request;
  bool any = !installing_ && log_.CollectPersist(request);
  if (promised_ > issued_promise_) {
    request.hard_state = storage::HardState{promised_};
    issued_promise_ = promised_;
    any = true;
  }
  if (!any) return;
  uint64_t id = next_persist_id_++;
  if (request.hard_state) in_flight_promises_.push_back({id, request.hard_state->promised});
  log_.Issued(id);
  out_.persist = CoreOutput::Persist{id, std::move(request)};
}

void ReplicaCore::CheckInvariants() const {
  CHECK_INVARIANT(config_.epoch.value() == 0 || !config_.members.empty(), "a group has members");
  CHECK_INVARIANT(durable_promise_ <= issued_promise_ && issued_promise_ <= promised_,
                  "durable promise <= issued promise <= promise");
  CHECK_INVARIANT(!(leadership_ && campaign_), "a leader does not campaign");
  CHECK_INVARIANT(!(leadership_ && installing_), "an installing replica never leads (P6)");
  log_.CheckInvariants();
  if (installing_) return;
  CHECK_INVARIANT(log_.last().epoch <= promised_, "the log holds nothing above the promise (I3)");
  CHECK_INVARIANT(
      log_.base().index <= applied_ && applied_ <= commit_ && commit_ <= log_.last().index,
      "base <= applied <= commit <= last");
  CHECK_INVARIANT(applied_ <= log_.durable_index(), "what is applied is durable");
  if (leadership_) {
    CHECK_INVARIANT(leadership_->epoch() == promised_, "a leader has promised its own epoch");
    leadership_->CheckInvariants(log_, commit_);
  }
}

}  // namespace meridian::replication
