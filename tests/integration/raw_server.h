// A server of a cluster, called without the client library's care.
#pragma once

#include <grpcpp/grpcpp.h>

#include <chrono>
#include <memory>
#include <string>

#include "client/profile.h"
#include "meridian/v1/cluster.grpc.pb.h"
#include "meridian/v1/containers.grpc.pb.h"
#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"

namespace meridian {

struct RawServer {
  RawServer(const Profile& profile, const std::string& address)
      : RawServer(Open(profile, address)) {}
  explicit RawServer(const std::shared_ptr<grpc::Channel>& to)
      : channel(to),
        containers(v1::ContainerService::NewStub(to)),
        objects(v1::ObjectService::NewStub(to)),
        uploads(v1::UploadService::NewStub(to)),
        cluster(v1::ClusterService::NewStub(to)) {}

  static std::shared_ptr<grpc::Channel> Open(const Profile& profile, const std::string& address) {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = profile.ca_pem;
    return grpc::CreateChannel(address, grpc::SslCredentials(tls));
  }
  // For one call, with the profile's key.
  static std::unique_ptr<grpc::ClientContext> ContextOf(const Profile& profile) {
    auto context = std::make_unique<grpc::ClientContext>();
    context->AddMetadata("authorization", "Bearer " + profile.access_key);
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(10));
    return context;
  }

  const std::shared_ptr<grpc::Channel> channel;
  const std::unique_ptr<v1::ContainerService::Stub> containers;
  const std::unique_ptr<v1::ObjectService::Stub> objects;
  const std::unique_ptr<v1::UploadService::Stub> uploads;
  const std::unique_ptr<v1::ClusterService::Stub> cluster;
};

}  // namespace meridian
