#include "server/placement_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "server/await.h"
#include "server/cluster_records.h"
#include "server/log.h"
#include "server/placement_disks.h"
#include "server/store_calls.h"
#include "storage/objects/child_rows.h"

namespace meridian::server {
namespace {

constexpr absl::Duration kReplicaTimeout = absl::Seconds(2);

// The child's replicas are made from those of the partition's members (P7). One that cannot be read
// is told by others.
bool IsSplitting(const HostedReplica& replica) {
  const auto split = objects::FindSplit(*replica.NewView());
  return split.ok() && split->has_value();
}

std::string NodesOf(const std::vector<replication::Member>& members) {
  std::string nodes;
  for (const replication::Member& member : members) {
    absl::StrAppend(&nodes, nodes.empty() ? "" : ", ", member.node);
  }
  return nodes;
}

absl::Status TooSlow(const std::vector<replication::Member>& members, absl::Duration taken) {
  return absl::UnavailableError(absl::StrCat("on the way to ", NodesOf(members), " for ",
                                             absl::ToInt64Minutes(taken), " minutes"));
}

}  // namespace

PlacementKeeper::PlacementKeeper(const Environment& environment)
    : env_(environment),
      turns_(environment.node + "-placement", environment.options.interval, [this] { Turn(); }) {}

void PlacementKeeper::Turn() {
  store_ = absl::OkStatus();
  const std::vector<DiskInPlan> disks = PlacementDisks(env_.view);
  std::vector<Change> changes;
  settled_.clear();
  for (const std::shared_ptr<HostedReplica>& replica : env_.host.List()) {
    std::optional<Change> change = PlanOf(replica, disks);
    if (change) changes.push_back(*std::move(change));
  }
  // What is under way goes on; then those with the fewest copies.
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::pair(!a.under_way, a.copies) < std::pair(!b.under_way, b.copies);
  });
  std::map<PartitionId, Plan> plans;
  size_t running = 0;
  for (const Change& change : changes) {
    if (!change.under_way && running >= env_.options.max_changes) break;
    const PartitionId partition = change.replica->identity().partition;
    Plan plan{change.members, env_.clock.MonotonicNow()};
    const auto last = plans_.find(partition);
    if (last != plans_.end() && last->second.members == plan.members) plan = last->second;
    // One that does not come to its end leaves its turn to others, and says so.
    const absl::Duration taken = env_.clock.MonotonicNow() - plan.since;
    if (taken < env_.options.patience) {
      ++running;
    } else {
      env_.host.SetPlacement(partition, {TooSlow(change.members, taken), std::nullopt});
    }
    Begin(change);
    plans[partition] = std::move(plan);
  }
  plans_ = std::move(plans);
  if (changes.empty()) Balance(disks);
}

bool PlacementKeeper::IsBalancing(PartitionId partition, const GroupInPlan& group,
                                  const std::vector<DiskInPlan>& disks) const {
  const auto plan = plans_.find(partition);
  if (plan == plans_.end() || !plan->second.balances ||
      plan->second.members == group.config.members) {
    return false;
  }
  const absl::Duration patience = env_.options.patience;
  if (env_.clock.MonotonicNow() - plan->second.since >= patience ||
      CountCopies(group, patience) < group.config.members.size()) {
    return false;
  }
  return std::all_of(plan->second.members.begin(), plan->second.members.end(),
                     [&disks](const replication::Member& member) {
                       return std::any_of(disks.begin(), disks.end(), [&](const DiskInPlan& disk) {
                         return disk.disk.disk == member.disk && disk.present && !disk.draining;
                       });
                     });
}

// Every node does so for the groups that it leads, by the same counts: one in as many turns as
// there are nodes, so that they do not all fill the same disk.
void PlacementKeeper::Balance(const std::vector<DiskInPlan>& disks) {
  const absl::Duration now = env_.clock.MonotonicNow();
  if (settled_.empty() || now < balanced_at_ + env_.options.balance_interval) return;
  balanced_at_ = now;
  if (env_.random.Uniform(std::max<size_t>(1, env_.view.alive().size())) != 0) return;
  std::vector<SettledGroup> groups;
  for (const auto& [partition, settled] : settled_) groups.push_back(settled.group);
  BalanceReplicas(groups, disks);
  BalanceLeaders(groups, disks);
}

void PlacementKeeper::BalanceReplicas(const std::vector<SettledGroup>& groups,
                                      const std::vector<DiskInPlan>& disks) {
  const std::optional<BalanceMove> move = PlanBalanceMove(groups, disks);
  if (!move) return;
  const Settled& settled = settled_.at(move->partition);
  std::vector<replication::Member> members = settled.group.members;
  for (replication::Member& member : members) {
    if (member.replica != move->from) continue;
    member = {ReplicaId::Draw(env_.random), move->to.node, move->to.disk};
  }
  Begin({settled.replica, members, false, members.size()});
  plans_[move->partition] = {std::move(members), env_.clock.MonotonicNow(), /*balances=*/true};
}

void PlacementKeeper::BalanceLeaders(const std::vector<SettledGroup>& groups,
                                     const std::vector<DiskInPlan>& disks) {
  std::map<NodeId, size_t> leaders;
  for (const auto& [partition, group] : env_.view.groups()) {
    const replication::Member* leader = ClusterView::LeaderOf(group.config);
    if (leader != nullptr) ++leaders[leader->node];
  }
  const std::optional<LeaderMove> move = PlanLeaderMove(groups, disks, env_.node, leaders);
  if (!move || plans_.contains(move->partition)) return;
  const auto offered = AwaitUntil<absl::Status>(
      absl::Now() + kReplicaTimeout, [&](std::function<void(absl::Status)> done) {
        settled_.at(move->partition).replica->OfferLeadership(move->to, std::move(done));
      });
  if (offered && !offered->ok() && !absl::IsUnavailable(*offered)) {
    Log(LogLevel::kWarning, "placement", "cannot offer a group's leadership",
        {{"node", env_.node}, {"group", move->partition.ToHex()}, {"error", *offered}});
  }
}

std::optional<PlacementKeeper::Change> PlacementKeeper::PlanOf(
    const std::shared_ptr<HostedReplica>& replica, const std::vector<DiskInPlan>& disks) {
  const PartitionId partition = replica->identity().partition;
  const auto status = AwaitUntil<replication::ReplicaStatus>(
      absl::Now() + kReplicaTimeout, [&](std::function<void(replication::ReplicaStatus)> done) {
        replica->GetStatus(std::move(done));
      });
  const std::optional<PartitionRecord> seen = env_.view.FindPartition(partition);
  if (!status || !seen) return std::nullopt;
  if (!status->is_serving || IsSplitting(*replica)) {
    env_.host.SetPlacement(partition, {});
    return std::nullopt;
  }
  Verdict verdict = Judge(replica, *status, *seen, disks);
  if (verdict.change || !verdict.placement.problem.ok()) {
    // Nothing counts as settled from before the read on. So whoever sets a policy, and then finds
    // the group settled, knows that it stays so: what is begun later goes by that policy.
    env_.host.SetPlacement(partition, {verdict.placement.problem, std::nullopt});
    const absl::StatusOr<PartitionRecord> record = ReadRecord(partition);
    if (!record.ok()) {
      env_.host.SetPlacement(partition, {record.status(), std::nullopt});
      return std::nullopt;
    }
    verdict = Judge(replica, *status, *record, disks);
  }
  env_.host.SetPlacement(partition, verdict.placement);
  return std::move(verdict.change);
}

PlacementKeeper::Verdict PlacementKeeper::Judge(const std::shared_ptr<HostedReplica>& replica,
                                                const replication::ReplicaStatus& status,
                                                const PartitionRecord& record,
                                                const std::vector<DiskInPlan>& disks) {
  const auto policy = record.redundancy ? PolicyOf(*record.redundancy) : std::nullopt;
  if (!policy) return {};
  const replication::GroupConfig& config = status.config;
  GroupInPlan group{*policy, record.region, config, status.silence, {}};
  GiveUp(env_.view.retired_disks(), disks, group);
  if (const auto last = plans_.find(replica->identity().partition); last != plans_.end()) {
    group.last_plan = last->second.members;
  }
  Verdict verdict;
  if (status.config_committed && !status.changing_members && KeepsPolicy(group, disks)) {
    verdict.placement.settled = {*record.redundancy, config.epoch};
  }
  const PartitionId partition = replica->identity().partition;
  auto planned = IsBalancing(partition, group, disks)
                     ? plans_.at(partition).members
                     : PlanMembers(group, disks, env_.options.patience, env_.random);
  if (!planned.ok()) {
    verdict.placement.problem = planned.status();
    return verdict;
  }
  if (!status.changing_members && *planned == config.members) {
    settled_[partition] = {replica, {partition, config.members, config.leader}};
    return verdict;
  }
  verdict.placement.problem = status.last_swap;
  verdict.change = Change{replica, *std::move(planned), status.changing_members,
                          CountCopies(group, env_.options.patience)};
  return verdict;
}

absl::StatusOr<PartitionRecord> PlacementKeeper::ReadRecord(PartitionId partition) {
  // Once in a turn is enough to know: the groups that need nothing do not wait for it.
  RETURN_IF_ERROR(store_);
  const auto row = GetFrom(env_.coordination, PartitionKeyOf(partition));
  store_ = row.status();
  RETURN_IF_ERROR(store_);
  if (!*row) return absl::NotFoundError("the partition has been removed");
  return DecodePartitionRecord((*row)->value);
}

void PlacementKeeper::Begin(const Change& change) {
  const PartitionId partition = change.replica->identity().partition;
  const auto status = AwaitUntil<absl::Status>(
      absl::Now() + kReplicaTimeout, [&](std::function<void(absl::Status)> done) {
        change.replica->ChangeMembers(change.members, std::move(done));
      });
  // UNAVAILABLE: another leads by now, and asks again.
  if (status && !status->ok() && !absl::IsUnavailable(*status)) {
    Log(LogLevel::kWarning, "placement", "cannot change a group's members",
        {{"node", env_.node}, {"group", partition.ToHex()}, {"error", *status}});
  }
  const auto last = plans_.find(partition);
  if (last != plans_.end() && last->second.members == change.members) return;
  Log(LogLevel::kInfo, "placement", "a group changes its members",
      {{"node", env_.node}, {"group", partition.ToHex()}, {"to", NodesOf(change.members)}});
}

}  // namespace meridian::server
