#include "server/ops/copy_version.h"

#include <memory>
#include <optional>
#include <utility>

#include "base/status.h"
#include "server/ops/errors.h"
#include "server/ops/find_version.h"
#include "server/ops/replica_calls.h"

namespace meridian::ops {
namespace {

constexpr int kMaxAttempts = 8;

pb::Command MakeCommand(const Context& context, const CopyRequest& request, const Version& source) {
  VersionParts parts{.name = request.name,
                     .version = VersionId::Draw(*context.random),
                     .manifest = source.row.record.manifest(),
                     .wrapped_dek = source.row.record.wrapped_dek(),
                     .metadata = source.metadata};
  request.change(parts.metadata);
  pb::Command command = request.command;
  pb::CopyVersion* copy = command.mutable_copy_version();
  copy->set_name(request.name);
  copy->set_source_version_id(source.row.record.version_id());
  copy->set_source_must_be_newest(request.source_version_id.empty());
  // Under the source's keys: the DEK stays wrapped as it is.
  *copy->mutable_record() = MakeVersionRecord(context, *source.keys, parts);
  return command;
}

absl::StatusOr<v1::Object> ToAnswer(const Context& context, const CopyRequest& request,
                                    const pb::Outcome& outcome) {
  Subject subject{.kind = v1::ResourceMissing::OBJECT, .name = request.name};
  if (!request.source_version_id.empty()) {
    subject = {.kind = v1::ResourceMissing::VERSION, .name = request.source_version_id};
  }
  RETURN_IF_ERROR(ToStatus(outcome, subject));
  ASSIGN_OR_RETURN(Version version, OpenOutcome(context, request.name, outcome));
  return ToObject(context, version);
}

}  // namespace

absl::StatusOr<v1::Object> CopyVersion(const Context& context, const CopyRequest& request) {
  pb::Outcome outcome;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                     ConfirmedView(*context.replica, context.deadline));
    ASSIGN_OR_RETURN(const std::optional<pb::Outcome> known, FindOutcome(*view, request.command));
    if (known.has_value()) return ToAnswer(context, request, *known);
    ASSIGN_OR_RETURN(const Version source,
                     FindVersion(context, *view, request.name, request.source_version_id));
    ASSIGN_OR_RETURN(outcome, Propose(context, MakeCommand(context, request, source)));
    if (outcome.code() != pb::Outcome::SOURCE_CHANGED) break;
  }
  return ToAnswer(context, request, outcome);
}

}  // namespace meridian::ops
