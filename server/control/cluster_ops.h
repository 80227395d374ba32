// What operators see of the cluster and clients route by, as meridian/v1/cluster.proto describes
// it; and faults on purpose, as dev.proto does.
#pragma once

#include "absl/status/statusor.h"
#include "base/id.h"
#include "meridian/internal/v1/cluster.pb.h"
#include "meridian/v1/cluster.pb.h"
#include "meridian/v1/dev.pb.h"
#include "server/cluster_view.h"
#include "server/dev_control.h"
#include "server/peer_client.h"
#include "server/topology.h"
#include "tenancy/authenticator.h"
#include "tenancy/authorizer.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/directory.h"
#include "tenancy/tenants.h"

namespace meridian::server {

// Thread-safe; calls block. The references outlive it.
class ClusterOps {
 public:
  struct Environment {
    ClusterId cluster;
    ClusterView& view;
    PeerClient& peers;
    tenancy::CatalogStore& store;
    tenancy::TenantCatalog& tenants;
    tenancy::ContainerCatalog& containers;
    tenancy::Directory& directory;
    tenancy::Authorizer& authorizer;
    DevControl* dev;  // null: not in dev mode
    // Whether nodes are stopped from here: a node cannot wait for the end of itself, nor two nodes
    // for each other's.
    bool takes_faults;
  };

  explicit ClusterOps(const Environment& environment) : env_(environment) {}

  absl::StatusOr<v1::Topology> GetTopology(const tenancy::Principal& principal,
                                           const v1::GetTopologyRequest& request);
  absl::StatusOr<v1::ListNodesResponse> ListNodes(const tenancy::Principal& principal,
                                                  const v1::ListNodesRequest& request);
  absl::StatusOr<v1::ListGroupsResponse> ListGroups(const tenancy::Principal& principal,
                                                    const v1::ListGroupsRequest& request);
  absl::StatusOr<v1::Route> GetRoute(const tenancy::Principal& principal,
                                     const v1::GetRouteRequest& request);

  absl::StatusOr<v1::DrainNodeResponse> DrainNode(const tenancy::Principal& principal,
                                                  const v1::DrainNodeRequest& request);
  absl::StatusOr<v1::RemoveNodeResponse> RemoveNode(const tenancy::Principal& principal,
                                                    const v1::RemoveNodeRequest& request);

  absl::StatusOr<v1::ReplaceDiskResponse> ReplaceDisk(const tenancy::Principal& principal,
                                                      const v1::ReplaceDiskRequest& request);
  absl::StatusOr<v1::UpgradeFormatResponse> UpgradeFormat(const tenancy::Principal& principal,
                                                          const v1::UpgradeFormatRequest& request);
  absl::StatusOr<v1::RecoverGroupResponse> RecoverGroup(const tenancy::Principal& principal,
                                                        const v1::RecoverGroupRequest& request);

  absl::StatusOr<v1::StopNodeResponse> StopNode(const tenancy::Principal& principal,
                                                const v1::StopNodeRequest& request);
  absl::StatusOr<v1::StartNodeResponse> StartNode(const tenancy::Principal& principal,
                                                  const v1::StartNodeRequest& request);
  absl::StatusOr<v1::StopZoneResponse> StopZone(const tenancy::Principal& principal,
                                                const v1::StopZoneRequest& request);
  absl::StatusOr<v1::StartZoneResponse> StartZone(const tenancy::Principal& principal,
                                                  const v1::StartZoneRequest& request);

 private:
  struct GroupPage {
    std::vector<PartitionId> partitions;
    std::string next_page_token;
  };
  using NodeStatuses = std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>>;

  std::map<NodeId, int32_t> AssignedReplicas() const;
  absl::Status AuthorizeDev(const tenancy::Principal& principal) const;
  v1::Node::State StateOf(const NodeId& node, bool answered) const;
  absl::StatusOr<GroupPage> PageOfGroups(const v1::ListGroupsRequest& request);
  absl::StatusOr<v1::Group> DescribeGroup(PartitionId partition, const ClusterView::Group& group,
                                          const NodeStatuses& statuses);
  // NOT_FOUND if it is gone.
  absl::StatusOr<tenancy::ContainerRecord> ContainerOf(const PartitionRecord& record);
  // The resource name.
  absl::StatusOr<std::string> NameOf(const tenancy::ContainerRecord& container);
  v1::Replica DescribeReplica(const replication::Member& member,
                              const NodeStatuses& statuses) const;

  const Environment env_;
};

}  // namespace meridian::server
