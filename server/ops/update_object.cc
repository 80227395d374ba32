#include "base/status.h"
#include "server/errors.h"
#include "server/ops/checks.h"
#include "server/ops/copy_version.h"
#include "server/ops/objects.h"
#include "server/ops/replica_calls.h"
#include "server/ops/request_digest.h"

namespace meridian::ops {
namespace {

struct Mask {
  bool content_type = false;
  bool metadata = false;
};

absl::StatusOr<Mask> ParseMask(const google::protobuf::FieldMask& field_mask) {
  Mask mask;
  for (const std::string& path : field_mask.paths()) {
    if (path == "content_type") {
      mask.content_type = true;
    } else if (path == "metadata") {
      mask.metadata = true;
    } else {
      return server::InvalidField("update_mask", "may hold content_type and metadata only");
    }
  }
  if (field_mask.paths().empty()) {
    return server::InvalidField("update_mask", "must say what to change");
  }
  return mask;
}

}  // namespace

absl::StatusOr<v1::Object> UpdateObject(const Context& context,
                                        const v1::UpdateObjectRequest& request) {
  const v1::Object& object = request.object();
  RETURN_IF_ERROR(CheckObjectName(object.name()));
  ASSIGN_OR_RETURN(const Mask mask, ParseMask(request.update_mask()));
  RETURN_IF_ERROR(CheckContentType(object.content_type()));
  RETURN_IF_ERROR(CheckMetadata(object.metadata()));

  CopyRequest copy{
      .name = object.name(), .source_version_id = {}, .command = NewCommand(context), .change = {}};
  ASSIGN_OR_RETURN(*copy.command.mutable_condition(), ParseIfMatch(request.condition()));
  if (request.has_request_id()) {
    RequestDigest digest("update object");
    digest.Add(object.name()).Add(copy.command.condition());
    digest.Add(uint64_t{mask.content_type}).Add(uint64_t{mask.metadata});
    if (mask.content_type) digest.Add(object.content_type());
    if (mask.metadata) digest.Add(object.metadata());
    ASSIGN_OR_RETURN(*copy.command.mutable_request(),
                     ParseRequestId(request.request_id(), digest.Finish()));
  }
  copy.change = [&object, mask](pb::SealedMetadata& metadata) {
    if (mask.content_type) metadata.set_content_type(object.content_type());
    if (mask.metadata) {
      *metadata.mutable_entries() = ToSealedMetadata({}, object.metadata(), 0).entries();
    }
  };
  return CopyVersion(context, copy);
}

}  // namespace meridian::ops
