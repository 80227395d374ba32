#include "server/handlers/call.h"

#include "absl/time/clock.h"
#include "tenancy/errors.h"

namespace meridian::server {
namespace {

constexpr char kAuthorization[] = "authorization";
constexpr std::string_view kBearer = "Bearer ";
// For calls that came without a deadline.
constexpr absl::Duration kDefaultTimeout = absl::Hours(24);

}  // namespace

absl::StatusOr<tenancy::Principal> Authenticate(Api& api, const grpc::ServerContext& context) {
  const auto& metadata = context.client_metadata();
  const auto entry = metadata.find(kAuthorization);
  if (entry == metadata.end() || metadata.count(kAuthorization) != 1) {
    return tenancy::InvalidAccessKeyError();
  }
  const std::string_view value(entry->second.data(), entry->second.size());
  if (!value.starts_with(kBearer)) return tenancy::InvalidAccessKeyError();
  return api.authenticator.Authenticate(value.substr(kBearer.size()));
}

absl::Time DeadlineOf(const grpc::ServerContext& context) {
  return std::min(absl::FromChrono(context.deadline()), absl::Now() + kDefaultTimeout);
}

CallLimits LimitsOf(const grpc::ServerContext& context) {
  return {DeadlineOf(context), [&context] { return context.IsCancelled(); }};
}

}  // namespace meridian::server
