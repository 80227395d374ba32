#include "server/node_service.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <set>
#include <string>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "replication/transport/node_credentials.h"
#include "server/await.h"
#include "server/grpc_status.h"
#include "server/ops/partition.h"
#include "storage/objects/object_reader.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;

// Of calls that came without a deadline, or with a later one.
constexpr absl::Duration kMaxTimeout = absl::Seconds(30);

absl::Time DeadlineOf(const grpc::ServerContext& context) {
  return std::min(absl::FromChrono(context.deadline()), absl::Now() + kMaxTimeout);
}

pb::ReplicaStatus Describe(HostedReplica& replica, const pb::GetNodeStatusRequest& request,
                           absl::Time deadline) {
  const HostedReplica::Identity& identity = replica.identity();
  pb::ReplicaStatus proto;
  proto.set_partition_id(std::string(identity.partition.bytes()));
  proto.set_replica_id(std::string(identity.replica.bytes()));
  proto.set_disk_id(std::string(identity.disk.bytes()));
  const auto status = AwaitUntil<replication::ReplicaStatus>(
      deadline, [&](std::function<void(replication::ReplicaStatus)> done) {
        replica.GetStatus(std::move(done));
      });
  if (!status) {
    proto.set_problem("the replica does not answer");
    return proto;
  }
  proto.set_is_leader(status->is_leader);
  proto.set_is_serving(status->is_serving);
  proto.set_epoch(status->epoch.value());
  proto.set_last_index(status->last_index.value());
  proto.set_durable_epoch(status->durable_epoch.value());
  proto.set_durable_index(status->durable_index.value());
  proto.set_durable_time_us(status->durable_time.value());
  proto.set_commit_index(status->commit_index.value());
  proto.set_applied_index(status->applied_index.value());
  proto.set_applied_time_us(status->applied_time.value());
  proto.set_freeable_index(status->freeable_index.value());
  proto.set_corrupt_chunks(status->corrupt_chunks);
  proto.set_repaired_chunks(status->repaired_chunks);
  proto.set_chunks_without_copy(status->chunks_without_copy);
  proto.set_chunks_awaited(status->chunks_awaited);
  proto.set_installing(status->installing);
  if (!status->health.ok()) proto.set_problem(status->health.ToString());
  proto.set_stored_bytes(replica.StoredBytes());
  if (request.with_names() && !status->installing && status->health.ok()) {
    // One that cannot be read tells none.
    if (const auto names = objects::ObjectReader(*replica.NewView()).Owned(); names.ok()) {
      proto.set_names_start(names->start);
      proto.set_names_end(names->end);
    }
  }
  if (!request.with_digest()) return proto;
  using Digest = absl::StatusOr<std::pair<LogIndex, std::string>>;
  const auto digest = AwaitUntil<Digest>(
      deadline, [&](std::function<void(Digest)> done) { replica.GetDigest(std::move(done)); });
  if (digest && digest->ok()) {
    proto.set_digest_index((*digest)->first.value());
    proto.set_digest((*digest)->second);
  }
  return proto;
}

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const timespec since = absl::ToTimespec(time);
  proto->set_seconds(since.tv_sec);
  proto->set_nanos(static_cast<int32_t>(since.tv_nsec));
}

v1::DiskScrub Describe(const storage::ScrubStatus& scrub) {
  v1::DiskScrub proto;
  proto.set_bytes_per_second(static_cast<int64_t>(scrub.bytes_per_second));
  proto.set_running(scrub.running);
  if (scrub.pass_begin != absl::InfinitePast()) {
    SetTime(scrub.pass_begin, proto.mutable_pass_begin_time());
  }
  if (scrub.last_pass_end != absl::InfinitePast()) {
    SetTime(scrub.last_pass_end, proto.mutable_last_pass_end_time());
  }
  proto.set_verified_bytes(static_cast<int64_t>(scrub.verified_bytes));
  proto.set_progress(scrub.progress);
  proto.set_corrupt_records(static_cast<int64_t>(scrub.corrupt));
  proto.set_previous_corrupt_records(static_cast<int64_t>(scrub.corrupt_before));
  if (!scrub.problem.ok()) proto.set_problem(scrub.problem.ToString());
  return proto;
}

v1::GroupComparison Describe(const GroupScrub& scrub) {
  v1::GroupComparison proto;
  if (scrub.pass_begin != absl::InfinitePast()) {
    SetTime(scrub.pass_begin, proto.mutable_pass_begin_time());
  }
  if (scrub.last_compared != absl::InfinitePast()) {
    SetTime(scrub.last_compared, proto.mutable_last_compared_time());
  }
  for (const ReplicaId& replica : scrub.differing) proto.add_differing_replicas(replica.ToHex());
  for (const ReplicaId& replica : scrub.uncompared) proto.add_uncompared_replicas(replica.ToHex());
  return proto;
}

void Describe(const Placement& placement, pb::ReplicaStatus& proto) {
  proto.set_placement_problem(std::string(FromAbsl(placement.problem.message())));
  if (!placement.settled) return;
  proto.set_settled_redundancy(static_cast<uint32_t>(placement.settled->redundancy));
  proto.set_settled_epoch(placement.settled->epoch.value());
}

pb::DiskStatus Describe(const ServedDisk& disk) {
  pb::DiskStatus proto;
  if (disk.store == nullptr) {
    proto.set_problem(disk.problem.ToString());
    return proto;
  }
  proto.set_disk_id(std::string(disk.store->disk_id().bytes()));
  const absl::Status health = disk.store->health();
  proto.set_in_service(health.ok());
  if (!health.ok()) proto.set_problem(health.ToString());
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(disk.folder, error);
  if (!error) proto.set_capacity_bytes(space.capacity);
  const absl::StatusOr<storage::DiskStats> stats = disk.store->Stats();
  if (stats.ok()) {
    proto.set_free_bytes(stats->free_bytes);
    proto.set_corrupt_records(stats->corrupt_reads);
    proto.set_body_bytes(stats->chunk_live_bytes);
  }
  *proto.mutable_scrub() = Describe(disk.store->scrub());
  if (stats.ok()) proto.mutable_scrub()->set_awaiting_repair(stats->lost_chunks);
  return proto;
}

grpc::Status Refusal(std::string why) {
  return grpc::Status(grpc::StatusCode::UNAVAILABLE, std::move(why));
}

std::shared_ptr<HostedReplica> FindReplica(ReplicaHost& host, const std::string& partition_id) {
  const std::optional<PartitionId> partition = PartitionId::FromBytes(partition_id);
  return partition ? host.Find(*partition) : nullptr;
}

grpc::Status NoReplica() { return Refusal("the partition has no replica here"); }

}  // namespace

void NodeServiceHandlers::Serve(ReplicaHost& host, PartitionCloser& closer,
                                const GroupScrubs& scrubs, std::vector<ServedDisk> disks) {
  absl::MutexLock lock(&mutex_);
  served_ = std::make_shared<Served>(Served{host, closer, scrubs, std::move(disks)});
}

void NodeServiceHandlers::SetNodes(std::set<NodeId> nodes) {
  absl::MutexLock lock(&mutex_);
  nodes_ = std::move(nodes);
}

NodeServiceHandlers::Admitted NodeServiceHandlers::Admit(const grpc::ServerContext& context) const {
  const NodeId caller = replication::NodeOfPeer(context.auth_context().get());
  absl::MutexLock lock(&mutex_);
  if (!nodes_.contains(caller)) {
    return {nullptr, Refusal(absl::StrCat("\"", caller, "\" is not known here as a node"))};
  }
  if (served_ == nullptr) return {nullptr, Refusal("the node is starting")};
  return {served_, grpc::Status::OK};
}

grpc::Status NodeServiceHandlers::GetNodeStatus(grpc::ServerContext* context,
                                                const pb::GetNodeStatusRequest* request,
                                                pb::NodeStatus* response) {
  const auto [node, refusal] = Admit(*context);
  if (node == nullptr) return refusal;
  const std::set<std::string> only(request->partition_ids().begin(),
                                   request->partition_ids().end());
  for (const std::shared_ptr<HostedReplica>& replica : node->host.List()) {
    const std::string partition(replica->identity().partition.bytes());
    if (!only.empty() && !only.contains(partition)) continue;
    pb::ReplicaStatus* status = response->add_replicas();
    *status = Describe(*replica, *request, DeadlineOf(*context));
    if (status->is_serving()) {
      Describe(node->host.PlacementOf(replica->identity().partition), *status);
    }
    const auto scrub = node->scrubs.Find(replica->identity().partition);
    if (status->is_serving() && scrub) *status->mutable_comparison() = Describe(*scrub);
  }
  for (const ServedDisk& disk : node->disks) *response->add_disks() = Describe(disk);
  return grpc::Status::OK;
}

grpc::Status NodeServiceHandlers::ClosePartition(grpc::ServerContext* context,
                                                 const pb::ClosePartitionRequest* request,
                                                 pb::ClosePartitionResponse* response) {
  const auto [node, refusal] = Admit(*context);
  if (node == nullptr) return refusal;
  const std::shared_ptr<HostedReplica> replica = FindReplica(node->host, request->partition_id());
  if (replica == nullptr) return NoReplica();
  const objects::NameRange range{.start = request->begin_name(), .end = request->end_name()};
  const absl::Time deadline = DeadlineOf(*context);
  if (request->check_only()) {
    return ToGrpcStatus(node->closer.CheckEmpty(*replica, range, deadline));
  }
  const absl::StatusOr<int64_t> revision = node->closer.CloseIfEmpty(replica, range, deadline);
  if (revision.ok()) response->set_group_revision(*revision);
  return ToGrpcStatus(revision.status());
}

grpc::Status NodeServiceHandlers::ReopenPartition(grpc::ServerContext* context,
                                                  const pb::ReopenPartitionRequest* request,
                                                  pb::ReopenPartitionResponse*) {
  const auto [node, refusal] = Admit(*context);
  if (node == nullptr) return refusal;
  const std::optional<PartitionId> partition = PartitionId::FromBytes(request->partition_id());
  if (!partition) return NoReplica();
  node->closer.Reopen(*partition);
  return grpc::Status::OK;
}

grpc::Status NodeServiceHandlers::SetVersioning(grpc::ServerContext* context,
                                                const pb::SetVersioningRequest* request,
                                                pb::SetVersioningResponse*) {
  const auto [node, refusal] = Admit(*context);
  if (node == nullptr) return refusal;
  const std::shared_ptr<HostedReplica> replica = FindReplica(node->host, request->partition_id());
  if (replica == nullptr) return NoReplica();
  return ToGrpcStatus(ops::SetVersioning(
      *replica, {.keep = request->keep_versions(), .generation = request->generation()},
      DeadlineOf(*context)));
}

}  // namespace meridian::server
