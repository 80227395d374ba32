#include "server/object_gateway.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/errors.h"
#include "server/ops/errors.h"
#include "server/ops/replica_calls.h"
#include "server/resource_names.h"
#include "server/telemetry/call_record.h"
#include "tenancy/errors.h"

namespace meridian::server {

using tenancy::Directory;

absl::Status ObjectGateway::Run(const tenancy::Principal& principal, const Target& target,
                                absl::Time deadline, const Operation& operation) {
  std::optional<uint64_t> old_map;
  absl::Status status;
  bool begun = false;
  for (int moves = 0; moves <= kMaxMoves; ++moves) {
    ASSIGN_OR_RETURN(const Opened opened, Open(principal, target, deadline, old_map));
    old_map = opened.map_generation;
    status = opened.context.status();
    if (status.ok()) {
      // The body is gone: the client sends it again.
      if (begun && !target.repeatable) break;
      begun = true;
      status = Explain(*opened.context, operation(*opened.context));
    }
    if (!ops::IsMoved(status)) return status;
  }
  return ops::WithoutMark(begun && status.ok() ? ops::Moved() : status);
}

absl::StatusOr<ObjectGateway::Opened> ObjectGateway::Open(const tenancy::Principal& principal,
                                                          const Target& target, absl::Time deadline,
                                                          std::optional<uint64_t> old_map) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("container", target.container));
  ASSIGN_OR_RETURN(const auto tenant, env_.authorizer.AuthorizeTenant(principal, path.tenant,
                                                                      tenancy::Access::kObjects));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Directory::Container> container,
                   old_map ? env_.directory.RereadContainer(tenant->id, path.container)
                           : env_.directory.FindContainer(tenant->id, path.container));
  const uint64_t generation = container->record.partition_generation;
  // The split is not in the map yet.
  if (old_map && generation <= *old_map) return ops::WithoutMark(ops::Moved());
  return Opened{generation, OpenPartition(container, target, deadline)};
}

absl::StatusOr<ops::Context> ObjectGateway::OpenPartition(
    const std::shared_ptr<const Directory::Container>& container, const Target& target,
    absl::Time deadline) {
  RETURN_IF_ERROR(target.name.status());
  const tenancy::ContainerRecord& record = container->record;
  const tenancy::PartitionRange& range = record.PartitionOf(*target.name);
  if (CallRecord* const call = CallRecord::Current()) call->SetGroup(range.partition);
  ASSIGN_OR_RETURN(const std::shared_ptr<HostedReplica> replica,
                   FindLeading(range, record.partition_generation));
  if (target.intent == Intent::kNewData) {
    // Before a body is taken for nothing.
    RETURN_IF_ERROR(ops::CheckOwned(*replica->NewView(), *target.name));
    const absl::Status admitted = env_.admit(replica->identity().disk);
    // A disk that is out of service leads no longer.
    RETURN_IF_ERROR(
        WithReason(admitted, absl::IsResourceExhausted(admitted) ? v1::DISK_FULL : v1::NO_LEADER));
  }
  ops::Context context;
  context.container_name = target.container;
  ASSIGN_OR_RETURN(context.keys, env_.directory.OpenKeys(*container, record.current_kek_version()));
  context.open_keys = [directory = &env_.directory, container](uint32_t version) {
    return directory->OpenKeys(*container, version);
  };
  context.keep_versions = record.versioning;
  context.versioning_generation = record.versioning_generation;
  context.format = env_.view.format();
  context.partition_end = range.end;
  context.replica = replica;
  context.random = &env_.random;
  context.chunk_budget = &chunk_budget_;
  context.deadline = deadline;
  return context;
}

absl::StatusOr<std::shared_ptr<HostedReplica>> ObjectGateway::FindLeading(
    const tenancy::PartitionRange& range, uint64_t map_generation) const {
  const PartitionId partition = range.partition;
  const std::optional<ClusterView::Group> group = env_.view.FindGroup(partition);
  // It is being created or deleted, or the map is old.
  if (!group) return ops::Moved();
  const replication::Member* leader = ClusterView::LeaderOf(group->config);
  if (leader != nullptr && leader->node == env_.self && env_.host != nullptr) {
    std::shared_ptr<HostedReplica> replica = env_.host->Find(partition);
    if (replica != nullptr && replica->identity().replica == leader->replica) return replica;
    return Error(absl::StatusCode::kUnavailable, v1::NODE_STOPPING,
                 absl::StrCat("node ", env_.self, " is starting or stopping; nothing was done"));
  }
  const std::string missing = MissingQuorum(group->config);
  if (!missing.empty()) {
    return Error(absl::StatusCode::kUnavailable, v1::NO_QUORUM,
                 absl::StrCat("nothing was done: ", missing));
  }
  if (leader == nullptr || (leader->node != env_.self && !env_.reachable(leader->node))) {
    return Error(absl::StatusCode::kUnavailable, v1::NO_LEADER,
                 "the partition is choosing another leader; nothing was done");
  }
  v1::NotLeader detail;
  detail.set_endpoint(env_.view.LeaderEndpoint(partition));
  detail.set_epoch(group->config.epoch.value());
  detail.mutable_range()->set_begin_name(range.start);
  detail.mutable_range()->set_end_name(range.end);
  detail.mutable_range()->set_map_generation(map_generation);
  return NotLeader(absl::StrCat("node ", leader->node, " leads the partition"), detail);
}

// Counts only: which nodes there are is not for tenants to know.
std::string ObjectGateway::MissingQuorum(const replication::GroupConfig& config) const {
  for (const auto* set : {&config.members, &config.joint_old}) {
    const size_t answer = static_cast<size_t>(
        std::count_if(set->begin(), set->end(), [this](const replication::Member& member) {
          return member.node == env_.self || env_.reachable(member.node);
        }));
    const size_t quorum = set->size() / 2 + 1;
    if (!set->empty() && answer < quorum) {
      return absl::StrCat(answer, " of ", set->size(),
                          " replicas of the partition answer; a quorum of ", quorum, " is needed");
    }
  }
  return {};
}

absl::Status ObjectGateway::Explain(const ops::Context& context, const absl::Status& status) const {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
  const auto* hosted = static_cast<const HostedReplica*>(context.replica.get());
  const auto group = env_.view.FindGroup(hosted->identity().partition);
  if (!group) return status;
  const std::string missing = MissingQuorum(group->config);
  return missing.empty() ? status : Annotate(status, missing);
}

}  // namespace meridian::server
