#include "base/status.h"
#include "server/ops/find_version.h"
#include "server/ops/objects.h"

namespace meridian::ops {

absl::StatusOr<v1::Object> GetObject(const Context& context, const v1::GetObjectRequest& request) {
  ASSIGN_OR_RETURN(const Version version,
                   ReadVersion(context, request.name(), request.version_id(), request.if_match()));
  return ToObject(context, version);
}

}  // namespace meridian::ops
