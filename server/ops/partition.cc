#include "server/ops/partition.h"

#include <utility>

#include "base/status.h"
#include "server/ops/replica_calls.h"
#include "storage/objects/child_rows.h"
#include "storage/objects/object_reader.h"

namespace meridian::ops {

absl::StatusOr<bool> IsEmpty(replication::Replica& replica, absl::Time deadline) {
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view, ConfirmedView(replica, deadline));
  return objects::ObjectReader(*view).IsEmpty();
}

absl::Status SetVersioning(replication::Replica& replica, const Versioning& versioning,
                           absl::Time deadline) {
  pb::Command command;
  command.set_keep_versions(versioning.keep);
  command.set_versioning_generation(versioning.generation);
  command.mutable_maintain();
  replication::Proposal proposal;
  proposal.command = objects::EncodeRecord(std::move(command));
  RETURN_IF_ERROR(Propose(replica, deadline, std::move(proposal)).status());
  // A child begins with the settings of before its split, and is not told before it is in the map.
  ASSIGN_OR_RETURN(const auto split, objects::FindSplit(*replica.NewView()));
  return split ? absl::UnavailableError("the partition is being split") : absl::OkStatus();
}

absl::Status ForgetExpired(replication::Replica& replica, absl::Time now, absl::Time deadline) {
  const std::unique_ptr<storage::KvReader> view = replica.NewView();
  ASSIGN_OR_RETURN(const bool has_expired, objects::ObjectReader(*view).HasExpired(Timestamp(
                                               static_cast<uint64_t>(absl::ToUnixMicros(now)))));
  if (!has_expired) return absl::OkStatus();
  pb::Command command;
  command.mutable_maintain();
  replication::Proposal proposal;
  proposal.command = objects::EncodeRecord(std::move(command));
  return Propose(replica, deadline, std::move(proposal)).status();
}

}  // namespace meridian::ops
