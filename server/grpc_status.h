// absl::Status and grpc::Status, with their typed details.
#pragma once

#include <grpcpp/support/status.h>

#include "absl/status/status.h"

namespace meridian::server {

// Payloads become the details of a google.rpc.Status in the trailer grpc-status-details-bin. A
// status without an ErrorInfo gets the one that its code suggests.
grpc::Status ToGrpcStatus(const absl::Status& status);

// Code and message only.
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace meridian::server
