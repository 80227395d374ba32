#include "server/partition_removal.h"

#include <optional>
#include <string>
#include <utility>

#include "base/status.h"
#include "meridian/internal/v1/records.pb.h"
#include "replication/replica.h"
#include "server/await.h"
#include "server/cluster_records.h"
#include "storage/objects/object_reader.h"

namespace meridian::server {
namespace {

using coordination::KeyValue;

absl::Status Late(const char* what) {
  return absl::UnavailableError(std::string(what) + " did not answer in time");
}

// A command without an effect: when it has been applied, so has everything accepted before.
absl::Status PassBarrier(HostedReplica& replica, absl::Time deadline) {
  meridian::internal::v1::Command command;
  command.set_format_version(1);
  command.mutable_maintain();
  using Answer = absl::StatusOr<replication::Applied>;
  const std::optional<Answer> applied =
      AwaitUntil<Answer>(deadline, [&](std::function<void(Answer)> done) {
        replication::Proposal proposal;
        proposal.command = command.SerializeAsString();
        replica.ProposeSealed(std::move(proposal), std::move(done));
      });
  return applied ? applied->status() : Late("the partition's quorum");
}

absl::Status CheckViewEmpty(HostedReplica& replica) {
  const std::unique_ptr<storage::KvReader> view = replica.NewView();
  ASSIGN_OR_RETURN(const bool empty, objects::ObjectReader(*view).IsEmpty());
  if (empty) return absl::OkStatus();
  return absl::FailedPreconditionError("it holds objects, versions or uploads");
}

absl::StatusOr<std::optional<KeyValue>> GetGroup(coordination::CoordinationStore& coordination,
                                                 PartitionId partition, absl::Time deadline) {
  using Answer = absl::StatusOr<std::optional<KeyValue>>;
  std::optional<Answer> answer =
      AwaitUntil<Answer>(deadline, [&](std::function<void(Answer)> done) {
        coordination.Get(replication::GroupConfigKey(partition), std::move(done));
      });
  if (!answer) return Late("the coordination store");
  return *std::move(answer);
}

// The revision of the configuration by which `replica` leads.
absl::StatusOr<int64_t> LedRevision(HostedReplica& replica,
                                    coordination::CoordinationStore& coordination,
                                    absl::Time deadline) {
  const HostedReplica::Identity& self = replica.identity();
  ASSIGN_OR_RETURN(const std::optional<KeyValue> row,
                   GetGroup(coordination, self.partition, deadline));
  if (!row) return absl::AbortedError("the partition is gone");
  ASSIGN_OR_RETURN(const replication::GroupConfig config,
                   replication::DecodeGroupConfig(row->value));
  if (config.leader != self.replica) {
    return absl::UnavailableError("this replica does not lead the partition any more");
  }
  return row->mod_revision;
}

absl::Status CommitRemoval(HostedReplica& replica, coordination::CoordinationStore& coordination,
                           coordination::Transaction transaction, absl::Time deadline) {
  const PartitionId partition = replica.identity().partition;
  // Read before the barrier: had the leadership changed since, the barrier would not have passed,
  // or the compare does not hold.
  ASSIGN_OR_RETURN(const int64_t revision, LedRevision(replica, coordination, deadline));
  RETURN_IF_ERROR(PassBarrier(replica, deadline));
  RETURN_IF_ERROR(CheckViewEmpty(replica));
  transaction.compares.push_back({replication::GroupConfigKey(partition), revision});
  transaction.writes.push_back({replication::GroupConfigKey(partition), std::nullopt});
  transaction.writes.push_back({PartitionKeyOf(partition), std::nullopt});
  transaction.writes.push_back({RemovedKeyOf(partition), std::string("1")});
  using Answer = absl::StatusOr<coordination::CommitResult>;
  // Without a deadline: what becomes of it must be known before the partition is opened again.
  const std::optional<Answer> result =
      AwaitUntil<Answer>(absl::InfiniteFuture(), [&](std::function<void(Answer)> done) {
        coordination.Commit(std::move(transaction), std::move(done));
      });
  RETURN_IF_ERROR(result->status());
  if (!(*result)->succeeded)
    return absl::AbortedError("container or leader have changed meanwhile");
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckEmpty(HostedReplica& replica, absl::Time deadline) {
  const std::optional<absl::Status> confirmed = AwaitUntil<absl::Status>(
      deadline,
      [&](std::function<void(absl::Status)> done) { replica.ConfirmRead(std::move(done)); });
  if (!confirmed) return Late("the partition's quorum");
  RETURN_IF_ERROR(*confirmed);
  return CheckViewEmpty(replica);
}

absl::Status RemoveIfEmpty(HostedReplica& replica, coordination::CoordinationStore& coordination,
                           coordination::Transaction transaction, absl::Time deadline) {
  if (!replica.Seal()) return absl::AbortedError("another call is deleting the partition");
  const absl::Status status =
      CommitRemoval(replica, coordination, std::move(transaction), deadline);
  if (status.ok()) return status;
  if (absl::IsUnavailable(status)) {
    // Perhaps a commit of unknown outcome. The partition stays closed unless it is seen to be
    // there: nothing may be acknowledged in one that is gone. A new leader opens it again.
    const auto row = GetGroup(coordination, replica.identity().partition, absl::InfiniteFuture());
    if (!row.ok()) return status;
    if (!row->has_value()) return absl::OkStatus();
  }
  replica.Unseal();
  return status;
}

}  // namespace meridian::server
