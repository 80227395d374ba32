// Takes disks out of the cluster, as ClusterService.ReplaceDisk describes it.
#pragma once

#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"
#include "meridian/v1/cluster.pb.h"
#include "server/peer_client.h"

namespace meridian::server {

// Acts on what the store holds, not on what was last seen of it. Blocks. `peers` say which replicas
// are there, and what holds them up.
absl::StatusOr<v1::ReplaceDiskResponse> ReplaceDisk(coordination::CoordinationStore& store,
                                                    PeerClient& peers,
                                                    const v1::ReplaceDiskRequest& request);

}  // namespace meridian::server
