#include "server/recovery_plan.h"

#include <algorithm>
#include <set>
#include <tuple>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "server/errors.h"

namespace meridian::server {
namespace {

using replication::GroupConfig;
using replication::Member;
using Members = std::vector<RecoveryMemberInPlan>;

const RecoveryMemberInPlan* Find(const Members& members, const ReplicaId& replica) {
  const auto found = std::find_if(members.begin(), members.end(),
                                  [&](const auto& one) { return one.member.replica == replica; });
  return found == members.end() ? nullptr : &*found;
}

// One that is being installed counts: it can promise (P6).
bool QuorumAnswers(const GroupConfig& config, const Members& members) {
  for (const auto* set : {&config.members, &config.joint_old}) {
    if (set->empty()) continue;
    size_t answer = 0;
    for (const Member& member : *set) {
      const RecoveryMemberInPlan* one = Find(members, member.replica);
      answer += one != nullptr && one->state.has_value();
    }
    if (answer <= set->size() / 2) return false;
  }
  return true;
}

// Equal logs: the one that lacks fewer chunks; then any, but always the same.
auto Rank(const RecoveryMemberInPlan& one) {
  return std::tuple(one.state->last_epoch, one.state->last_index, ~one.state->chunks_without_copy,
                    one.member.replica);
}

std::optional<size_t> BestOf(const Members& members) {
  std::optional<size_t> best;
  for (size_t i = 0; i < members.size(); ++i) {
    if (!members[i].state || !IsWhole(*members[i].state)) continue;
    if (!best || Rank(members[i]) > Rank(members[*best])) best = i;
  }
  return best;
}

absl::Status Refuse(v1::ErrorReason reason, const std::string& why) {
  return Error(absl::StatusCode::kFailedPrecondition, reason, why);
}

// Nobody leads the group, or might, without those who answer.
absl::Status CheckLost(const GroupConfig& config, const Members& members) {
  for (const RecoveryMemberInPlan& one : members) {
    if (one.state && one.state->promised > config.epoch) {
      return Refuse(v1::MEMBER_NOT_LOST,
                    absl::StrCat("replica ", one.member.replica.ToHex(), " on ", one.member.node,
                                 " has promised epoch ", one.state->promised.value(),
                                 ", and the coordination store is only at ", config.epoch.value(),
                                 ": its data are of the past. Put that right first: docs/etcd.md"));
    }
  }
  std::set<NodeId> run;
  for (const RecoveryMemberInPlan& one : members) {
    if (!one.state && !one.is_gone) run.insert(one.member.node);
  }
  if (run.empty()) return absl::OkStatus();
  return Refuse(v1::MEMBER_NOT_LOST,
                absl::StrCat(absl::StrJoin(run, ", "), " may still run, with a member that does ",
                             "not answer here, and might lead the group: bring the member back, or "
                             "stop the node (its announcement lasts for some seconds), or start it "
                             "with an empty folder in the disk's place"));
}

absl::Status Judge(const GroupConfig& config, const Members& members, const RecoveryPlan& plan) {
  const std::string lost = absl::StrJoin(plan.lost_nodes, ", ");
  if (!plan.survivor) {
    return Refuse(v1::NO_SURVIVOR,
                  absl::StrCat("no member that answers is whole: there is nothing to recover the ",
                               "group from. Unless ", lost.empty() ? "a member" : lost,
                               " comes back with its disks, what the partition held is lost"));
  }
  if (QuorumAnswers(config, members)) {
    return Refuse(v1::QUORUM_ANSWERS,
                  "a quorum of the members answers: there is nothing to recover, the group has a "
                  "leader within seconds");
  }
  return CheckLost(config, members);
}

absl::Status JudgeBeginning(const GroupConfig& config, const Members& members,
                            const RecoveryPlan& plan) {
  if (plan.survivor) {
    return Refuse(v1::SURVIVOR_ANSWERS,
                  "a member that answers is whole: recover the group from that one");
  }
  if (plan.lost_nodes.empty()) {
    return Refuse(v1::QUORUM_ANSWERS, "all members answer, and are being installed");
  }
  return CheckLost(config, members);
}

}  // namespace

bool IsWhole(const SurvivorState& state) {
  return !state.installing && state.last_index > LogIndex(0);
}

std::vector<Member> AllMembers(const GroupConfig& config) {
  std::vector<Member> all;
  std::set<ReplicaId> seen;
  for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
    for (const Member& member : *set) {
      if (seen.insert(member.replica).second) all.push_back(member);
    }
  }
  return all;
}

RecoveryPlan PlanRecovery(const GroupConfig& config, const Members& members) {
  RecoveryPlan plan;
  plan.survivor = BestOf(members);
  std::set<NodeId> lost;
  LogIndex known;
  for (const RecoveryMemberInPlan& one : members) {
    if (!one.state) {
      lost.insert(one.member.node);
      continue;
    }
    known = std::max({known, one.state->commit_index, one.state->freeable_index});
  }
  plan.lost_nodes.assign(lost.begin(), lost.end());
  if (plan.survivor) {
    const LogIndex last = members[*plan.survivor].state->last_index;
    plan.known_missing_entries = known > last ? known - last : 0;
  }
  plan.refusal = Judge(config, members, plan);
  plan.beginning_refusal = JudgeBeginning(config, members, plan);
  return plan;
}

}  // namespace meridian::server
