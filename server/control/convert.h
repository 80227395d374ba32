// Between the public API's messages and the values that the catalog works with.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "google/protobuf/timestamp.pb.h"
#include "meridian/v1/types.pb.h"

namespace meridian::server {

google::protobuf::Timestamp TimestampProto(absl::Time time);

// The 16 bytes of a request id; empty if there is none. INVALID_ARGUMENT: malformed; also, with
// REQUEST_ID_EXPIRED, if it was drawn too long ago or in the future.
absl::StatusOr<std::string> RequestIdBytes(bool present, const v1::RequestId& request_id,
                                           absl::Time now);

}  // namespace meridian::server
