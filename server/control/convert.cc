#include "server/control/convert.h"

#include "absl/strings/escaping.h"
#include "server/errors.h"

namespace meridian::server {
namespace {

constexpr size_t kRequestIdDigits = 32;
constexpr absl::Duration kMaxRequestAge = absl::Hours(24);
constexpr absl::Duration kMaxRequestAhead = absl::Minutes(15);

}  // namespace

google::protobuf::Timestamp TimestampProto(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);
  google::protobuf::Timestamp proto;
  proto.set_seconds(micros / 1'000'000);
  proto.set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  return proto;
}

absl::StatusOr<std::string> RequestIdBytes(bool present, const v1::RequestId& request_id,
                                           absl::Time now) {
  if (!present) return std::string();
  const std::string& hex = request_id.id();
  if (hex.size() != kRequestIdDigits ||
      hex.find_first_not_of("0123456789abcdef") != std::string::npos) {
    return InvalidField("request_id.id", "must be 32 lowercase hex digits");
  }
  const absl::Time created = absl::FromUnixSeconds(request_id.create_time().seconds()) +
                             absl::Nanoseconds(request_id.create_time().nanos());
  if (created < now - kMaxRequestAge || created > now + kMaxRequestAhead) {
    return Error(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_EXPIRED,
                 "request_id.create_time: older than 24 hours, or in the future; draw a new id");
  }
  return absl::HexStringToBytes(hex);
}

}  // namespace meridian::server
