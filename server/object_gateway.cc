#include "server/object_gateway.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/errors.h"
#include "server/resource_names.h"
#include "tenancy/errors.h"

namespace meridian::server {

using tenancy::Directory;

absl::StatusOr<ops::Context> ObjectGateway::Open(const tenancy::Principal& principal,
                                                 const std::string& container_name,
                                                 const std::string& object_name,
                                                 absl::Time deadline, Intent intent) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("container", container_name));
  ASSIGN_OR_RETURN(const auto tenant, env_.authorizer.AuthorizeTenant(principal, path.tenant,
                                                                      tenancy::Access::kObjects));
  ASSIGN_OR_RETURN(const std::shared_ptr<const Directory::Container> container,
                   env_.directory.FindContainer(tenant->id, path.container));
  const tenancy::ContainerRecord& record = container->record;
  ASSIGN_OR_RETURN(const std::shared_ptr<HostedReplica> replica,
                   FindLeading(record.PartitionOf(object_name).partition));
  if (intent == Intent::kNewData) {
    RETURN_IF_ERROR(WithReason(env_.admit(replica->identity().disk), v1::DISK_FULL));
  }
  ops::Context context;
  context.container_name = container_name;
  ASSIGN_OR_RETURN(context.keys, env_.directory.OpenKeys(*container, record.current_kek_version()));
  context.open_keys = [directory = &env_.directory, container](uint32_t version) {
    return directory->OpenKeys(*container, version);
  };
  context.keep_versions = record.versioning;
  context.versioning_generation = record.versioning_generation;
  context.replica = replica;
  context.random = &env_.random;
  context.chunk_budget = &chunk_budget_;
  context.deadline = deadline;
  return context;
}

absl::StatusOr<std::shared_ptr<HostedReplica>> ObjectGateway::FindLeading(
    PartitionId partition) const {
  const std::optional<ClusterView::Group> group = env_.view.FindGroup(partition);
  if (!group) {
    return Error(absl::StatusCode::kUnavailable, v1::NO_LEADER,
                 "the partition is being created or deleted; nothing was done");
  }
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
  return NotLeader(absl::StrCat("node ", leader->node, " leads the partition"),
                   env_.view.LeaderEndpoint(partition), group->config.epoch.value());
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
