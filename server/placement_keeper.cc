#include "server/placement_keeper.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "server/await.h"
#include "server/log.h"

namespace meridian::server {
namespace {

constexpr absl::Duration kReplicaTimeout = absl::Seconds(2);

std::optional<replication::PlacementPolicy> PolicyOf(const PartitionRecord& record) {
  if (!record.redundancy) return std::nullopt;
  switch (*record.redundancy) {
    case tenancy::Redundancy::kLrs:
      return replication::PlacementPolicy::kOneZone;
    case tenancy::Redundancy::kZrs:
      return replication::PlacementPolicy::kThreeZones;
    default:
      return std::nullopt;
  }
}

}  // namespace

PlacementKeeper::PlacementKeeper(const Environment& environment)
    : env_(environment), worker_(MakeThreadExecutor(environment.node + "-placement")) {
  ScheduleTurn();
}

PlacementKeeper::~PlacementKeeper() { worker_.reset(); }

void PlacementKeeper::ScheduleTurn() {
  worker_->PostAfter(env_.options.interval, [this] {
    Turn();
    ScheduleTurn();
  });
}

void PlacementKeeper::Turn() {
  const std::vector<DiskInPlan> disks = Disks();
  std::vector<Change> changes;
  std::map<PartitionId, std::vector<replication::Member>> plans;
  for (const std::shared_ptr<HostedReplica>& replica : env_.host.List()) {
    std::optional<Change> change = PlanOf(replica, disks);
    if (change) changes.push_back(*std::move(change));
  }
  // What is under way goes on; then those with the fewest copies.
  std::stable_sort(changes.begin(), changes.end(), [](const Change& a, const Change& b) {
    return std::pair(a.under_way, a.silent) > std::pair(b.under_way, b.silent);
  });
  size_t running = 0;
  for (const Change& change : changes) {
    if (!change.under_way && running >= env_.options.max_changes) break;
    ++running;
    Begin(change);
    plans[change.replica->identity().partition] = change.members;
  }
  plans_ = std::move(plans);
}

std::vector<DiskInPlan> PlacementKeeper::Disks() const {
  std::map<DiskId, size_t> replicas;
  for (const auto& [partition, group] : env_.view.groups()) {
    for (const auto* set : {&group.config.members, &group.config.learners}) {
      for (const replication::Member& member : *set) ++replicas[member.disk];
    }
  }
  const std::set<NodeId> alive = env_.view.alive();
  const std::set<NodeId> draining = env_.view.draining();
  std::vector<DiskInPlan> disks;
  for (const auto& [node, record] : env_.view.nodes()) {
    for (const DiskId& disk : record.disks) {
      disks.push_back({{node, record.zone, record.region, disk, replicas[disk]},
                       alive.contains(node),
                       draining.contains(node)});
    }
  }
  return disks;
}

std::optional<PlacementKeeper::Change> PlacementKeeper::PlanOf(
    const std::shared_ptr<HostedReplica>& replica, const std::vector<DiskInPlan>& disks) {
  const PartitionId partition = replica->identity().partition;
  const auto status = AwaitUntil<replication::ReplicaStatus>(
      absl::Now() + kReplicaTimeout, [&](std::function<void(replication::ReplicaStatus)> done) {
        replica->GetStatus(std::move(done));
      });
  const std::optional<PartitionRecord> record = env_.view.FindPartition(partition);
  const auto policy = record ? PolicyOf(*record) : std::nullopt;
  absl::Status problem;
  std::optional<Change> change;
  if (status && status->is_serving && policy) {
    const replication::GroupConfig& config = status->config;
    GroupInPlan group{*policy, record->region, config, status->silence, {}};
    if (const auto last = plans_.find(partition); last != plans_.end()) {
      group.last_plan = last->second;
    }
    auto planned = PlanMembers(group, disks, env_.options.patience, env_.random);
    problem = planned.status();
    const bool under_way = !config.joint_old.empty() || !config.learners.empty();
    if (planned.ok() && (under_way || *planned != config.members)) {
      change = Change{replica, *std::move(planned), under_way,
                      CountSilent(group, env_.options.patience)};
    }
  }
  env_.host.SetPlacementProblem(partition, problem);
  return change;
}

void PlacementKeeper::Begin(const Change& change) {
  const PartitionId partition = change.replica->identity().partition;
  const auto status = AwaitUntil<absl::Status>(
      absl::Now() + kReplicaTimeout, [&](std::function<void(absl::Status)> done) {
        change.replica->ChangeMembers(change.members, std::move(done));
      });
  // UNAVAILABLE: another leads by now, and asks again.
  if (status && !status->ok() && !absl::IsUnavailable(*status)) {
    Log(absl::StrCat("node ", env_.node, ": cannot change the members of partition ",
                     partition.ToHex(), ": ", status->ToString()));
  }
  if (plans_[partition] == change.members) return;
  std::string nodes;
  for (const replication::Member& member : change.members) {
    absl::StrAppend(&nodes, nodes.empty() ? "" : ", ", member.node);
  }
  Log(absl::StrCat("node ", env_.node, ": partition ", partition.ToHex(), " goes to ", nodes));
}

}  // namespace meridian::server
