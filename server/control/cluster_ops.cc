#include "server/control/cluster_ops.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "replication/placement/placement.h"
#include "replication/replica.h"
#include "server/await.h"
#include "server/cluster_format.h"
#include "server/cluster_records.h"
#include "server/control/convert.h"
#include "server/control/recover_group.h"
#include "server/control/replace_disk.h"
#include "server/errors.h"
#include "server/placement_disks.h"
#include "server/resource_names.h"
#include "server/store_calls.h"
#include "tenancy/errors.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using tenancy::ContainerRecord;
using tenancy::Principal;

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);
constexpr absl::Duration kDigestTimeout = absl::Seconds(30);
constexpr int32_t kRouteTtlSeconds = 30;
constexpr int32_t kDefaultPage = 100;
constexpr int32_t kMaxPage = 1000;
constexpr int32_t kMaxDigestPage = 10;
// A member this many entries behind the leader is lagging.
constexpr uint64_t kLag = 1000;

const pb::ReplicaStatus* FindReplica(const pb::NodeStatus& status, ReplicaId replica) {
  for (const pb::ReplicaStatus& candidate : status.replicas()) {
    if (candidate.replica_id() == replica.bytes()) return &candidate;
  }
  return nullptr;
}

v1::Disk ToProto(const pb::DiskStatus& status) {
  v1::Disk disk;
  disk.set_id(absl::BytesToHexString(status.disk_id()));
  disk.set_capacity_bytes(static_cast<int64_t>(status.capacity_bytes()));
  disk.set_free_bytes(static_cast<int64_t>(status.free_bytes()));
  disk.set_in_service(status.in_service());
  disk.set_corrupt_records(static_cast<int64_t>(status.corrupt_records()));
  disk.set_body_bytes(static_cast<int64_t>(status.body_bytes()));
  *disk.mutable_scrub() = status.scrub();
  return disk;
}

// Not sealed, so not through the catalog's store. NOT_FOUND.
absl::StatusOr<PartitionRecord> ReadPartition(coordination::CoordinationStore& store,
                                              PartitionId partition) {
  ASSIGN_OR_RETURN(const auto row, GetFrom(store, PartitionKeyOf(partition)));
  if (!row) return absl::NotFoundError("the partition is gone");
  return DecodePartitionRecord(row->value);
}

void DescribeNode(const pb::NodeStatus& status, v1::Node& node) {
  std::map<std::string, int64_t> repaired;  // by disk id
  for (const pb::ReplicaStatus& replica : status.replicas()) {
    node.set_replica_count(node.replica_count() + 1);
    if (replica.is_serving()) node.set_leader_count(node.leader_count() + 1);
    if (!replica.placement_problem().empty()) node.set_problem(replica.placement_problem());
    if (!replica.comparison().differing_replicas().empty()) {
      node.set_problem(absl::StrCat("replicas of partition ",
                                    absl::BytesToHexString(replica.partition_id()),
                                    " differ: see `meridian scrub status`"));
    }
    if (!replica.problem().empty()) node.set_problem(replica.problem());
    repaired[replica.disk_id()] += static_cast<int64_t>(replica.repaired_chunks());
  }
  for (const pb::DiskStatus& disk : status.disks()) {
    v1::Disk* proto = node.add_disks();
    *proto = ToProto(disk);
    proto->set_repaired_records(repaired[disk.disk_id()]);
    if (!disk.problem().empty()) node.set_problem(disk.problem());
  }
}

}  // namespace

absl::StatusOr<v1::Topology> ClusterOps::GetTopology(const Principal& principal,
                                                     const v1::GetTopologyRequest&) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  v1::Topology response;
  response.set_cluster_id(env_.cluster.ToHex());
  response.set_dev_mode(env_.dev != nullptr);
  response.set_format_version(static_cast<int64_t>(env_.view.format().value()));
  const std::shared_ptr<const Topology> topology = env_.view.topology();
  for (const Topology::Region& region : topology->regions()) {
    v1::Region* region_proto = response.add_regions();
    region_proto->set_name(region.name);
    for (const Topology::Zone& zone : region.zones) {
      v1::Zone* zone_proto = region_proto->add_zones();
      zone_proto->set_name(zone.name);
      for (const NodeId& node : zone.nodes) zone_proto->add_nodes(node);
    }
  }
  return response;
}

v1::Node::State ClusterOps::StateOf(const NodeId& node, bool answered) const {
  if (env_.dev != nullptr) {
    switch (env_.dev->StateOf(node)) {
      case DevControl::NodeState::kStopped:
        return v1::Node::STOPPED;
      case DevControl::NodeState::kStarting:
        return v1::Node::STARTING;
      case DevControl::NodeState::kRunning:
        break;
    }
  }
  return answered ? v1::Node::UP : v1::Node::DOWN;
}

absl::StatusOr<v1::ListNodesResponse> ClusterOps::ListNodes(const Principal& principal,
                                                            const v1::ListNodesRequest&) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  std::vector<NodeId> ids;
  const std::shared_ptr<const Topology> topology = env_.view.topology();
  for (const Topology::Node& node : topology->nodes()) ids.push_back(node.id);
  const NodeStatuses statuses = env_.peers.GetNodeStatuses(ids, {}, kStatusTimeout);
  const std::map<NodeId, NodeRecord> records = env_.view.nodes();
  const std::set<NodeId> draining = env_.view.draining();
  const std::map<NodeId, int32_t> assigned = AssignedReplicas();
  v1::ListNodesResponse response;
  for (const Topology::Node& node : topology->nodes()) {
    v1::Node* proto = response.add_nodes();
    proto->set_name(node.id);
    proto->set_region(node.region);
    proto->set_zone(node.zone);
    const absl::StatusOr<pb::NodeStatus>& status = statuses.at(node.id);
    proto->set_state(StateOf(node.id, status.ok()));
    proto->set_draining(draining.contains(node.id));
    const auto count = assigned.find(node.id);
    if (count != assigned.end()) proto->set_assigned_replica_count(count->second);
    const auto record = records.find(node.id);
    if (record != records.end()) {
      proto->set_endpoint(record->second.public_endpoint);
      proto->set_newest_format_version(static_cast<int64_t>(record->second.newest_format.value()));
    }
    if (status.ok()) {
      DescribeNode(*status, *proto);
    } else if (proto->state() == v1::Node::DOWN) {
      proto->set_problem(std::string(FromAbsl(status.status().message())));
    }
  }
  return response;
}

std::map<NodeId, int32_t> ClusterOps::AssignedReplicas() const {
  std::map<NodeId, int32_t> assigned;
  for (const auto& [partition, group] : env_.view.groups()) {
    std::set<ReplicaId> counted;  // while joint, a member may be in both sets
    const replication::GroupConfig& config = group.config;
    for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
      for (const replication::Member& member : *set) {
        if (counted.insert(member.replica).second) ++assigned[member.node];
      }
    }
  }
  return assigned;
}

absl::StatusOr<v1::DrainNodeResponse> ClusterOps::DrainNode(const Principal& principal,
                                                            const v1::DrainNodeRequest& request) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  coordination::CoordinationStore& store = env_.store.coordination();
  ASSIGN_OR_RETURN(const auto node, GetFrom(store, NodeKeyOf(request.node())));
  if (!node) return NodeOrZoneMissing(v1::ResourceMissing::NODE, request.node());
  coordination::Transaction change;
  change.compares.push_back({node->key, node->mod_revision});
  change.writes.push_back({DrainKeyOf(request.node()), std::nullopt});
  if (!request.cancel()) change.writes.back().value = "1";
  RETURN_IF_ERROR(CommitTo(store, std::move(change)));
  return v1::DrainNodeResponse();
}

// By what the store holds, not by what was last seen of it: a node that has just come back keeps
// its place.
absl::StatusOr<v1::RemoveNodeResponse> ClusterOps::RemoveNode(
    const Principal& principal, const v1::RemoveNodeRequest& request) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  const NodeId& node = request.node();
  coordination::CoordinationStore& store = env_.store.coordination();
  ASSIGN_OR_RETURN(const auto record, GetFrom(store, NodeKeyOf(node)));
  if (!record) return NodeOrZoneMissing(v1::ResourceMissing::NODE, node);
  ASSIGN_OR_RETURN(const auto drain, GetFrom(store, DrainKeyOf(node)));
  if (!drain) {
    return Error(absl::StatusCode::kFailedPrecondition, v1::NODE_IN_USE,
                 absl::StrCat("node ", node, " is not being drained"));
  }
  ASSIGN_OR_RETURN(const auto groups, ListFrom(store, kGroupKeyPrefix));
  int assigned = 0;
  for (const coordination::KeyValue& row : groups) {
    ASSIGN_OR_RETURN(const auto config, replication::DecodeGroupConfig(row.value));
    for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
      for (const replication::Member& member : *set) assigned += member.node == node;
    }
  }
  if (assigned != 0) {
    return Error(absl::StatusCode::kFailedPrecondition, v1::NODE_IN_USE,
                 absl::StrCat("groups still have ", assigned, " replicas on node ", node));
  }
  ASSIGN_OR_RETURN(const auto alive, GetFrom(store, AliveKeyOf(node)));
  if (alive) {
    return Error(absl::StatusCode::kFailedPrecondition, v1::NODE_IN_USE,
                 absl::StrCat("node ", node, " still runs: stop it first"));
  }
  // A node that starts writes its record first.
  coordination::Transaction removal;
  removal.compares.push_back({record->key, record->mod_revision});
  removal.compares.push_back({drain->key, drain->mod_revision});
  removal.writes.push_back({record->key, std::nullopt});
  removal.writes.push_back({drain->key, std::nullopt});
  RETURN_IF_ERROR(CommitTo(store, std::move(removal)));
  return v1::RemoveNodeResponse();
}

absl::StatusOr<v1::ReplaceDiskResponse> ClusterOps::ReplaceDisk(
    const Principal& principal, const v1::ReplaceDiskRequest& request) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  return server::ReplaceDisk(env_.store.coordination(), env_.peers, request);
}

absl::StatusOr<v1::UpgradeFormatResponse> ClusterOps::UpgradeFormat(
    const Principal& principal, const v1::UpgradeFormatRequest& request) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  ASSIGN_OR_RETURN(const FormatUpgrade upgrade,
                   UpgradeClusterFormat(env_.store.coordination(), request.check_only()));
  v1::UpgradeFormatResponse response;
  response.set_from_version(static_cast<int64_t>(upgrade.from.value()));
  response.set_to_version(static_cast<int64_t>(upgrade.to.value()));
  return response;
}

absl::StatusOr<v1::RecoverGroupResponse> ClusterOps::RecoverGroup(
    const Principal& principal, const v1::RecoverGroupRequest& request) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  coordination::CoordinationStore& store = env_.store.coordination();
  RecoveryContext context{store, env_.peers,    env_.store.random(), {},
                          {},    principal.key, absl::Now()};
  for (DiskInPlan& disk : PlacementDisks(env_.view)) {
    if (disk.present && !disk.draining) context.disks.push_back(std::move(disk.disk));
  }
  // A group goes on also if its container's record cannot be had.
  std::string name;
  if (const auto partition = PartitionId::FromHex(request.partition_id())) {
    const auto record = ReadPartition(store, *partition);
    const auto container =
        record.ok() ? ContainerOf(*record) : absl::StatusOr<ContainerRecord>(record.status());
    if (container.ok()) {
      context.map = container->partitions;
      name = NameOf(*container).value_or("");
    }
  }
  ASSIGN_OR_RETURN(v1::RecoverGroupResponse response, server::RecoverGroup(context, request));
  response.set_container(std::move(name));
  return response;
}

absl::StatusOr<ClusterOps::GroupPage> ClusterOps::PageOfGroups(
    const v1::ListGroupsRequest& request) {
  const int32_t bound = request.with_digest() ? kMaxDigestPage : kMaxPage;
  if (request.page_size() < 0 || request.page_size() > kMaxPage) {
    return InvalidField("page_size", absl::StrCat("must be 0-", kMaxPage));
  }
  const size_t size = static_cast<size_t>(
      std::min(bound, request.page_size() == 0 ? kDefaultPage : request.page_size()));
  const std::string scope = absl::StrCat("groups/", request.container());
  ASSIGN_OR_RETURN(const std::string last, env_.store.OpenPageToken(scope, request.page_token()));
  if (!request.container().empty()) {
    ASSIGN_OR_RETURN(const ContainerPath path,
                     ParseContainerName("container", request.container()));
    ASSIGN_OR_RETURN(const tenancy::TenantRecord tenant, env_.tenants.Get(path.tenant));
    ASSIGN_OR_RETURN(const tenancy::ContainerRecord container,
                     env_.containers.Get(tenant.id, path.container));
    GroupPage page;
    for (const tenancy::PartitionRange& range : container.partitions) {
      page.partitions.push_back(range.partition);
    }
    return page;
  }
  GroupPage page;
  for (const auto& [partition, group] : env_.view.groups()) {
    if (partition.bytes() <= last) continue;
    if (page.partitions.size() == size) {
      page.next_page_token = env_.store.SealPageToken(scope, page.partitions.back().bytes());
      break;
    }
    page.partitions.push_back(partition);
  }
  return page;
}

absl::StatusOr<v1::ListGroupsResponse> ClusterOps::ListGroups(
    const Principal& principal, const v1::ListGroupsRequest& request) {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  ASSIGN_OR_RETURN(GroupPage page, PageOfGroups(request));
  const std::map<PartitionId, ClusterView::Group> groups = env_.view.groups();
  pb::GetNodeStatusRequest ask;
  ask.set_with_digest(request.with_digest());
  std::vector<NodeId> nodes;
  for (const PartitionId partition : page.partitions) {
    ask.add_partition_ids(std::string(partition.bytes()));
    const auto group = groups.find(partition);
    if (group == groups.end()) continue;
    for (const auto* set : {&group->second.config.members, &group->second.config.learners}) {
      for (const replication::Member& member : *set) nodes.push_back(member.node);
    }
  }
  std::sort(nodes.begin(), nodes.end());
  nodes.erase(std::unique(nodes.begin(), nodes.end()), nodes.end());
  const NodeStatuses statuses =
      page.partitions.empty()
          ? NodeStatuses()
          : env_.peers.GetNodeStatuses(nodes, ask,
                                       request.with_digest() ? kDigestTimeout : kStatusTimeout);
  ASSIGN_OR_RETURN(auto recoveries, ListRecoveries(env_.store.coordination()));
  v1::ListGroupsResponse response;
  for (const PartitionId partition : page.partitions) {
    const auto group = groups.find(partition);
    if (group == groups.end()) continue;  // deleted meanwhile
    absl::StatusOr<v1::Group> proto = DescribeGroup(partition, group->second, statuses);
    if (absl::IsNotFound(proto.status())) continue;
    RETURN_IF_ERROR(proto.status());
    for (v1::GroupRecovery& recovery : recoveries[partition]) {
      *proto->add_recoveries() = std::move(recovery);
    }
    *response.add_groups() = *std::move(proto);
  }
  response.set_next_page_token(std::move(page.next_page_token));
  return response;
}

v1::Replica ClusterOps::DescribeReplica(const replication::Member& member,
                                        const NodeStatuses& statuses) const {
  v1::Replica proto;
  proto.set_id(member.replica.ToHex());
  proto.set_node(member.node);
  proto.set_disk_id(member.disk.ToHex());
  const std::shared_ptr<const Topology> topology = env_.view.topology();
  const Topology::Node* node = topology->FindNode(member.node);
  if (node != nullptr) proto.set_zone(node->zone);
  const auto status = statuses.find(member.node);
  if (status == statuses.end() || !status->second.ok()) return proto;
  const pb::ReplicaStatus* replica = FindReplica(*status->second, member.replica);
  if (replica == nullptr) return proto;
  proto.set_reachable(replica->problem().empty());
  proto.set_durable_index(replica->last_index());
  proto.set_commit_index(replica->commit_index());
  // A digest is of the state at its own index.
  proto.set_applied_index(replica->digest().empty() ? replica->applied_index()
                                                    : replica->digest_index());
  proto.set_state_digest(absl::BytesToHexString(replica->digest()));
  proto.set_chunks_without_copy(static_cast<int64_t>(replica->chunks_without_copy()));
  proto.set_chunks_awaited(static_cast<int64_t>(replica->chunks_awaited()));
  return proto;
}

absl::StatusOr<ContainerRecord> ClusterOps::ContainerOf(const PartitionRecord& record) {
  ASSIGN_OR_RETURN(const auto row,
                   env_.store.Get(tenancy::ContainerKey(record.tenant, record.container)));
  if (!row) return absl::NotFoundError("the container is gone");
  return tenancy::DecodeContainerRecord(row->value);
}

absl::StatusOr<std::string> ClusterOps::NameOf(const ContainerRecord& container) {
  ASSIGN_OR_RETURN(const tenancy::StoredTenant tenant, env_.tenants.GetById(container.tenant));
  return tenancy::ContainerResourceName(tenant.record.name, container.name);
}

absl::StatusOr<v1::Group> ClusterOps::DescribeGroup(PartitionId partition,
                                                    const ClusterView::Group& group,
                                                    const NodeStatuses& statuses) {
  ASSIGN_OR_RETURN(const PartitionRecord record,
                   ReadPartition(env_.store.coordination(), partition));
  ASSIGN_OR_RETURN(const ContainerRecord container, ContainerOf(record));
  ASSIGN_OR_RETURN(std::string name, NameOf(container));
  v1::Group proto;
  proto.set_partition_id(partition.ToHex());
  proto.set_container(std::move(name));
  proto.set_redundancy(static_cast<v1::Redundancy>(container.redundancy));
  proto.set_region(record.region);
  proto.set_epoch(group.config.epoch.value());
  const replication::Member* leader = ClusterView::LeaderOf(group.config);
  uint64_t leader_commit = 0;
  bool serving = false;
  if (leader != nullptr) {
    proto.set_leader_node(leader->node);
    const auto status = statuses.find(leader->node);
    if (status != statuses.end() && status->second.ok()) {
      const pb::ReplicaStatus* replica = FindReplica(*status->second, leader->replica);
      serving = replica != nullptr && replica->is_serving();
      if (replica != nullptr) {
        leader_commit = replica->commit_index();
        proto.set_placement_problem(replica->placement_problem());
        if (replica->has_comparison()) *proto.mutable_comparison() = replica->comparison();
      }
    }
  }
  size_t close = 0;
  size_t reachable = 0;
  for (const replication::Member& member : group.config.members) {
    v1::Replica* replica = proto.add_members();
    *replica = DescribeReplica(member, statuses);
    reachable += replica->reachable();
    close += replica->reachable() && replica->applied_index() + kLag >= leader_commit;
  }
  for (const replication::Member& member : group.config.learners) {
    *proto.add_learners() = DescribeReplica(member, statuses);
  }
  const size_t members = group.config.members.size();
  // One that has been recovered has fewer members for a while.
  const bool whole = close == members && members >= replication::kReplicasOfAGroup;
  proto.set_health(!serving || reachable <= members / 2 ? v1::Group::UNAVAILABLE
                   : whole                              ? v1::Group::HEALTHY
                                                        : v1::Group::DEGRADED);
  return proto;
}

absl::StatusOr<v1::Route> ClusterOps::GetRoute(const Principal& principal,
                                               const v1::GetRouteRequest& request) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("container", request.container()));
  ASSIGN_OR_RETURN(const auto tenant, env_.authorizer.AuthorizeTenant(principal, path.tenant,
                                                                      tenancy::Access::kManage));
  // From the directory, as all that clients need for their data: known while the store is away.
  ASSIGN_OR_RETURN(const auto container, env_.directory.FindContainer(tenant->id, path.container));
  const tenancy::PartitionRange& range = container->record.PartitionOf(request.object_name());
  v1::Route route;
  route.set_partition_id(range.partition.ToHex());
  route.set_begin_name(range.start);
  route.set_end_name(range.end);
  route.set_map_generation(container->record.partition_generation);
  route.mutable_ttl()->set_seconds(kRouteTtlSeconds);
  *route.mutable_read_time() = TimestampProto(absl::Now());
  const std::optional<ClusterView::Group> group = env_.view.FindGroup(range.partition);
  if (!group) return route;
  route.set_epoch(group->config.epoch.value());
  // A leader that does not answer is left out: the client asks here, and learns why.
  const replication::Member* leader = ClusterView::LeaderOf(group->config);
  if (leader != nullptr && env_.peers.Reachable(leader->node)) {
    route.set_leader_endpoint(env_.view.LeaderEndpoint(range.partition));
  }
  const std::map<NodeId, NodeRecord> nodes = env_.view.nodes();
  for (const replication::Member& member : group->config.members) {
    const auto node = nodes.find(member.node);
    if (node != nodes.end()) route.add_member_endpoints(node->second.public_endpoint);
  }
  return route;
}

absl::Status ClusterOps::AuthorizeDev(const Principal& principal) const {
  RETURN_IF_ERROR(env_.authorizer.AuthorizeAdministrator(principal));
  if (env_.dev != nullptr && env_.takes_faults) return absl::OkStatus();
  return Error(absl::StatusCode::kFailedPrecondition, v1::DEV_MODE_ONLY,
               "only the front of `meridiand dev` stops and starts nodes on request");
}

absl::StatusOr<v1::StopNodeResponse> ClusterOps::StopNode(const Principal& principal,
                                                          const v1::StopNodeRequest& request) {
  RETURN_IF_ERROR(AuthorizeDev(principal));
  RETURN_IF_ERROR(env_.dev->StopNode(request.node()));
  return v1::StopNodeResponse();
}

absl::StatusOr<v1::StartNodeResponse> ClusterOps::StartNode(const Principal& principal,
                                                            const v1::StartNodeRequest& request) {
  RETURN_IF_ERROR(AuthorizeDev(principal));
  RETURN_IF_ERROR(env_.dev->StartNode(request.node()));
  return v1::StartNodeResponse();
}

absl::StatusOr<v1::StopZoneResponse> ClusterOps::StopZone(const Principal& principal,
                                                          const v1::StopZoneRequest& request) {
  RETURN_IF_ERROR(AuthorizeDev(principal));
  ASSIGN_OR_RETURN(const std::vector<NodeId> nodes, env_.dev->StopZone(request.zone()));
  v1::StopZoneResponse response;
  for (const NodeId& node : nodes) response.add_nodes(node);
  return response;
}

absl::StatusOr<v1::StartZoneResponse> ClusterOps::StartZone(const Principal& principal,
                                                            const v1::StartZoneRequest& request) {
  RETURN_IF_ERROR(AuthorizeDev(principal));
  ASSIGN_OR_RETURN(const std::vector<NodeId> nodes, env_.dev->StartZone(request.zone()));
  v1::StartZoneResponse response;
  for (const NodeId& node : nodes) response.add_nodes(node);
  return response;
}

}  // namespace meridian::server
