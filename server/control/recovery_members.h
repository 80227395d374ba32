// What the members of groups say of themselves, and what the store says of those that say nothing
// (P23).
#pragma once

#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "meridian/internal/v1/cluster.pb.h"
#include "replication/core/group_config.h"
#include "server/peer_client.h"
#include "server/recovery_plan.h"

namespace meridian::server {

using NodeStatuses = std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>>;
// Of all nodes that have members of these groups, with the names that their replicas own. Blocks.
NodeStatuses AskMembers(PeerClient& peers,
                        const std::map<PartitionId, replication::GroupConfig>& groups);

struct MemberAccount {
  replication::Member member;
  // Or why there is nothing: it does not answer, is out of service, or its program is too old.
  absl::StatusOr<internal::v1::ReplicaStatus> said;
  // Only of one that says nothing. The store has a reason why it does not run.
  bool is_gone = false;
  // Likewise: its node runs, and does not have the disk in service.
  bool runs_without_disk = false;
};
// Of all that the configuration names. What `is_gone` rests on is added to `compares`. Blocks.
absl::StatusOr<std::vector<MemberAccount>> AccountsOf(coordination::CoordinationStore& store,
                                                      const NodeStatuses& statuses,
                                                      const replication::GroupConfig& config,
                                                      std::vector<coordination::Compare>& compares);

SurvivorState StateOf(const internal::v1::ReplicaStatus& status);

}  // namespace meridian::server
