// ReplicaCore on its way to lead: probe, swap, fence, adopt, begin.
#include <algorithm>
#include <utility>

#include "base/check.h"
#include "replication/core/replica_core.h"

namespace meridian::replication {

// How long a stage is tried, in election timeouts. A swap waits for the coordination store.
constexpr double kProbeTimeouts = 0.5;
constexpr double kSwapTimeouts = 4;
constexpr double kFenceTimeouts = 2;

absl::Duration ReplicaCore::RandomTimeout() {
  absl::Duration timeout = options_.leadership.election_timeout;
  auto spread = static_cast<uint64_t>(std::max<int64_t>(1, absl::ToInt64Microseconds(timeout)));
  return timeout + absl::Microseconds(static_cast<int64_t>(random_.Uniform(spread)));
}

bool ReplicaCore::MayCampaign() const {
  return !leadership_ && !installing_ && quorum_.IsVoter(self_);
}

void ReplicaCore::BeginProbe(absl::Duration now) {
  ++counters_.probes_begun;
  // A swap needs the newest configuration.
  if (promised_ > config_.epoch) out_.read_config = true;
  campaign_ = Campaign::Probing(++probe_round_);
  campaign_->deadline = now + options_.leadership.election_timeout * kProbeTimeouts;
  SendCampaignMessages(now);
  MaybeWinProbe(now);
}

void ReplicaCore::On(ReplicaId from, const ProbeReply& reply, absl::Duration now) {
  if (reply.epoch > std::max(promised_, config_.epoch)) out_.read_config = true;
  if (leadership_ && leadership_->suspended() && reply.granted && reply.round == probe_round_) {
    leadership_->OnGranted(from, now);
    leadership_->ResumeIfHeard(now);
  }
  if (!campaign_ || campaign_->stage() != Campaign::Stage::kProbe || !quorum_.IsVoter(from)) return;
  campaign_->OnProbeReply(from, reply);
  MaybeWinProbe(now);
}

void ReplicaCore::MaybeWinProbe(absl::Duration now) {
  if (!campaign_->ProbeWon(quorum_, self_) || promised_ > config_.epoch) return;
  auto best = campaign_->BestAbove(log_.last());
  if (best && best->base > log_.last().index) {
    // Only a snapshot could bring its log here, and nobody leads yet to send one: it should lead.
    GiveTo(best->replica, config_.epoch, now);
    return;
  }
  BeginSwap(now);
}

void ReplicaCore::BeginSwap(absl::Duration now) {
  GroupConfig next = config_;
  next.epoch = config_.epoch + 1;
  next.leader = self_;
  next.session = session_;
  campaign_ = Campaign::Swapping(next.epoch);
  campaign_->deadline = now + options_.leadership.election_timeout * kSwapTimeouts;
  campaign_->resend_at = campaign_->deadline;
  out_.swap = std::move(next);
}

void ReplicaCore::BeginFence(absl::Duration now) {
  if (leadership_) BecomeFollower(ReplicaId(), now);
  leader_ = ReplicaId();
  RaisePromise(config_.epoch);
  campaign_ = Campaign::Fencing(config_.epoch);
  campaign_->deadline = now + options_.leadership.election_timeout * kFenceTimeouts;
  SendCampaignMessages(now);
}

void ReplicaCore::On(ReplicaId from, const FenceReply& reply, absl::Duration now) {
  if (reply.epoch > promised_) return SawHigherEpoch(now);
  if (leadership_ && reply.epoch == promised_) leadership_->OnFenced(from);
  if (!campaign_ || campaign_->stage() != Campaign::Stage::kFence || !quorum_.IsVoter(from)) return;
  campaign_->OnFenceReply(from, reply);
  MaybeWinFence(now);
}

void ReplicaCore::MaybeWinFence(absl::Duration now) {
  if (!campaign_->FenceWon(quorum_, self_, durable_promise_ == promised_)) return;
  auto best = campaign_->BestAbove(log_.last());
  if (!best) return BeginLeading(now);
  if (best->base > log_.last().index) return GiveTo(best->replica, promised_, now);
  campaign_->BeginAdopt(*best);
  campaign_->fetch_prev = log_.LastAgreeable(best->last);
  campaign_->deadline = now + options_.leadership.election_timeout * kFenceTimeouts;
  SendCampaignMessages(now);
}

void ReplicaCore::On(ReplicaId from, FetchLogReply& reply, absl::Duration now) {
  if (reply.epoch > promised_) return SawHigherEpoch(now);
  if (!campaign_ || campaign_->stage() != Campaign::Stage::kAdopt || reply.epoch != promised_ ||
      from != campaign_->donor().replica || reply.prev != campaign_->fetch_prev) {
    return;
  }
  const Campaign::Candidate& donor = campaign_->donor();
  if (!reply.matched) {
    LogPosition next = log_.LastAgreeable(reply.hint);
    // Below what the donor keeps of its log, or no way back at all.
    if (next.index < donor.base || next.index >= campaign_->fetch_prev.index) {
      return GiveTo(donor.replica, promised_, now);
    }
    campaign_->fetch_prev = next;
  } else {
    if (!reply.entries.empty()) {
      campaign_->fetch_prev = {reply.entries.back().epoch, reply.entries.back().index};
    }
    Merge(reply.entries);
    if (log_.Contains(donor.last)) return BeginLeading(now);
    if (reply.entries.empty()) return;  // asked again when the donor has more to say
  }
  campaign_->deadline = now + options_.leadership.election_timeout * kFenceTimeouts;
  Send(donor.replica, FetchLog{promised_, campaign_->fetch_prev});
}

void ReplicaCore::GiveTo(ReplicaId better, Epoch epoch, absl::Duration now) {
  ++counters_.hand_overs;
  Send(better, HandOver{epoch});
  BecomeFollower(ReplicaId(), now);
}

void ReplicaCore::On(ReplicaId, const HandOver& hand_over, absl::Duration now) {
  // Safe without a probe: who holds the epoch offers it, and fencing decides in any case.
  if (hand_over.epoch < promised_ || hand_over.epoch < config_.epoch) {
    ++counters_.stale_epochs_rejected;
    return;
  }
  if (hand_over.epoch != config_.epoch) {
    offered_ = hand_over.epoch;
    offered_until_ = now + options_.leadership.election_timeout;
    out_.read_config = true;
    return;
  }
  if (MayCampaign() && !campaign_) BeginSwap(now);
}

void ReplicaCore::SendCampaignMessages(absl::Duration now) {
  campaign_->resend_at = now + options_.leadership.heartbeat_interval;
  for (const ReplicaId& voter : quorum_.voters()) {
    if (voter == self_) continue;
    if (campaign_->stage() == Campaign::Stage::kProbe) {
      Send(voter, Probe{std::max(promised_, config_.epoch), campaign_->round()});
    } else {
      // While adopting too: it keeps the members from probing.
      Send(voter, Fence{config_});
    }
  }
  if (campaign_->stage() == Campaign::Stage::kAdopt) {
    Send(campaign_->donor().replica, FetchLog{promised_, campaign_->fetch_prev});
  }
}

void ReplicaCore::TickCampaign(absl::Duration now) {
  if (now >= campaign_->deadline) {
    BecomeFollower(ReplicaId(), now);
  } else if (now >= campaign_->resend_at) {
    SendCampaignMessages(now);
  }
}

void ReplicaCore::BeginLeading(absl::Duration now) {
  CHECK_INVARIANT(campaign_ && campaign_->epoch() == promised_, "led is what was fenced (P1)");
  last_timestamp_ = std::max(applied_timestamp_, log_.last_timestamp());
  campaign_.reset();
  leader_ = ReplicaId();
  // A lone voter cannot be behind anybody but members that were lost with what they had committed
  // (P23): an earlier leader's word may be of entries that are gone.
  if (quorum_.voters().size() == 1) freeable_ = std::min(freeable_, log_.last().index);
  // Only what is committed is freeable, and a log fit to lead holds all of that.
  CHECK_INVARIANT(freeable_ <= log_.last().index,
                  "a new leader's log holds what is committed (I5)");
  commit_ = std::max(commit_, freeable_);
  ++counters_.leaderships_begun;
  leadership_ = std::make_unique<Leadership>(self_, config_, log_.last().index + 1, freeable_, now,
                                             options_.leadership);
  storage::LogEntry start;
  start.kind = storage::LogEntry::Kind::kEpochStart;
  AppendOwn(std::move(start), last_timestamp_ + 1);
}

}  // namespace meridian::replication
