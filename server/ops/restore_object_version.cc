#include "base/status.h"
#include "server/ops/checks.h"
#include "server/ops/copy_version.h"
#include "server/ops/objects.h"
#include "server/ops/replica_calls.h"
#include "server/ops/request_digest.h"

namespace meridian::ops {

absl::StatusOr<v1::Object> RestoreObjectVersion(const Context& context,
                                                const v1::RestoreObjectVersionRequest& request) {
  RETURN_IF_ERROR(CheckObjectName(request.name()));
  RETURN_IF_ERROR(ParseVersionId(request.version_id()).status());
  CopyRequest copy{.name = request.name(),
                   .source_version_id = request.version_id(),
                   .command = NewCommand(context),
                   .change = [](pb::SealedMetadata&) {}};
  ASSIGN_OR_RETURN(*copy.command.mutable_condition(), ParseCondition(request.condition()));
  if (request.has_request_id()) {
    ASSIGN_OR_RETURN(*copy.command.mutable_request(),
                     ParseRequestId(request.request_id(), RequestDigest("restore object version")
                                                              .Add(request.name())
                                                              .Add(request.version_id())
                                                              .Add(copy.command.condition())
                                                              .Finish()));
  }
  return CopyVersion(context, copy);
}

}  // namespace meridian::ops
