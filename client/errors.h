// What a failed call says beyond its code and message. All functions take the status that a Client
// or Admin returned; docs/api.md lists the reasons.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"

namespace meridian {

// A value name of meridian.v1.ErrorReason, for example "NOT_EMPTY"; empty if the server gave none
// (the error is the client's own or gRPC's).
std::string ErrorReasonOf(const absl::Status& status);

// The id under which the cluster's log may have more of it; empty if no server answered.
std::string RequestIdOf(const absl::Status& status);

// With reason PRECONDITION_FAILED: the etag of the current version; empty string: there is none.
std::optional<std::string> CurrentEtagOf(const absl::Status& status);

}  // namespace meridian
