// What every handler does: authenticate, run one operation, convert its status.
#pragma once

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/api.h"
#include "server/grpc_status.h"
#include "server/handlers/proxy.h"

namespace meridian::server {

// By the metadata entry `authorization: Bearer <token>`. UNAUTHENTICATED.
absl::StatusOr<tenancy::Principal> Authenticate(Api& api, const grpc::ServerContext& context);
// The same, by what the coordination store says now.
absl::StatusOr<tenancy::Principal> AuthenticateNow(Api& api, const grpc::ServerContext& context);

absl::Time DeadlineOf(const grpc::ServerContext& context);
// The context outlives the result.
CallLimits LimitsOf(const grpc::ServerContext& context);

// `operation` takes the principal and gives a StatusOr<Response>.
template <typename Response, typename Operation>
grpc::Status Handle(Api& api, const grpc::ServerContext& context, Response* response,
                    const Operation& operation) {
  const absl::StatusOr<tenancy::Principal> principal = Authenticate(api, context);
  if (!principal.ok()) return ToGrpcStatus(principal.status());
  absl::StatusOr<Response> result = operation(*principal);
  if (!result.ok()) return ToGrpcStatus(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

// For operations that need the coordination store. They are refused at once while it is silent, so
// that they hold no threads that objects' requests need (I12), and only to so many at a time.
template <typename Response, typename Operation>
grpc::Status HandleWithStore(Api& api, const grpc::ServerContext& context, Response* response,
                             const Operation& operation) {
  ControlGate::Call call(api.control_gate);
  if (const absl::Status entered = call.Enter(); !entered.ok()) return ToGrpcStatus(entered);
  const absl::StatusOr<tenancy::Principal> principal = AuthenticateNow(api, context);
  if (!principal.ok()) return ToGrpcStatus(principal.status());
  const absl::Status entered = call.EnterAs(principal->tenant);
  if (!entered.ok()) return ToGrpcStatus(entered);
  absl::StatusOr<Response> result = operation(*principal);
  if (!result.ok()) return ToGrpcStatus(result.status());
  *response = *std::move(result);
  return grpc::Status::OK;
}

// For a caller who has been authenticated. Where another node leads the partition, the call is
// passed on to it, unless the client goes there by itself.
grpc::Status HandleObjectOf(Api& api, Proxy& proxy, const tenancy::Principal& principal,
                            grpc::ServerContext& context, const ObjectGateway::Target& target,
                            const ObjectGateway::Operation& operation, const Proxy::Call& pass);
// Authenticates first.
grpc::Status HandleObject(Api& api, Proxy& proxy, grpc::ServerContext& context,
                          const ObjectGateway::Target& target,
                          const ObjectGateway::Operation& operation, const Proxy::Call& pass);

// Moves a result's value out, and gives its status.
template <typename Response>
absl::Status Take(absl::StatusOr<Response> result, Response* response) {
  if (result.ok()) *response = *std::move(result);
  return result.status();
}

}  // namespace meridian::server
