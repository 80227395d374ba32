#include "server/balance_plan.h"

#include <algorithm>

namespace meridian::server {
namespace {

using replication::Member;

// What a step has to win.
constexpr size_t kLeastGain = 2;

const DiskInPlan* FindDisk(const std::vector<DiskInPlan>& disks, DiskId disk) {
  const auto found = std::find_if(disks.begin(), disks.end(),
                                  [&](const DiskInPlan& one) { return one.disk.disk == disk; });
  return found == disks.end() ? nullptr : &*found;
}

bool HasReplicaOn(const SettledGroup& group, const NodeId& node) {
  return std::any_of(group.members.begin(), group.members.end(),
                     [&](const Member& member) { return member.node == node; });
}

// The emptiest disk that may take the place of the member on `from`.
const DiskInPlan* EmptiestFor(const SettledGroup& group, const DiskInPlan& from,
                              const std::vector<DiskInPlan>& disks) {
  const DiskInPlan* best = nullptr;
  for (const DiskInPlan& disk : disks) {
    if (!disk.present || disk.draining || disk.disk.region != from.disk.region ||
        disk.disk.zone != from.disk.zone || HasReplicaOn(group, disk.disk.node)) {
      continue;
    }
    if (best == nullptr || disk.disk.replica_count < best->disk.replica_count) best = &disk;
  }
  return best;
}

}  // namespace

std::optional<BalanceMove> PlanBalanceMove(const std::vector<SettledGroup>& groups,
                                           const std::vector<DiskInPlan>& disks) {
  std::optional<BalanceMove> best;
  size_t best_gain = kLeastGain - 1;
  for (const SettledGroup& group : groups) {
    for (const Member& member : group.members) {
      const DiskInPlan* const from = FindDisk(disks, member.disk);
      if (member.replica == group.leader || from == nullptr) continue;
      const DiskInPlan* const to = EmptiestFor(group, *from, disks);
      if (to == nullptr || from->disk.replica_count < to->disk.replica_count) continue;
      const size_t gain = from->disk.replica_count - to->disk.replica_count;
      if (gain <= best_gain) continue;
      best_gain = gain;
      best = BalanceMove{group.partition, member.replica, {to->disk.node, to->disk.disk}};
    }
  }
  return best;
}

std::optional<LeaderMove> PlanLeaderMove(const std::vector<SettledGroup>& groups,
                                         const std::vector<DiskInPlan>& disks, const NodeId& self,
                                         const std::map<NodeId, size_t>& leaders) {
  const auto count = [&leaders](const NodeId& node) {
    const auto found = leaders.find(node);
    return found == leaders.end() ? size_t{0} : found->second;
  };
  std::optional<LeaderMove> best;
  size_t fewest = count(self);
  for (const SettledGroup& group : groups) {
    for (const Member& member : group.members) {
      const DiskInPlan* const disk = FindDisk(disks, member.disk);
      if (member.node == self || disk == nullptr || !disk->present || disk->draining) continue;
      const size_t led = count(member.node);
      if (led + kLeastGain > count(self) || led >= fewest) continue;
      fewest = led;
      best = LeaderMove{group.partition, member.replica};
    }
  }
  return best;
}

}  // namespace meridian::server
