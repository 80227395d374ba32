#include "client/internal/error_details.h"

#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"

namespace meridian::client_internal {

absl::Status WithDetails(absl::StatusCode code, const std::string& message,
                         const std::string& details) {
  absl::Status status(code, message);
  google::rpc::Status parsed;
  if (details.empty() || !parsed.ParseFromString(details)) return status;
  for (const google::protobuf::Any& detail : parsed.details()) {
    status.SetPayload(detail.type_url(), absl::Cord(detail.value()));
  }
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  auto info = DetailOf<google::rpc::ErrorInfo>(status);
  if (!info || info->domain() != "meridian") return "";
  return info->reason();
}

}  // namespace meridian::client_internal
