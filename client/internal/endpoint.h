// The servers that a client talks to: connections and stubs, made once and shared.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "client/options.h"
#include "client/profile.h"
#include "meridian/v1/access_keys.grpc.pb.h"
#include "meridian/v1/cluster.grpc.pb.h"
#include "meridian/v1/containers.grpc.pb.h"
#include "meridian/v1/dev.grpc.pb.h"
#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/tenants.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"

namespace meridian::client_internal {

// The services of one server over one connection.
struct Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& channel);

  const std::unique_ptr<v1::TenantService::Stub> tenants;
  const std::unique_ptr<v1::AccessKeyService::Stub> access_keys;
  const std::unique_ptr<v1::ContainerService::Stub> containers;
  const std::unique_ptr<v1::ObjectService::Stub> objects;
  const std::unique_ptr<v1::UploadService::Stub> uploads;
  const std::unique_ptr<v1::ClusterService::Stub> cluster;
  const std::unique_ptr<v1::DevService::Stub> dev;
};

// One server. Thread-safe.
class Endpoint {
 public:
  Endpoint(std::string address, const Profile& profile, const ClientOptions& options);

  const std::string& address() const { return address_; }
  // Takes turns over the connections.
  Stubs& stubs() { return *stubs_[next_.fetch_add(1, std::memory_order_relaxed) % stubs_.size()]; }

  // Blocks for `pause`, and meanwhile drives the connections that are not there yet: with gRPC's
  // blocking calls nobody else does between two calls, and a handshake would not come to its end.
  void PauseConnecting(absl::Duration pause);

 private:
  const std::string address_;
  // Never empty; one for each of stubs_.
  std::vector<std::shared_ptr<grpc::Channel>> channels_;
  std::vector<std::unique_ptr<Stubs>> stubs_;
  std::atomic<size_t> next_{0};
};

// Thread-safe.
class EndpointPool {
 public:
  EndpointPool(const Profile& profile, const ClientOptions& options)
      : profile_(profile), options_(options) {}

  // Does not connect: the first call does.
  std::shared_ptr<Endpoint> Get(const std::string& address);

 private:
  // More than a client can have use for; beyond, all connections are made anew.
  static constexpr size_t kMaxEndpoints = 256;

  const Profile profile_;
  const ClientOptions options_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, std::shared_ptr<Endpoint>> endpoints_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::client_internal
