// Errors with the typed detail of meridian/v1/errors.proto, as status payloads by type URL.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::server {

using ErrorMetadata = std::vector<std::pair<std::string, std::string>>;

// With a google.rpc.ErrorInfo of the reason.
absl::Status Error(absl::StatusCode code, v1::ErrorReason reason, const std::string& message,
                   const ErrorMetadata& metadata = {});
// The same status with the reason, unless it has one already.
absl::Status WithReason(const absl::Status& status, v1::ErrorReason reason);
bool HasReason(const absl::Status& status);

absl::Status InvalidField(const std::string& field, const std::string& message);
absl::Status NotLeader(const std::string& message, const v1::NotLeader& detail);
// The endpoint that such an error names; empty if it is another one, or names none.
std::string LeaderEndpointOf(const absl::Status& status);
absl::Status NodeOrZoneMissing(v1::ResourceMissing::Kind kind, const std::string& name);

}  // namespace meridian::server
