// Requests that gRPC cannot decode, above all for a string that is not UTF-8: no handler sees them,
// and gRPC's own answer is INTERNAL, as if the server were to blame.
#pragma once

#include <grpcpp/support/server_interceptor.h>

#include <memory>
#include <vector>

namespace meridian::server {

// For ServerBuilder::experimental().SetInterceptorCreators: answers them INVALID_ARGUMENT with
// INVALID_NAME.
std::vector<std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface>>
UndecodableInterceptors();

}  // namespace meridian::server
