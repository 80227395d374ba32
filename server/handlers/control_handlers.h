// The services of meridian.v1 that do not touch objects.
#pragma once

#include "meridian/v1/access_keys.grpc.pb.h"
#include "meridian/v1/cluster.grpc.pb.h"
#include "meridian/v1/containers.grpc.pb.h"
#include "meridian/v1/dev.grpc.pb.h"
#include "meridian/v1/tenants.grpc.pb.h"
#include "server/api.h"

namespace meridian::server {

class TenantHandlers final : public v1::TenantService::Service {
 public:
  explicit TenantHandlers(Api& api) : api_(api) {}
  grpc::Status CreateTenant(grpc::ServerContext* context, const v1::CreateTenantRequest* request,
                            v1::Tenant* response) override;
  grpc::Status GetTenant(grpc::ServerContext* context, const v1::GetTenantRequest* request,
                         v1::Tenant* response) override;
  grpc::Status ListTenants(grpc::ServerContext* context, const v1::ListTenantsRequest* request,
                           v1::ListTenantsResponse* response) override;
  grpc::Status DeleteTenant(grpc::ServerContext* context, const v1::DeleteTenantRequest* request,
                            google::protobuf::Empty* response) override;

 private:
  Api& api_;
};

class AccessKeyHandlers final : public v1::AccessKeyService::Service {
 public:
  explicit AccessKeyHandlers(Api& api) : api_(api) {}
  grpc::Status CreateAccessKey(grpc::ServerContext* context,
                               const v1::CreateAccessKeyRequest* request,
                               v1::CreateAccessKeyResponse* response) override;
  grpc::Status ListAccessKeys(grpc::ServerContext* context,
                              const v1::ListAccessKeysRequest* request,
                              v1::ListAccessKeysResponse* response) override;
  grpc::Status RevokeAccessKey(grpc::ServerContext* context,
                               const v1::RevokeAccessKeyRequest* request,
                               v1::AccessKey* response) override;

 private:
  Api& api_;
};

class ContainerHandlers final : public v1::ContainerService::Service {
 public:
  explicit ContainerHandlers(Api& api) : api_(api) {}
  grpc::Status CreateContainer(grpc::ServerContext* context,
                               const v1::CreateContainerRequest* request,
                               v1::Container* response) override;
  grpc::Status GetContainer(grpc::ServerContext* context, const v1::GetContainerRequest* request,
                            v1::Container* response) override;
  grpc::Status ListContainers(grpc::ServerContext* context,
                              const v1::ListContainersRequest* request,
                              v1::ListContainersResponse* response) override;
  grpc::Status UpdateContainer(grpc::ServerContext* context,
                               const v1::UpdateContainerRequest* request,
                               v1::Container* response) override;
  grpc::Status DeleteContainer(grpc::ServerContext* context,
                               const v1::DeleteContainerRequest* request,
                               google::protobuf::Empty* response) override;
  grpc::Status ConvertContainer(grpc::ServerContext* context,
                                const v1::ConvertContainerRequest* request,
                                v1::Container* response) override;
  grpc::Status PauseConversion(grpc::ServerContext* context,
                               const v1::PauseConversionRequest* request,
                               v1::Container* response) override;
  grpc::Status ResumeConversion(grpc::ServerContext* context,
                                const v1::ResumeConversionRequest* request,
                                v1::Container* response) override;
  grpc::Status CancelConversion(grpc::ServerContext* context,
                                const v1::CancelConversionRequest* request,
                                v1::Container* response) override;

 private:
  Api& api_;
};

class ClusterHandlers final : public v1::ClusterService::Service {
 public:
  explicit ClusterHandlers(Api& api) : api_(api) {}
  grpc::Status GetTopology(grpc::ServerContext* context, const v1::GetTopologyRequest* request,
                           v1::Topology* response) override;
  grpc::Status ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest* request,
                         v1::ListNodesResponse* response) override;
  grpc::Status ListGroups(grpc::ServerContext* context, const v1::ListGroupsRequest* request,
                          v1::ListGroupsResponse* response) override;
  grpc::Status GetRoute(grpc::ServerContext* context, const v1::GetRouteRequest* request,
                        v1::Route* response) override;
  grpc::Status DrainNode(grpc::ServerContext* context, const v1::DrainNodeRequest* request,
                         v1::DrainNodeResponse* response) override;
  grpc::Status RemoveNode(grpc::ServerContext* context, const v1::RemoveNodeRequest* request,
                          v1::RemoveNodeResponse* response) override;
  grpc::Status ReplaceDisk(grpc::ServerContext* context, const v1::ReplaceDiskRequest* request,
                           v1::ReplaceDiskResponse* response) override;
  grpc::Status UpgradeFormat(grpc::ServerContext* context, const v1::UpgradeFormatRequest* request,
                             v1::UpgradeFormatResponse* response) override;
  grpc::Status RecoverGroup(grpc::ServerContext* context, const v1::RecoverGroupRequest* request,
                            v1::RecoverGroupResponse* response) override;

 private:
  Api& api_;
};

class DevHandlers final : public v1::DevService::Service {
 public:
  explicit DevHandlers(Api& api) : api_(api) {}
  grpc::Status StopNode(grpc::ServerContext* context, const v1::StopNodeRequest* request,
                        v1::StopNodeResponse* response) override;
  grpc::Status StartNode(grpc::ServerContext* context, const v1::StartNodeRequest* request,
                         v1::StartNodeResponse* response) override;
  grpc::Status StopZone(grpc::ServerContext* context, const v1::StopZoneRequest* request,
                        v1::StopZoneResponse* response) override;
  grpc::Status StartZone(grpc::ServerContext* context, const v1::StartZoneRequest* request,
                         v1::StartZoneResponse* response) override;

 private:
  Api& api_;
};

}  // namespace meridian::server
