#include "server/handlers/call.h"

#include "absl/time/clock.h"
#include "server/errors.h"

namespace meridian::server {
namespace {

constexpr char kAuthorization[] = "authorization";
constexpr std::string_view kBearer = "Bearer ";
// For calls that came without a deadline.
constexpr absl::Duration kDefaultTimeout = absl::Hours(24);

// Empty, which is no key's, if there is none.
std::string_view TokenOf(const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto entry = metadata.find(kAuthorization);
  if (entry == metadata.end() || metadata.count(kAuthorization) != 1) {
    return {};
  }
  const std::string_view value(entry->second.data(), entry->second.size());
  return value.starts_with(kBearer) ? value.substr(kBearer.size()) : std::string_view();
}

}  // namespace

absl::StatusOr<tenancy::Principal> Authenticate(Api& api, const grpc::ServerContext& context) {
  return api.authenticator.Authenticate(TokenOf(context));
}

absl::StatusOr<tenancy::Principal> AuthenticateNow(Api& api, const grpc::ServerContext& context) {
  return api.authenticator.AuthenticateNow(TokenOf(context));
}

absl::Time DeadlineOf(const grpc::ServerContext& context) {
  return std::min(absl::FromChrono(context.deadline()), absl::Now() + kDefaultTimeout);
}

CallLimits LimitsOf(const grpc::ServerContext& context) {
  return {DeadlineOf(context), [&context] { return context.IsCancelled(); }};
}

grpc::Status HandleObjectOf(Api& api, Proxy& proxy, const tenancy::Principal& principal,
                            grpc::ServerContext& context, const ObjectGateway::Target& target,
                            const ObjectGateway::Operation& operation, const Proxy::Call& pass) {
  bool begun = false;
  const absl::Status status =
      api.gateway.Run(principal, target, DeadlineOf(context), [&](const ops::Context& opened) {
        begun = true;
        return operation(opened);
      });
  const std::string leader = LeaderEndpointOf(status);
  // A body that has been taken cannot be passed on.
  const bool whole = !begun || target.repeatable;
  if (leader.empty() || !whole || !Proxy::IsWanted(context)) return ToGrpcStatus(status);
  return proxy.Pass(context, leader, pass);
}

grpc::Status HandleObject(Api& api, Proxy& proxy, grpc::ServerContext& context,
                          const ObjectGateway::Target& target,
                          const ObjectGateway::Operation& operation, const Proxy::Call& pass) {
  const absl::StatusOr<tenancy::Principal> principal = Authenticate(api, context);
  if (!principal.ok()) return ToGrpcStatus(principal.status());
  return HandleObjectOf(api, proxy, *principal, context, target, operation, pass);
}

}  // namespace meridian::server
