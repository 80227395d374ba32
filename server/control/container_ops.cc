#include "server/control/container_ops.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/check.h"
#include "base/status.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "server/control/convert.h"
#include "server/errors.h"
#include "server/placement_disks.h"
#include "server/placement_plan.h"
#include "server/resource_names.h"
#include "tenancy/errors.h"

namespace meridian::server {
namespace {

using tenancy::Access;
using tenancy::ContainerRecord;
using tenancy::Principal;
using tenancy::Redundancy;

constexpr absl::Duration kLeaderWait = absl::Seconds(10);
constexpr absl::Duration kLeaderPoll = absl::Milliseconds(20);
constexpr absl::Duration kRemovalTimeout = absl::Seconds(10);
// Between attempts: the other call that is removing the partition needs a barrier and a commit.
constexpr absl::Duration kRemovalPause = absl::Milliseconds(50);
// They go in one transaction: a compare and three writes each, beside the catalog's.
constexpr size_t kMaxRemovedPartitions = (coordination::Transaction::kMaxOps - 16) / 4;
// Whoever called: the container is closed. Then it is left to CutOffDeletions.
constexpr absl::Duration kReopenTime = absl::Seconds(3);
// Of a transaction that lost against another change.
constexpr int kMaxAttempts = 10;

v1::Container ToProto(const std::string& tenant, const ContainerRecord& record) {
  v1::Container proto;
  proto.set_name(tenancy::ContainerResourceName(tenant, record.name));
  proto.set_uid(record.id.ToHex());
  proto.set_redundancy(static_cast<v1::Redundancy>(record.redundancy));
  proto.set_home_region(record.home_region);
  proto.set_versioning(record.versioning ? v1::VERSIONING_ON : v1::VERSIONING_OFF);
  *proto.mutable_create_time() = TimestampProto(record.create_time);
  return proto;
}

v1::Conversion ToProto(const tenancy::Conversion& conversion,
                       const std::optional<tenancy::ConversionProgress>& progress) {
  v1::Conversion proto;
  proto.set_target(static_cast<v1::Redundancy>(conversion.target));
  proto.set_state(static_cast<v1::Conversion::State>(conversion.state));
  *proto.mutable_start_time() = TimestampProto(conversion.start_time);
  if (!progress) return proto;
  proto.set_partitions_done(static_cast<int32_t>(progress->partitions_done));
  proto.set_partitions_total(static_cast<int32_t>(progress->partitions_total));
  proto.set_bytes_done(static_cast<int64_t>(progress->bytes_done));
  proto.set_bytes_total(static_cast<int64_t>(progress->bytes_total));
  if (progress->estimated_end) {
    *proto.mutable_estimated_end_time() = TimestampProto(*progress->estimated_end);
  }
  proto.set_problem(progress->problem);
  return proto;
}

absl::StatusOr<Redundancy> SupportedRedundancy(v1::Redundancy redundancy,
                                               const std::string& field) {
  switch (redundancy) {
    case v1::LRS:
      return Redundancy::kLrs;
    case v1::ZRS:
      return Redundancy::kZrs;
    case v1::GRS:
    case v1::GZRS:
    case v1::RA_GRS:
    case v1::RA_GZRS:
      return Error(absl::StatusCode::kUnimplemented, v1::REDUNDANCY_UNSUPPORTED,
                   absl::StrCat(v1::Redundancy_Name(redundancy),
                                " is not implemented in this version; LRS and ZRS are"));
    default:
      return InvalidField(field, "must be LRS or ZRS");
  }
}

absl::StatusOr<bool> VersioningOn(v1::Versioning versioning) {
  if (versioning == v1::VERSIONING_ON) return true;
  if (versioning == v1::VERSIONING_OFF || versioning == v1::VERSIONING_UNSPECIFIED) return false;
  return InvalidField("container.versioning", "must be VERSIONING_OFF or VERSIONING_ON");
}

std::vector<PartitionId> PartitionsOf(const ContainerRecord& container) {
  std::vector<PartitionId> partitions;
  for (const tenancy::PartitionRange& range : container.partitions) {
    partitions.push_back(range.partition);
  }
  return partitions;
}

}  // namespace

absl::StatusOr<v1::Container> ContainerOps::CreateContainer(
    const Principal& principal, const v1::CreateContainerRequest& request,
    const CallLimits& limits) {
  ASSIGN_OR_RETURN(const std::string tenant_name, ParseTenantName("parent", request.parent()));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, tenant_name, Access::kManage));
  tenancy::NewContainer wanted;
  wanted.tenant = tenant->id;
  wanted.name = request.container_id();
  ASSIGN_OR_RETURN(wanted.redundancy,
                   SupportedRedundancy(request.container().redundancy(), "container.redundancy"));
  ASSIGN_OR_RETURN(wanted.versioning, VersioningOn(request.container().versioning()));
  ASSIGN_OR_RETURN(wanted.request_id,
                   RequestIdBytes(request.has_request_id(), request.request_id(), absl::Now()));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    wanted.partition = PartitionId::Draw(env_.store.random());
    ASSIGN_OR_RETURN(const std::optional<ContainerRecord> record,
                     TryCreate(wanted, request.container().home_region()));
    if (!record) continue;
    WaitForLeader(record->partitions[0].partition, limits);
    return ToProto(tenant->name, *record);
  }
  return Error(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
               "the catalog changes too fast; nothing was done, try again");
}

absl::StatusOr<std::optional<ContainerRecord>> ContainerOps::TryCreate(tenancy::NewContainer wanted,
                                                                       const std::string& region) {
  ASSIGN_OR_RETURN(const Placement placement, Place(wanted.redundancy, region));
  wanted.home_region = placement.region;
  ASSIGN_OR_RETURN(tenancy::PreparedChange change, env_.containers.PrepareCreate(wanted));
  // Made by an earlier attempt of the same request.
  if (change.writes.empty()) return std::optional(std::move(change.record));
  replication::GroupConfig config;
  config.epoch = Epoch(1);
  for (const replication::PlacedReplica& replica : placement.replicas) {
    config.members.push_back({ReplicaId::Draw(env_.store.random()), replica.node, replica.disk});
  }
  const std::string group_key = replication::GroupConfigKey(wanted.partition);
  coordination::Transaction transaction{std::move(change.compares), std::move(change.writes)};
  transaction.compares.push_back(tenancy::CatalogStore::Absent(group_key));
  transaction.writes.push_back({group_key, replication::EncodeGroupConfig(config)});
  transaction.writes.push_back({PartitionKeyOf(wanted.partition),
                                EncodePartitionRecord({wanted.tenant, change.record.id,
                                                       placement.region, wanted.redundancy})});
  ASSIGN_OR_RETURN(const bool committed, env_.store.Commit(wanted.tenant, std::move(transaction)));
  if (!committed) return std::optional<ContainerRecord>();
  return std::optional(std::move(change.record));
}

absl::StatusOr<ContainerOps::Placement> ContainerOps::Place(Redundancy redundancy,
                                                            const std::string& region) {
  const auto policy = PolicyOf(redundancy);
  CHECK_INVARIANT(policy, "only what SupportedRedundancy lets pass is placed");
  const std::vector<replication::PlacementDisk> disks = Disks();
  bool known = false;
  absl::Status refusal;
  const std::shared_ptr<const Topology> topology = env_.view.topology();
  for (const Topology::Region& candidate : topology->regions()) {
    if (!region.empty() && candidate.name != region) continue;
    known = true;
    auto placed = replication::PlaceGroup(*policy, candidate.name, disks);
    if (placed.ok()) return Placement{candidate.name, *std::move(placed)};
    if (refusal.ok()) refusal = placed.status();
  }
  if (!known) {
    return InvalidField("container.home_region",
                        absl::StrCat("there is no region \"", region, "\""));
  }
  return WithReason(refusal, v1::PLACEMENT_IMPOSSIBLE);
}

// A group that were born on nodes which do not run might never have a leader to move it.
std::vector<replication::PlacementDisk> ContainerOps::Disks() {
  std::vector<replication::PlacementDisk> disks;
  for (DiskInPlan& disk : PlacementDisks(env_.view)) {
    if (disk.present && !disk.draining) disks.push_back(std::move(disk.disk));
  }
  return disks;
}

void ContainerOps::WaitForLeader(PartitionId partition, const CallLimits& limits) {
  const CallLimits wait = limits.Until(absl::Now() + kLeaderWait);
  while (env_.view.LeaderEndpoint(partition).empty() && wait.Sleep(kLeaderPoll)) {
  }
}

absl::StatusOr<v1::Container> ContainerOps::GetContainer(const Principal& principal,
                                                         const v1::GetContainerRequest& request) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("name", request.name()));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, path.tenant, Access::kManage));
  ASSIGN_OR_RETURN(const ContainerRecord record, env_.containers.Get(tenant->id, path.container));
  return Describe(tenant->name, record);
}

absl::StatusOr<v1::Container> ContainerOps::Describe(const std::string& tenant,
                                                     const ContainerRecord& record) {
  v1::Container proto = ToProto(tenant, record);
  if (!record.conversion) return proto;
  ASSIGN_OR_RETURN(const auto progress, env_.conversions.FindProgress({record.tenant, record.id}));
  *proto.mutable_conversion() = ToProto(*record.conversion, progress);
  return proto;
}

absl::StatusOr<v1::ListContainersResponse> ContainerOps::ListContainers(
    const Principal& principal, const v1::ListContainersRequest& request) {
  ASSIGN_OR_RETURN(const std::string name, ParseTenantName("parent", request.parent()));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, name, Access::kManage));
  ASSIGN_OR_RETURN(tenancy::ContainerCatalog::Listing listing,
                   env_.containers.List(tenant->id, {request.page_size(), request.page_token()}));
  v1::ListContainersResponse response;
  for (const ContainerRecord& record : listing.containers) {
    ASSIGN_OR_RETURN(*response.add_containers(), Describe(tenant->name, record));
  }
  response.set_next_page_token(std::move(listing.next_page_token));
  return response;
}

absl::StatusOr<v1::Container> ContainerOps::UpdateContainer(
    const Principal& principal, const v1::UpdateContainerRequest& request,
    const CallLimits& limits) {
  ASSIGN_OR_RETURN(const ContainerPath path,
                   ParseContainerName("container.name", request.container().name()));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, path.tenant, Access::kManage));
  if (request.update_mask().paths_size() != 1 || request.update_mask().paths(0) != "versioning") {
    return InvalidField("update_mask", "must be \"versioning\": nothing else can be changed");
  }
  if (request.container().versioning() == v1::VERSIONING_UNSPECIFIED) {
    return InvalidField("container.versioning", "must be VERSIONING_OFF or VERSIONING_ON");
  }
  ASSIGN_OR_RETURN(const bool versioning, VersioningOn(request.container().versioning()));
  ASSIGN_OR_RETURN(ContainerRecord record,
                   env_.containers.SetVersioning(tenant->id, path.container, versioning));
  absl::Status told;
  // Once more, if partitions have been added meanwhile.
  for (std::optional<uint64_t> generation;
       told.ok() && generation != record.partition_generation;) {
    generation = record.partition_generation;
    told = TellVersioning(record, limits);
    ASSIGN_OR_RETURN(record, env_.containers.Get(tenant->id, path.container));
  }
  if (!told.ok()) {
    return Error(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
                 absl::StrCat("the setting is stored, but not in effect for all writes yet; repeat "
                              "the call: ",
                              told.message()));
  }
  return Describe(tenant->name, record);
}

absl::Status ContainerOps::TellVersioning(const ContainerRecord& container,
                                          const CallLimits& limits) {
  const CallLimits wait = limits.Until(absl::Now() + kLeaderWait);
  for (const tenancy::PartitionRange& range : container.partitions) {
    absl::Status status;
    do {
      status = env_.peers.SetVersioning(range.partition, container.versioning,
                                        container.versioning_generation, wait.deadline);
    } while (!status.ok() && wait.Sleep(kRemovalPause));
    RETURN_IF_ERROR(status);
  }
  return absl::OkStatus();
}

absl::StatusOr<google::protobuf::Empty> ContainerOps::DeleteContainer(
    const Principal& principal, const v1::DeleteContainerRequest& request,
    const CallLimits& limits) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("name", request.name()));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, path.tenant, Access::kManage));
  ASSIGN_OR_RETURN(const ContainerRecord container,
                   env_.containers.Get(tenant->id, path.container));
  const absl::Status removed = Remove(container, limits);
  if (removed.ok()) return google::protobuf::Empty();
  if (absl::IsFailedPrecondition(removed)) {
    return tenancy::NotEmptyError(
        absl::StrCat("container ", path.container, ": ", removed.message()));
  }
  return removed;
}

absl::Status ContainerOps::Remove(const ContainerRecord& container, const CallLimits& limits) {
  if (container.partitions.size() > kMaxRemovedPartitions) {
    return Error(
        absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
        absl::StrCat("the container has ", container.partitions.size(), " partitions; at most ",
                     kMaxRemovedPartitions, " can be removed at once, nothing was done"));
  }
  const CallLimits wait = limits.Until(absl::Now() + kRemovalTimeout);
  // Looked at first, so that a container in use is not closed for the time of a failed attempt.
  const absl::Status empty = CheckEmpty(container, wait.deadline);
  if (absl::IsFailedPrecondition(empty) && container.state == ContainerRecord::State::kDeleting) {
    // An earlier attempt was cut off before it could open the container again.
    RETURN_IF_ERROR(Reopen(container).status());
  }
  if (!absl::IsAborted(empty)) RETURN_IF_ERROR(empty);
  absl::Status status;
  do {
    status = TryRemove(container, wait.deadline);
  } while (absl::IsAborted(status) && wait.Sleep(kRemovalPause));
  if (status.ok()) return status;
  ASSIGN_OR_RETURN(const bool there, Reopen(container));
  // It went after all: by another call, or by an attempt whose answer was lost.
  if (!there) return absl::OkStatus();
  return absl::IsAborted(status) ? absl::UnavailableError(status.message()) : status;
}

absl::Status ContainerOps::CheckEmpty(const ContainerRecord& container, absl::Time deadline) {
  for (const tenancy::PartitionRange& range : container.partitions) {
    RETURN_IF_ERROR(env_.peers.CheckEmpty(range, deadline));
  }
  return absl::OkStatus();
}

absl::Status ContainerOps::TryRemove(const ContainerRecord& container, absl::Time deadline) {
  // Each time: another call that failed may have opened the container again.
  RETURN_IF_ERROR(
      env_.containers.SetState(container.tenant, container.id, ContainerRecord::State::kDeleting)
          .status());
  absl::StatusOr<tenancy::PreparedChange> change =
      env_.containers.PrepareDelete(container.tenant, container.id);
  if (absl::IsFailedPrecondition(change.status())) {
    return absl::AbortedError("the container was opened again");
  }
  RETURN_IF_ERROR(change.status());
  coordination::Transaction transaction{std::move(change->compares), std::move(change->writes)};
  std::vector<PartitionId> closed;
  absl::Status status = ClosePartitions(change->record, deadline, transaction, closed);
  if (status.ok()) {
    const absl::StatusOr<bool> committed =
        env_.store.Commit(container.tenant, std::move(transaction));
    if (committed.ok() && *committed) return absl::OkStatus();
    status = committed.ok() ? absl::AbortedError("the container or a leader has changed meanwhile")
                            : committed.status();
  }
  for (const PartitionId partition : closed) {
    // Else it opens by itself in a while.
    env_.peers.ReopenPartition(partition, deadline).IgnoreError();
  }
  return status;
}

absl::Status ContainerOps::ClosePartitions(const ContainerRecord& container, absl::Time deadline,
                                           coordination::Transaction& transaction,
                                           std::vector<PartitionId>& closed) {
  for (const tenancy::PartitionRange& range : container.partitions) {
    ASSIGN_OR_RETURN(const int64_t revision, env_.peers.ClosePartition(range, deadline));
    closed.push_back(range.partition);
    const std::string group = replication::GroupConfigKey(range.partition);
    transaction.compares.push_back({group, revision});
    transaction.writes.push_back({group, std::nullopt});
    transaction.writes.push_back({PartitionKeyOf(range.partition), std::nullopt});
    transaction.writes.push_back({RemovedKeyOf(range.partition), std::string("1")});
  }
  return absl::OkStatus();
}

absl::StatusOr<bool> ContainerOps::Reopen(const ContainerRecord& container) {
  const absl::Time give_up = absl::Now() + kReopenTime;
  absl::Status status;
  do {
    status =
        env_.containers.SetState(container.tenant, container.id, ContainerRecord::State::kActive)
            .status();
    if (status.ok()) return true;
    if (absl::IsNotFound(status)) return false;
    absl::SleepFor(kRemovalPause);
  } while (absl::Now() < give_up);
  return Annotate(status, "the container stays closed for two minutes, or until it is deleted");
}

absl::StatusOr<v1::Container> ContainerOps::ConvertContainer(
    const Principal& principal, const v1::ConvertContainerRequest& request) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("name", request.name()));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, path.tenant, Access::kManage));
  ASSIGN_OR_RETURN(const Redundancy target,
                   SupportedRedundancy(request.redundancy(), "redundancy"));
  ASSIGN_OR_RETURN(const std::string request_id,
                   RequestIdBytes(request.has_request_id(), request.request_id(), absl::Now()));
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const ContainerRecord record, env_.containers.Get(tenant->id, path.container));
    if (!record.conversion && record.redundancy != target) {
      RETURN_IF_ERROR(CheckPlaceable(PartitionsOf(record), record.home_region, target));
    }
    const auto started = env_.conversions.Start(tenant->id, path.container,
                                                {target, record.partition_generation, request_id});
    if (absl::IsAborted(started.status())) continue;  // its partitions are others by now
    RETURN_IF_ERROR(started.status());
    return Describe(tenant->name, *started);
  }
  return Error(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
               "the container's partitions change too fast; nothing was done, try again");
}

absl::Status ContainerOps::CheckPlaceable(const std::vector<PartitionId>& partitions,
                                          const std::string& region, Redundancy target) {
  const auto policy = PolicyOf(target);
  CHECK_INVARIANT(policy, "only what SupportedRedundancy lets pass is placed");
  const std::vector<DiskInPlan> disks = PlacementDisks(env_.view);
  for (const PartitionId partition : partitions) {
    GroupInPlan group;
    group.policy = *policy;
    group.region = region;
    if (const auto found = env_.view.FindGroup(partition)) group.config = found->config;
    const auto planned = PlanMembers(group, disks, absl::InfiniteDuration(), env_.store.random());
    if (!planned.ok()) return WithReason(planned.status(), v1::PLACEMENT_IMPOSSIBLE);
  }
  return absl::OkStatus();
}

absl::Status ContainerOps::CheckMayGoBack(TenantId tenant, std::string_view name) {
  ASSIGN_OR_RETURN(const ContainerRecord record, env_.containers.Get(tenant, name));
  if (!record.conversion || record.wanted_redundancy() == record.redundancy) {
    return absl::OkStatus();  // for the catalog to judge
  }
  std::vector<PartitionId> begun = PartitionsOf(record);
  std::erase_if(begun, [&](PartitionId partition) {
    const std::optional<PartitionRecord> kept = env_.view.FindPartition(partition);
    return !kept || kept->redundancy == record.redundancy;
  });
  return CheckPlaceable(begun, record.home_region, record.redundancy);
}

absl::StatusOr<v1::Container> ContainerOps::Change(const Principal& principal,
                                                   const std::string& name,
                                                   ChangeConversion change) {
  ASSIGN_OR_RETURN(const ContainerPath path, ParseContainerName("name", name));
  ASSIGN_OR_RETURN(const auto tenant,
                   env_.authorizer.AuthorizeTenant(principal, path.tenant, Access::kManage));
  if (change == &tenancy::ConversionCatalog::Cancel) {
    RETURN_IF_ERROR(CheckMayGoBack(tenant->id, path.container));
  }
  ASSIGN_OR_RETURN(const ContainerRecord record,
                   (env_.conversions.*change)(tenant->id, path.container));
  return Describe(tenant->name, record);
}

absl::StatusOr<v1::Container> ContainerOps::PauseConversion(
    const Principal& principal, const v1::PauseConversionRequest& request) {
  return Change(principal, request.name(), &tenancy::ConversionCatalog::Pause);
}

absl::StatusOr<v1::Container> ContainerOps::ResumeConversion(
    const Principal& principal, const v1::ResumeConversionRequest& request) {
  return Change(principal, request.name(), &tenancy::ConversionCatalog::Resume);
}

absl::StatusOr<v1::Container> ContainerOps::CancelConversion(
    const Principal& principal, const v1::CancelConversionRequest& request) {
  return Change(principal, request.name(), &tenancy::ConversionCatalog::Cancel);
}

}  // namespace meridian::server
