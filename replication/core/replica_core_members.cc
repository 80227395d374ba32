// ReplicaCore as the leader that changes its group's members (P4), after Raft's joint consensus
// (Ongaro, 2014, 4.3), with the configurations in the coordination store instead of the log. The
// leader goes on serving through every step: its own next epoch needs no fence, as nobody else can
// lead it, and its log holds whatever an earlier epoch has committed.
#include <algorithm>
#include <set>
#include <utility>

#include "base/check.h"
#include "replication/core/replica_core.h"

namespace meridian::replication {
namespace {

// A learner is promoted when it has what was committed this many heartbeats ago, and was heard
// since the last election timeout: the joint configuration may commit nothing without it.
constexpr size_t kHeartbeatsBehind = 3;
// How long a swap's outcome is waited for, in election timeouts, before it is tried again.
constexpr double kSwapTimeouts = 4;
// Between two offers of a leader that is slow: it does not go back and forth.
constexpr absl::Duration kPauseOfOffers = absl::Minutes(1);

bool Contains(const std::vector<Member>& members, const ReplicaId& replica) {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.replica == replica; });
}

bool SameReplicas(const std::vector<Member>& a, const std::vector<Member>& b) {
  return a.size() == b.size() && std::all_of(a.begin(), a.end(), [&](const Member& member) {
           return Contains(b, member.replica);
         });
}

}  // namespace

absl::Status ReplicaCore::ChangeMembers(std::vector<Member> members) {
  if (!is_serving()) return absl::UnavailableError("this replica does not lead its group");
  std::set<ReplicaId> replicas;
  std::set<NodeId> nodes;
  for (const Member& member : members) {
    replicas.insert(member.replica);
    nodes.insert(member.node);
  }
  for (const Member& member : members) {
    for (const auto* set : {&config_.members, &config_.joint_old}) {
      for (const Member& present : *set) {
        if (present.replica != member.replica && present.node == member.node &&
            present.disk == member.disk) {
          return absl::InvalidArgumentError("a disk holds one replica of a group (P6)");
        }
      }
    }
  }
  if (members.empty() || replicas.size() != members.size() || nodes.size() != members.size()) {
    return absl::InvalidArgumentError("a group's members are on one node each, and not none");
  }
  target_members_ = std::move(members);
  return absl::OkStatus();
}

bool ReplicaCore::changing_members() const {
  if (!config_.joint_old.empty() || !config_.learners.empty()) return true;
  return target_members_ && !SameReplicas(*target_members_, config_.members);
}

// True if `config` is a later epoch of this very leadership: recognised by its session, also after
// an unknown outcome (P1).
bool ReplicaCore::AdoptOwnSwap(const GroupConfig& config, absl::Duration now) {
  if (!leadership_) return false;
  if (config.epoch == config_.epoch) {
    // It has failed, or has not happened yet: tried again, after a pause.
    absl::Duration retry_at = now + options_.leadership.heartbeat_interval;
    if (swap_deadline_) swap_deadline_ = std::min(*swap_deadline_, retry_at);
    return false;
  }
  if (config.leader != self_ || config.session != session_) return false;
  CHECK_INVARIANT(config.epoch == promised_ + 1, "a leader swaps in one epoch after the other");
  SetConfig(config);
  promised_ = config.epoch;
  swap_deadline_.reset();
  ++counters_.member_changes;
  leadership_->Continue(config_, log_.last().index + 1, now);
  storage::LogEntry start;
  start.kind = storage::LogEntry::Kind::kEpochStart;
  AppendOwn(std::move(start), last_timestamp_ + 1);
  return true;
}

void ReplicaCore::AdvanceMembers(absl::Duration now) {
  NoteCommitted(now);
  // The next swap only after this epoch's entry has committed in a quorum of each set.
  if (commit_ < leadership_->epoch_start()) return;
  if (swap_deadline_ && now < *swap_deadline_) return;
  if (!config_.joint_old.empty() && !Contains(config_.members, self_)) return HandOverToMember(now);
  std::optional<GroupConfig> next = NextMembership(now);
  if (!next) return;
  next->epoch = config_.epoch + 1;
  next->leader = self_;
  next->session = session_;
  swap_deadline_ = now + options_.leadership.election_timeout * kSwapTimeouts;
  out_.swap = *std::move(next);
}

void ReplicaCore::NoteCommitted(absl::Duration now) {
  if (!committed_lately_.empty() && now < next_committed_) return;
  next_committed_ = now + options_.leadership.heartbeat_interval;
  committed_lately_.push_back(commit_);
  if (committed_lately_.size() > kHeartbeatsBehind + 1) committed_lately_.pop_front();
}

// The step after the current configuration; nullopt: none, or not yet.
std::optional<GroupConfig> ReplicaCore::NextMembership(absl::Duration now) const {
  GroupConfig next = config_;
  if (!config_.joint_old.empty()) {
    next.joint_old.clear();
    return next;
  }
  if (!target_members_) return std::nullopt;
  std::vector<Member> joining;
  for (const Member& member : *target_members_) {
    if (!Contains(config_.members, member.replica)) joining.push_back(member);
  }
  if (!SameReplicas(joining, config_.learners)) {
    next.learners = std::move(joining);
    return next;
  }
  if (SameReplicas(*target_members_, config_.members)) return std::nullopt;
  for (const Member& member : joining) {
    if (!KeepsUp(member, now)) return std::nullopt;
  }
  next.joint_old = config_.members;
  next.members = *target_members_;
  next.learners.clear();
  return next;
}

bool ReplicaCore::KeepsUp(const Member& member, absl::Duration now) const {
  const PeerProgress* peer = leadership_->progress(member.replica);
  return peer != nullptr && committed_lately_.size() > kHeartbeatsBehind &&
         peer->mode() == PeerProgress::Mode::kReplicate &&
         peer->match() >= committed_lately_.front() &&
         now - peer->last_heard() < options_.leadership.election_timeout;
}

absl::Status ReplicaCore::OfferLeadership(ReplicaId to, absl::Duration now) {
  if (!is_serving()) return absl::UnavailableError("this replica does not serve");
  const auto member = std::find_if(config_.members.begin(), config_.members.end(),
                                   [to](const Member& one) { return one.replica == to; });
  if (member == config_.members.end() || to == self_ || !KeepsUp(*member, now) ||
      leadership_->pace().WasSlowLately(to, now)) {
    return absl::FailedPreconditionError("no other member, or one that does not keep up");
  }
  ++counters_.hand_overs;
  Send(to, HandOver{promised_});
  return absl::OkStatus();
}

// A leader whose own disk takes many times longer than that of another voter holds up every answer,
// since it answers what it has applied itself. It serves until the other leads; the other does not
// give the leadership back while this one is slow, and this one offers it again only after a while,
// if it gets it back all the same.
void ReplicaCore::OfferToFaster(absl::Duration now) {
  const MemberPace& pace = leadership_->pace();
  if (!pace.IsSlow(self_, now) || now < next_offer_to_faster_ || !config_.joint_old.empty()) return;
  if (!OfferLeadership(pace.fastest(), now).ok()) return;
  next_offer_to_faster_ = now + kPauseOfOffers;
}

// Offers the leadership to the members that keep up, one after the other (the store may be down for
// one of them alone), and goes on leading until one fences it: while the coordination store is down
// for all, nobody else can lead (I12).
void ReplicaCore::HandOverToMember(absl::Duration now) {
  const std::vector<Member>& members = config_.members;
  const auto last = std::find_if(members.begin(), members.end(), [&](const Member& member) {
    return member.replica == last_offer_;
  });
  const size_t first = last == members.end() ? 0 : static_cast<size_t>(last - members.begin()) + 1;
  for (size_t i = 0; i < members.size(); ++i) {
    const Member& member = members[(first + i) % members.size()];
    if (!KeepsUp(member, now)) continue;
    ++counters_.hand_overs;
    last_offer_ = member.replica;
    Send(member.replica, HandOver{promised_});
    swap_deadline_ = now + options_.leadership.election_timeout;
    return;
  }
}

}  // namespace meridian::replication
