#include "server/grpc_status.h"

#include <map>
#include <string>

#include "absl/strings/cord.h"
#include "base/status.h"
#include "google/rpc/status.pb.h"
#include "server/errors.h"

namespace meridian::server {
namespace {

// What a failure of a lower layer, which knows no reasons, means to a client.
absl::Status WithDefaultReason(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
      return WithReason(status, v1::OUTCOME_UNKNOWN);
    case absl::StatusCode::kDataLoss:
      return WithReason(status, v1::CORRUPT);
    case absl::StatusCode::kResourceExhausted:
      return WithReason(status, v1::OVERLOADED);
    case absl::StatusCode::kInvalidArgument:
      return WithReason(status, v1::INVALID_FIELD);
    default:
      return status;
  }
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& original) {
  if (original.ok()) return grpc::Status::OK;
  const absl::Status status = WithDefaultReason(original);
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(std::string(FromAbsl(status.message())));
  // In a fixed order, which absl::Status does not have: equal refusals are equal bytes (I8).
  std::map<std::string, std::string> payloads;
  status.ForEachPayload([&payloads](absl::string_view url, const absl::Cord& value) {
    payloads.emplace(std::string(FromAbsl(url)), std::string(value));
  });
  for (const auto& [url, value] : payloads) {
    google::protobuf::Any* any = details.add_details();
    any->set_type_url(url);
    any->set_value(value);
  }
  return grpc::Status(static_cast<grpc::StatusCode>(status.code()), details.message(),
                      details.SerializeAsString());
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
}

}  // namespace meridian::server
