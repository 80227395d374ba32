#include "server/ops/replica_calls.h"

#include <algorithm>
#include <utility>

#include "base/status.h"
#include "server/await.h"
#include "server/errors.h"
#include "server/ops/errors.h"
#include "server/telemetry/call_record.h"
#include "storage/objects/object_reader.h"

namespace meridian::ops {
namespace {

// The geo epoch of a container that has never failed over.
constexpr uint32_t kFirstGeoEpoch = 1;

}  // namespace

pb::Command NewCommand(const Context& context) {
  pb::Command command;
  command.set_geo_epoch(kFirstGeoEpoch);
  command.set_keep_versions(context.keep_versions);
  command.set_versioning_generation(context.versioning_generation);
  return command;
}

absl::StatusOr<pb::Outcome> Propose(replication::Replica& replica, absl::Time deadline,
                                    replication::Proposal proposal) {
  if (proposal.command.size() > kMaxCommandBytes) {
    return server::Error(absl::StatusCode::kInvalidArgument, v1::INVALID_FIELD,
                         "the request asks for more than fits into one command");
  }
  const server::PhaseTimer timer(server::CallPhase::kCommit);
  using Result = absl::StatusOr<replication::Applied>;
  const std::optional<Result> applied =
      server::AwaitUntil<Result>(deadline, [&](std::function<void(Result)> done) {
        replica.Propose(std::move(proposal), std::move(done));
      });
  if (!applied.has_value()) return DeadlineExceeded("commit");
  if (!applied->ok()) return FromReplica(applied->status(), "commit");
  return objects::DecodeRecord<pb::Outcome>((*applied)->outcome);
}

absl::StatusOr<pb::Outcome> Propose(const Context& context, const pb::Command& command) {
  replication::Proposal proposal;
  proposal.command = objects::EncodeRecord(command);
  return Propose(*context.replica, context.deadline, std::move(proposal));
}

absl::StatusOr<std::unique_ptr<storage::KvReader>> ConfirmedView(replication::Replica& replica,
                                                                 absl::Time deadline) {
  const server::PhaseTimer timer(server::CallPhase::kConfirm);
  const std::optional<absl::Status> confirmed = server::AwaitUntil<absl::Status>(
      deadline,
      [&replica](std::function<void(absl::Status)> done) { replica.ConfirmRead(std::move(done)); });
  if (!confirmed.has_value()) return DeadlineExceeded("confirm the read");
  if (!confirmed->ok()) return FromReplica(*confirmed, "confirm the read");
  return replica.NewView();
}

absl::Status CheckOwned(const storage::KvReader& view, std::string_view name) {
  ASSIGN_OR_RETURN(const bool owned, objects::ObjectReader(view).Owns(name));
  return owned ? absl::OkStatus() : Moved();
}

absl::StatusOr<std::string> OwnedEnd(const Context& context, const storage::KvReader& view,
                                     std::string_view name) {
  RETURN_IF_ERROR(CheckOwned(view, name));
  ASSIGN_OR_RETURN(const objects::NameRange owned, objects::ObjectReader(view).Owned());
  // After a split the map says too much, after a merge too little.
  if (owned.end.empty() || context.partition_end.empty()) return owned.end + context.partition_end;
  return std::min(owned.end, context.partition_end);
}

absl::StatusOr<std::optional<pb::Outcome>> FindOutcome(const storage::KvReader& view,
                                                       const pb::Command& command) {
  if (!command.has_request()) return std::optional<pb::Outcome>();
  ASSIGN_OR_RETURN(const RequestId request, objects::DecodeId<RequestId>(command.request().id()));
  ASSIGN_OR_RETURN(const std::optional<pb::RequestRecord> record,
                   objects::ObjectReader(view).FindRequest(request));
  if (!record.has_value()) return std::optional<pb::Outcome>();
  if (record->digest() == command.request().digest()) return std::optional(record->outcome());
  pb::Outcome refusal;
  refusal.set_code(pb::Outcome::REQUEST_ID_REUSED);
  return std::optional(std::move(refusal));
}

}  // namespace meridian::ops
