#include "client/internal/endpoint.h"

#include <algorithm>
#include <utility>

#include "absl/time/clock.h"

namespace meridian::client_internal {
namespace {

// Larger than any message of the API: 1 MiB of data, or 1,000 objects with their metadata.
constexpr int kMaxReceiveBytes = 16 << 20;
// A call whose server hangs fails by then, however long it may take. Servers allow a ping every 10
// s.
constexpr int kKeepaliveMs = 20'000;
constexpr int kKeepaliveTimeoutMs = 10'000;

std::shared_ptr<grpc::Channel> MakeChannel(const std::string& address, const Profile& profile,
                                           const ClientOptions& options) {
  grpc::SslCredentialsOptions tls;
  tls.pem_root_certs = profile.ca_pem;
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxReceiveBytes);
  // Each channel has a connection of its own.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  // The shortest reconnect pause is also the longest time that a connection may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS,
                   static_cast<int>(absl::ToInt64Milliseconds(options.connect_timeout)));
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 100);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 1000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, kKeepaliveTimeoutMs);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // Retries are ours: they follow the leader and keep the request id.
  arguments.SetInt(GRPC_ARG_ENABLE_RETRIES, 0);
  if (!profile.server_name.empty()) arguments.SetSslTargetNameOverride(profile.server_name);
  return grpc::CreateCustomChannel(address, grpc::SslCredentials(tls), arguments);
}

}  // namespace

Stubs::Stubs(const std::shared_ptr<grpc::Channel>& channel)
    : tenants(v1::TenantService::NewStub(channel)),
      access_keys(v1::AccessKeyService::NewStub(channel)),
      containers(v1::ContainerService::NewStub(channel)),
      objects(v1::ObjectService::NewStub(channel)),
      uploads(v1::UploadService::NewStub(channel)),
      cluster(v1::ClusterService::NewStub(channel)),
      dev(v1::DevService::NewStub(channel)) {}

Endpoint::Endpoint(std::string address, const Profile& profile, const ClientOptions& options)
    : address_(std::move(address)) {
  const int connections = std::clamp(options.connections_per_endpoint, 1, 16);
  for (int i = 0; i < connections; ++i) {
    channels_.push_back(MakeChannel(address_, profile, options));
    stubs_.push_back(std::make_unique<Stubs>(channels_.back()));
  }
}

void Endpoint::PauseConnecting(absl::Duration pause) {
  const absl::Time end = absl::Now() + pause;
  grpc::CompletionQueue changes;
  const auto watch = [&](grpc::Channel* channel) {
    const grpc_connectivity_state state = channel->GetState(/*try_to_connect=*/true);
    if (state == GRPC_CHANNEL_READY) return false;
    channel->NotifyOnStateChange(state, absl::ToChronoTime(end), &changes, channel);
    return true;
  };
  size_t watched = 0;
  for (const auto& channel : channels_) watched += watch(channel.get());
  void* channel = nullptr;
  bool changed = false;
  while (watched > 0 && changes.Next(&channel, &changed)) {
    if (!changed || !watch(static_cast<grpc::Channel*>(channel))) --watched;
  }
  changes.Shutdown();
  while (changes.Next(&channel, &changed)) {
  }
  absl::SleepFor(end - absl::Now());
}

std::shared_ptr<Endpoint> EndpointPool::Get(const std::string& address) {
  absl::MutexLock lock(&mutex_);
  auto it = endpoints_.find(address);
  if (it != endpoints_.end()) return it->second;
  if (endpoints_.size() >= kMaxEndpoints) endpoints_.clear();
  auto endpoint = std::make_shared<Endpoint>(address, profile_, options_);
  endpoints_.emplace(address, endpoint);
  return endpoint;
}

}  // namespace meridian::client_internal
