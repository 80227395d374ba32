#include "server/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace meridian::server {
namespace {

constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kDomain[] = "meridian";

template <typename Detail>
void Attach(absl::Status& status, const Detail& detail) {
  status.SetPayload(absl::StrCat("type.googleapis.com/", detail.GetTypeName()),
                    absl::Cord(detail.SerializeAsString()));
}

}  // namespace

absl::Status Error(absl::StatusCode code, v1::ErrorReason reason, const std::string& message,
                   const ErrorMetadata& metadata) {
  absl::Status status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(v1::ErrorReason_Name(reason));
  info.set_domain(kDomain);
  for (const auto& [key, value] : metadata) (*info.mutable_metadata())[key] = value;
  Attach(status, info);
  return status;
}

bool HasReason(const absl::Status& status) { return status.GetPayload(kErrorInfoUrl).has_value(); }

absl::Status WithReason(const absl::Status& status, v1::ErrorReason reason) {
  if (status.ok() || HasReason(status)) return status;
  absl::Status with = status;
  google::rpc::ErrorInfo info;
  info.set_reason(v1::ErrorReason_Name(reason));
  info.set_domain(kDomain);
  Attach(with, info);
  return with;
}

absl::Status InvalidField(const std::string& field, const std::string& message) {
  return Error(absl::StatusCode::kInvalidArgument, v1::INVALID_FIELD,
               absl::StrCat(field, ": ", message), {{"field", field}});
}

absl::Status NotLeader(const std::string& message, const v1::NotLeader& detail) {
  absl::Status status = Error(absl::StatusCode::kUnavailable, v1::NOT_LEADER, message);
  Attach(status, detail);
  return status;
}

std::string LeaderEndpointOf(const absl::Status& status) {
  v1::NotLeader detail;
  const auto payload =
      status.GetPayload(absl::StrCat("type.googleapis.com/", detail.GetTypeName()));
  if (!payload || !detail.ParseFromString(std::string(*payload))) return {};
  return detail.endpoint();
}

absl::Status NodeOrZoneMissing(v1::ResourceMissing::Kind kind, const std::string& name) {
  absl::Status status =
      Error(absl::StatusCode::kNotFound, v1::RESOURCE_MISSING, absl::StrCat(name, " not found"));
  v1::ResourceMissing detail;
  detail.set_kind(kind);
  detail.set_name(name);
  Attach(status, detail);
  return status;
}

}  // namespace meridian::server
