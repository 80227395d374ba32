#include "base/status.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/objects.h"
#include "server/ops/replica_calls.h"
#include "server/ops/request_digest.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {
namespace {

void FillDeleteObject(const Context& context, const std::string& name, pb::Command& command) {
  const VersionId marker = VersionId::Draw(*context.random);
  pb::DeleteObject* deletion = command.mutable_delete_object();
  deletion->set_name(name);
  deletion->set_marker_version_id(std::string(marker.bytes()));
  deletion->set_marker_mac(DeleteMarkerMac(*context.keys, name, marker));
  deletion->set_marker_kek_version(context.keys->kek_version());
}

}  // namespace

absl::StatusOr<v1::DeleteObjectResponse> DeleteObject(const Context& context,
                                                      const v1::DeleteObjectRequest& request) {
  RETURN_IF_ERROR(CheckObjectName(request.name()));
  pb::Command command = NewCommand(context);
  ASSIGN_OR_RETURN(*command.mutable_condition(), ParseIfMatch(request.condition()));
  if (request.has_request_id()) {
    ASSIGN_OR_RETURN(*command.mutable_request(),
                     ParseRequestId(request.request_id(), RequestDigest("delete object")
                                                              .Add(request.name())
                                                              .Add(request.version_id())
                                                              .Add(command.condition())
                                                              .Finish()));
  }
  Subject subject{.kind = v1::ResourceMissing::OBJECT, .name = request.name()};
  if (request.version_id().empty()) {
    FillDeleteObject(context, request.name(), command);
  } else {
    ASSIGN_OR_RETURN(const VersionId version, ParseVersionId(request.version_id()));
    command.mutable_delete_version()->set_name(request.name());
    command.mutable_delete_version()->set_version_id(std::string(version.bytes()));
    subject = {.kind = v1::ResourceMissing::VERSION, .name = request.version_id()};
  }
  ASSIGN_OR_RETURN(const pb::Outcome outcome, Propose(context, command));
  RETURN_IF_ERROR(ToStatus(outcome, subject));
  v1::DeleteObjectResponse response;
  if (const auto marker = VersionId::FromBytes(outcome.version_id())) {
    response.set_delete_marker_version_id(marker->ToHex());
  }
  return response;
}

}  // namespace meridian::ops
