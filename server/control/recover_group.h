// Lets a group that has lost its quorum for good go on with one survivor's log, or begin anew if
// nobody is left, as ClusterService.RecoverGroup describes it (P23).
#pragma once

#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "meridian/v1/cluster.pb.h"
#include "replication/placement/placement.h"
#include "server/peer_client.h"
#include "tenancy/records.h"

namespace meridian::server {

struct RecoveryContext {
  coordination::CoordinationStore& store;
  PeerClient& peers;
  Random& random;
  // Of the partition's container; empty: not to be had, and then nothing is said of names, and
  // nothing begins anew.
  std::vector<tenancy::PartitionRange> map;
  // That replicas can be placed on.
  std::vector<replication::PlacementDisk> disks;
  // The administrator, for the record.
  AccessKeyId by;
  absl::Time now;
};

// Acts on what the store holds, in one transaction that also compares that the lost members are
// still as they were found. Blocks. A request that has been carried out already is answered with
// what was done. The answer's `container` is left to the caller.
absl::StatusOr<v1::RecoverGroupResponse> RecoverGroup(const RecoveryContext& context,
                                                      const v1::RecoverGroupRequest& request);

// Of all groups, those that are not acknowledged; an empty one where the record cannot be read.
// Blocks.
absl::StatusOr<std::map<PartitionId, std::vector<v1::GroupRecovery>>> ListRecoveries(
    coordination::CoordinationStore& store);

}  // namespace meridian::server
