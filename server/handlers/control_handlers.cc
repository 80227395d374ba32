#include "server/handlers/control_handlers.h"

#include "server/handlers/call.h"

namespace meridian::server {

using grpc::ServerContext;
using tenancy::Principal;

grpc::Status TenantHandlers::CreateTenant(ServerContext* context,
                                          const v1::CreateTenantRequest* request,
                                          v1::Tenant* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.CreateTenant(principal, *request);
  });
}

grpc::Status TenantHandlers::GetTenant(ServerContext* context, const v1::GetTenantRequest* request,
                                       v1::Tenant* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.GetTenant(principal, *request);
  });
}

grpc::Status TenantHandlers::ListTenants(ServerContext* context,
                                         const v1::ListTenantsRequest* request,
                                         v1::ListTenantsResponse* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.ListTenants(principal, *request);
  });
}

grpc::Status TenantHandlers::DeleteTenant(ServerContext* context,
                                          const v1::DeleteTenantRequest* request,
                                          google::protobuf::Empty* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.DeleteTenant(principal, *request);
  });
}

grpc::Status AccessKeyHandlers::CreateAccessKey(ServerContext* context,
                                                const v1::CreateAccessKeyRequest* request,
                                                v1::CreateAccessKeyResponse* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.CreateAccessKey(principal, *request);
  });
}

grpc::Status AccessKeyHandlers::ListAccessKeys(ServerContext* context,
                                               const v1::ListAccessKeysRequest* request,
                                               v1::ListAccessKeysResponse* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.ListAccessKeys(principal, *request);
  });
}

grpc::Status AccessKeyHandlers::RevokeAccessKey(ServerContext* context,
                                                const v1::RevokeAccessKeyRequest* request,
                                                v1::AccessKey* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.tenant_ops.RevokeAccessKey(principal, *request);
  });
}

grpc::Status ContainerHandlers::CreateContainer(ServerContext* context,
                                                const v1::CreateContainerRequest* request,
                                                v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.CreateContainer(principal, *request, LimitsOf(*context));
  });
}

grpc::Status ContainerHandlers::GetContainer(ServerContext* context,
                                             const v1::GetContainerRequest* request,
                                             v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.GetContainer(principal, *request);
  });
}

grpc::Status ContainerHandlers::ListContainers(ServerContext* context,
                                               const v1::ListContainersRequest* request,
                                               v1::ListContainersResponse* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.ListContainers(principal, *request);
  });
}

grpc::Status ContainerHandlers::UpdateContainer(ServerContext* context,
                                                const v1::UpdateContainerRequest* request,
                                                v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.UpdateContainer(principal, *request, LimitsOf(*context));
  });
}

grpc::Status ContainerHandlers::DeleteContainer(ServerContext* context,
                                                const v1::DeleteContainerRequest* request,
                                                google::protobuf::Empty* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.DeleteContainer(principal, *request, LimitsOf(*context));
  });
}

grpc::Status ContainerHandlers::ConvertContainer(ServerContext* context,
                                                 const v1::ConvertContainerRequest* request,
                                                 v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.ConvertContainer(principal, *request);
  });
}

grpc::Status ContainerHandlers::PauseConversion(ServerContext* context,
                                                const v1::PauseConversionRequest* request,
                                                v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.PauseConversion(principal, *request);
  });
}

grpc::Status ContainerHandlers::ResumeConversion(ServerContext* context,
                                                 const v1::ResumeConversionRequest* request,
                                                 v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.ResumeConversion(principal, *request);
  });
}

grpc::Status ContainerHandlers::CancelConversion(ServerContext* context,
                                                 const v1::CancelConversionRequest* request,
                                                 v1::Container* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.container_ops.CancelConversion(principal, *request);
  });
}

grpc::Status ClusterHandlers::GetTopology(ServerContext* context,
                                          const v1::GetTopologyRequest* request,
                                          v1::Topology* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.GetTopology(principal, *request);
  });
}

grpc::Status ClusterHandlers::ListNodes(ServerContext* context, const v1::ListNodesRequest* request,
                                        v1::ListNodesResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.ListNodes(principal, *request);
  });
}

grpc::Status ClusterHandlers::ListGroups(ServerContext* context,
                                         const v1::ListGroupsRequest* request,
                                         v1::ListGroupsResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.ListGroups(principal, *request);
  });
}

grpc::Status ClusterHandlers::GetRoute(ServerContext* context, const v1::GetRouteRequest* request,
                                       v1::Route* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.GetRoute(principal, *request);
  });
}

grpc::Status ClusterHandlers::DrainNode(ServerContext* context, const v1::DrainNodeRequest* request,
                                        v1::DrainNodeResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.DrainNode(principal, *request);
  });
}

grpc::Status ClusterHandlers::RemoveNode(ServerContext* context,
                                         const v1::RemoveNodeRequest* request,
                                         v1::RemoveNodeResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.RemoveNode(principal, *request);
  });
}

grpc::Status ClusterHandlers::ReplaceDisk(ServerContext* context,
                                          const v1::ReplaceDiskRequest* request,
                                          v1::ReplaceDiskResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.ReplaceDisk(principal, *request);
  });
}

grpc::Status ClusterHandlers::UpgradeFormat(ServerContext* context,
                                            const v1::UpgradeFormatRequest* request,
                                            v1::UpgradeFormatResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.UpgradeFormat(principal, *request);
  });
}

grpc::Status ClusterHandlers::RecoverGroup(ServerContext* context,
                                           const v1::RecoverGroupRequest* request,
                                           v1::RecoverGroupResponse* response) {
  return HandleWithStore(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.RecoverGroup(principal, *request);
  });
}

grpc::Status DevHandlers::StopNode(ServerContext* context, const v1::StopNodeRequest* request,
                                   v1::StopNodeResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.StopNode(principal, *request);
  });
}

grpc::Status DevHandlers::StartNode(ServerContext* context, const v1::StartNodeRequest* request,
                                    v1::StartNodeResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.StartNode(principal, *request);
  });
}

grpc::Status DevHandlers::StopZone(ServerContext* context, const v1::StopZoneRequest* request,
                                   v1::StopZoneResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.StopZone(principal, *request);
  });
}

grpc::Status DevHandlers::StartZone(ServerContext* context, const v1::StartZoneRequest* request,
                                    v1::StartZoneResponse* response) {
  return Handle(api_, *context, response, [&](const Principal& principal) {
    return api_.cluster_ops.StartZone(principal, *request);
  });
}

}  // namespace meridian::server
