#include "server/public_server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/resource_quota.h>

#include <algorithm>
#include <mutex>
#include <utility>

#include "absl/strings/str_cat.h"
#include "replication/transport/node_credentials.h"
#include "server/handlers/control_handlers.h"
#include "server/handlers/object_handlers.h"
#include "server/handlers/proxy.h"
#include "server/handlers/stream_watchdog.h"
#include "server/handlers/undecodable.h"
#include "server/telemetry/call_observer.h"

namespace meridian::server {
namespace {

// A piece of a body is at most 1 MiB; names, metadata and listings have room beside it.
constexpr int kMaxRequestBytes = 4 << 20;
constexpr int kMaxMetadataBytes = 16 << 10;
constexpr int kMaxStreamsOfAConnection = 256;
// How long a stream's client may send or take nothing while the server waits for it.
constexpr absl::Duration kMaxClientWait = absl::Minutes(2);
constexpr absl::Duration kWatchInterval = absl::Seconds(1);
constexpr int kKeepaliveMs = 60'000;
constexpr int kMinClientPingMs = 10'000;
// Threads that wait for the next call, at least and at most; handlers get more up to the quota.
// Those beyond the most end when their call does: were it few, each call would make a thread.
constexpr int kMinPollers = 1;
constexpr int kMaxPollers = 16;

replication::NodeTls NodeTlsOf(const TlsMaterial& tls) {
  return {tls.ca_certificate, tls.certificate, tls.private_key, tls.renewed};
}

class GrpcPublicServer final : public PublicServer {
 public:
  GrpcPublicServer(Api& api, const TlsMaterial& tls)
      : proxy_(replication::HostChannelCredentials(NodeTlsOf(tls))),
        tenants_(api),
        access_keys_(api),
        containers_(api),
        cluster_(api),
        dev_(api),
        objects_(api, watchdog_, proxy_),
        uploads_(api, watchdog_, proxy_) {}
  ~GrpcPublicServer() override { Shutdown(absl::InfinitePast()); }

  absl::Status Listen(CallObserver& calls, const TlsMaterial& tls,
                      const std::string& listen_address, const ServerResources& resources) {
    const size_t colon = listen_address.rfind(':');
    if (colon == std::string::npos) {
      return absl::InvalidArgumentError(
          absl::StrCat("listen address without a port: ", listen_address));
    }
    const auto credentials =
        replication::NodeServerCredentials(NodeTlsOf(tls), replication::ClientCertificates::kNone);
    grpc::ServerBuilder builder;
    int port = 0;
    builder.AddListeningPort(listen_address, credentials, &port);
    for (grpc::Service* service : std::initializer_list<grpc::Service*>{
             &tenants_, &access_keys_, &containers_, &cluster_, &dev_, &objects_, &uploads_}) {
      builder.RegisterService(service);
    }
    Observe(builder, calls);
    Bound(builder, resources);
    server_ = builder.BuildAndStart();
    if (server_ == nullptr || port == 0) {
      return absl::UnavailableError(absl::StrCat("cannot listen on ", listen_address));
    }
    endpoint_ = absl::StrCat(listen_address.substr(0, colon), ":", port);
    SetServing(false);
    return absl::OkStatus();
  }

  const std::string& endpoint() const override { return endpoint_; }

  void SetServing(bool serving) override {
    server_->GetHealthCheckService()->SetServingStatus(serving);
  }

  void Shutdown(absl::Time deadline) override {
    if (server_ == nullptr) return;
    // A time before 1970 is the end of time to gRPC: it would wait for streams to end by
    // themselves.
    server_->Shutdown(absl::ToChronoTime(std::max(deadline, absl::UnixEpoch())));
    server_->Wait();
    server_.reset();
  }

 private:
  // Of undecodable requests, what is counted is what they are answered.
  static void Observe(grpc::ServerBuilder& builder, CallObserver& calls) {
    auto interceptors = UndecodableInterceptors();
    for (auto& counting : calls.Observe(
             {v1::TenantService::service_full_name(), v1::AccessKeyService::service_full_name(),
              v1::ContainerService::service_full_name(), v1::ClusterService::service_full_name(),
              v1::DevService::service_full_name(), v1::ObjectService::service_full_name(),
              v1::UploadService::service_full_name()})) {
      interceptors.push_back(std::move(counting));
    }
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
  }

  static void Bound(grpc::ServerBuilder& builder, const ServerResources& resources) {
    builder.SetResourceQuota(*resources.quota);
    builder.SetMaxReceiveMessageSize(kMaxRequestBytes);
    builder.SetSyncServerOption(grpc::ServerBuilder::NUM_CQS, 1);
    builder.SetSyncServerOption(grpc::ServerBuilder::MIN_POLLERS, kMinPollers);
    builder.SetSyncServerOption(grpc::ServerBuilder::MAX_POLLERS, kMaxPollers);
    builder.AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
    builder.AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
    builder.AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsOfAConnection);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, kKeepaliveMs);
    builder.AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
    builder.AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS,
                               kMinClientPingMs);
  }

  StreamWatchdog watchdog_{kMaxClientWait, kWatchInterval};
  Proxy proxy_;
  TenantHandlers tenants_;
  AccessKeyHandlers access_keys_;
  ContainerHandlers containers_;
  ClusterHandlers cluster_;
  DevHandlers dev_;
  ObjectHandlers objects_;
  UploadHandlers uploads_;
  std::string endpoint_;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace

ServerResources MakeServerResources(int max_threads, size_t buffer_bytes) {
  // Plugins of servers that are built from now on; calling it again changes nothing.
  static std::once_flag once;
  std::call_once(once, [] {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  });
  auto quota = std::make_shared<grpc::ResourceQuota>("meridian");
  quota->SetMaxThreads(max_threads);
  quota->Resize(buffer_bytes);
  return {std::move(quota)};
}

absl::StatusOr<std::unique_ptr<PublicServer>> PublicServer::Start(
    Api& api, CallObserver& calls, const TlsMaterial& tls, const std::string& listen_address,
    const ServerResources& resources) {
  auto server = std::make_unique<GrpcPublicServer>(api, tls);
  const absl::Status status = server->Listen(calls, tls, listen_address, resources);
  if (!status.ok()) return status;
  return server;
}

}  // namespace meridian::server
