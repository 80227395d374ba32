// Lets a group that has lost its quorum for good go on with one survivor's log, as
// ClusterService.RecoverGroup describes it (P23).
#pragma once

#include <map>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "meridian/v1/cluster.pb.h"
#include "server/peer_client.h"

namespace meridian::server {

// Acts on what the store holds, in one transaction that also compares that the lost members are
// still as they were found. Blocks. `by`: the administrator's access key, for the record. A request
// that has been carried out already is answered with what was done. The answer's `container` is
// left to the caller.
absl::StatusOr<v1::RecoverGroupResponse> RecoverGroup(coordination::CoordinationStore& store,
                                                      PeerClient& peers,
                                                      const v1::RecoverGroupRequest& request,
                                                      AccessKeyId by, absl::Time now);

// Of all groups, those that are not acknowledged; an empty one where the record cannot be read.
// Blocks.
absl::StatusOr<std::map<PartitionId, std::vector<v1::GroupRecovery>>> ListRecoveries(
    coordination::CoordinationStore& store);

}  // namespace meridian::server
