#include "server/control/convert.h"

#include <optional>

#include "base/id.h"
#include "server/errors.h"

namespace meridian::server {
namespace {

constexpr absl::Duration kMaxRequestAge = absl::Hours(24);
constexpr absl::Duration kMaxRequestAhead = absl::Minutes(15);

}  // namespace

google::protobuf::Timestamp ToProto(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);
  google::protobuf::Timestamp proto;
  proto.set_seconds(micros / 1'000'000);
  proto.set_nanos(static_cast<int32_t>(micros % 1'000'000) * 1000);
  return proto;
}

absl::StatusOr<std::string> RequestIdBytes(bool present, const v1::RequestId& request_id,
                                           absl::Time now) {
  if (!present) return std::string();
  const auto id = Id128<struct RequestIdTag>::FromHex(request_id.id());
  if (!id) return InvalidField("request_id.id", "must be 32 lowercase hex digits");
  const absl::Time created = absl::FromUnixSeconds(request_id.create_time().seconds()) +
                             absl::Nanoseconds(request_id.create_time().nanos());
  if (created < now - kMaxRequestAge || created > now + kMaxRequestAhead) {
    return Error(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_EXPIRED,
                 "request_id.create_time: older than 24 hours, or in the future; draw a new id");
  }
  return std::string(id->bytes());
}

}  // namespace meridian::server
