// Asks other nodes, on their node-to-node ports, over mutual TLS.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "meridian/internal/v1/cluster.pb.h"
#include "server/cluster_view.h"
#include "server/tls_material.h"
#include "tenancy/records.h"

namespace meridian::server {

// Thread-safe; calls block, never on a strand.
class PeerClient {
 public:
  virtual ~PeerClient() = default;

  // Of all `nodes` at once. A node that does not answer in time has an error.
  virtual std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>> GetNodeStatuses(
      const std::vector<NodeId>& nodes, const internal::v1::GetNodeStatusRequest& request,
      absl::Duration timeout) = 0;

  // Whether it is connected, or answered when last asked; true before that. Does not block.
  virtual bool Reachable(const NodeId& node) = 0;

  // See NodeService; asked of the partition's leader.
  virtual absl::Status CheckEmpty(const tenancy::PartitionRange& range, absl::Time deadline) = 0;
  // The revision of the group's row.
  virtual absl::StatusOr<int64_t> ClosePartition(const tenancy::PartitionRange& range,
                                                 absl::Time deadline) = 0;
  virtual absl::Status ReopenPartition(PartitionId partition, absl::Time deadline) = 0;
  virtual absl::Status SetVersioning(PartitionId partition, bool keep_versions, uint64_t generation,
                                     absl::Time deadline) = 0;
};

// `view` outlives the client.
std::unique_ptr<PeerClient> MakePeerClient(const ClusterView& view, TlsMaterial tls);

}  // namespace meridian::server
