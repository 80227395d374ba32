#include "server/handlers/proxy.h"

#include <string_view>
#include <utility>

#include "absl/strings/str_cat.h"
#include "server/errors.h"
#include "server/grpc_status.h"
#include "server/telemetry/call_record.h"
#include "server/telemetry/trace_context.h"

namespace meridian::server {
namespace {

// To notice a leader whose machine is gone.
constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;
constexpr int kConnectTimeoutMs = 2'000;

// What a connection says of itself.
bool IsOfConnection(std::string_view key) {
  return key.starts_with("grpc-") || key.starts_with(":") || key == "user-agent" ||
         key == "content-type" || key == "te" || key == "host" || key == "accept-encoding";
}

std::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

// The leader's part in the caller's trace is below this server's.
void CopyMetadata(const grpc::ServerContext& from, grpc::ClientContext& to) {
  for (const auto& [key, value] : from.client_metadata()) {
    const std::string_view name = View(key);
    if (IsOfConnection(name) || name == Proxy::kRoutesKey || name == kTraceparent) continue;
    to.AddMetadata(std::string(name), std::string(View(value)));
  }
  to.AddMetadata(Proxy::kRoutesKey, "1");
  if (const CallRecord* const call = CallRecord::Current()) {
    to.AddMetadata(kTraceparent, call->trace().ToTraceparent());
  }
}

// Without the request id, which is this server's too, and told by it.
void CopyTrailers(const grpc::ClientContext& from, grpc::ServerContext& to) {
  for (const auto& [key, value] : from.GetServerTrailingMetadata()) {
    const std::string_view name = View(key);
    if (IsOfConnection(name) || name == kRequestIdMetadata) continue;
    to.AddTrailingMetadata(std::string(name), std::string(View(value)));
  }
}

// What gRPC says, and not the leader, means that nobody knows what the call did.
grpc::Status Explain(const grpc::Status& status, const grpc::ServerContext& context) {
  if (status.ok() || !status.error_details().empty() || context.IsCancelled()) return status;
  switch (status.error_code()) {
    case grpc::StatusCode::UNAVAILABLE:
    case grpc::StatusCode::CANCELLED:
    case grpc::StatusCode::UNKNOWN:
    case grpc::StatusCode::INTERNAL:
      return ToGrpcStatus(Error(absl::StatusCode::kUnavailable, v1::OUTCOME_UNKNOWN,
                                absl::StrCat("the connection to the partition's leader broke: ",
                                             status.error_message())));
    default:
      return status;
  }
}

}  // namespace

bool Proxy::IsWanted(const grpc::ServerContext& context) {
  return context.client_metadata().count(kRoutesKey) == 0;
}

std::shared_ptr<Proxy::Leader> Proxy::Find(const std::string& endpoint) {
  absl::MutexLock lock(&mutex_);
  if (leaders_.size() >= kMaxLeaders && !leaders_.contains(endpoint)) leaders_.clear();
  std::shared_ptr<Leader>& leader = leaders_[endpoint];
  if (leader == nullptr) {
    grpc::ChannelArguments arguments;
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
    arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kConnectTimeoutMs);
    arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 50);
    arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
    arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
    const auto channel = grpc::CreateCustomChannel(endpoint, credentials_, arguments);
    leader.reset(
        new Leader{v1::ObjectService::NewStub(channel), v1::UploadService::NewStub(channel)});
  }
  return leader;
}

grpc::Status Proxy::Pass(grpc::ServerContext& context, const std::string& endpoint,
                         const Call& call) {
  struct Count {
    explicit Count(std::atomic<int>& of) : calls(of), number(++of) {}
    ~Count() { --calls; }
    std::atomic<int>& calls;
    const int number;
  } count(calls_);
  if (count.number > kMaxCalls) {
    return ToGrpcStatus(Error(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                              "too many calls are being passed on to leaders: retry later, or "
                              "route them, see ClusterService.GetRoute"));
  }
  const std::shared_ptr<Leader> leader = Find(endpoint);
  // With the deadline and the cancellation of the call.
  const std::unique_ptr<grpc::ClientContext> passed =
      grpc::ClientContext::FromServerContext(context);
  CopyMetadata(context, *passed);
  const grpc::Status status = call(*leader, *passed);
  CopyTrailers(*passed, context);
  return Explain(status, context);
}

}  // namespace meridian::server
