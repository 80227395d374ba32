// Evens out replicas over disks and leaders over nodes, one step at a time. Pure; PlacementKeeper
// acts on it, when nothing more urgent is to be done.
#pragma once

#include <map>
#include <optional>
#include <vector>

#include "base/id.h"
#include "replication/core/group_config.h"
#include "server/placement_plan.h"

namespace meridian::server {

// A group that is led here and has its members where they may stay.
struct SettledGroup {
  PartitionId partition;
  std::vector<replication::Member> members;
  ReplicaId leader;
};

struct BalanceMove {
  PartitionId partition;
  ReplicaId from;  // a member other than the leader
  replication::PlacedReplica to;
};
// Moves a replica from the disk with the most to one of the same zone, and of a node that has none
// of the group, that has at least two fewer: less would change nothing for the better. nullopt: all
// is even enough.
std::optional<BalanceMove> PlanBalanceMove(const std::vector<SettledGroup>& groups,
                                           const std::vector<DiskInPlan>& disks);

struct LeaderMove {
  PartitionId partition;
  ReplicaId to;
};
// Gives the leadership of one group to a member whose node runs, is not to be emptied, and leads at
// least two groups fewer than `self`. `leaders`: how many groups each node leads.
std::optional<LeaderMove> PlanLeaderMove(const std::vector<SettledGroup>& groups,
                                         const std::vector<DiskInPlan>& disks, const NodeId& self,
                                         const std::map<NodeId, size_t>& leaders);

}  // namespace meridian::server
