#include "client/admin.h"

#include <utility>

#include "client/internal/session.h"
#include "client/internal/unary.h"

namespace meridian {
namespace {

using client_internal::Call;
using client_internal::CallPlan;
using client_internal::Plan;
using client_internal::Session;
using client_internal::Stubs;
using client_internal::Subject;
using client_internal::TakeAll;
using client_internal::WithRequestId;
using AccessKeys = v1::AccessKeyService::Stub;
using Cluster = v1::ClusterService::Stub;
using Dev = v1::DevService::Stub;
using Tenants = v1::TenantService::Stub;

// Digests read whole states; starting a node replays its journals.
constexpr absl::Duration kSlowAttempt = absl::Minutes(2);

CallPlan SlowPlan(const char* what, const std::string& name, const CallOptions& options) {
  CallPlan plan = Plan(what, name, Subject(), options);
  plan.attempt_timeout = kSlowAttempt;
  return plan;
}

}  // namespace

Admin::Admin(const Profile& profile, const ClientOptions& options)
    : session_(std::make_unique<Session>(profile, options)) {}

Admin::~Admin() = default;

absl::StatusOr<v1::Tenant> Admin::CreateTenant(const v1::CreateTenantRequest& request,
                                               const CallOptions& options) {
  return Call(*session_, Plan("create tenant", request.tenant_id(), Subject(), options),
              &Stubs::tenants, &Tenants::CreateTenant, WithRequestId(*session_, request));
}

absl::StatusOr<v1::Tenant> Admin::GetTenant(const std::string& name, const CallOptions& options) {
  v1::GetTenantRequest request;
  request.set_name(name);
  return Call(*session_, Plan("get tenant", name, Subject(), options), &Stubs::tenants,
              &Tenants::GetTenant, request);
}

absl::Status Admin::DeleteTenant(const std::string& name, const CallOptions& options) {
  v1::DeleteTenantRequest request;
  request.set_name(name);
  return Call(*session_, Plan("delete tenant", name, Subject(), options), &Stubs::tenants,
              &Tenants::DeleteTenant, WithRequestId(*session_, request))
      .status();
}

PageIterator<v1::Tenant> Admin::ListTenants(const CallOptions& options) {
  return PageIterator<v1::Tenant>(
      [this, options](const std::string& token) -> absl::StatusOr<Page<v1::Tenant>> {
        v1::ListTenantsRequest request;
        request.set_page_token(token);
        auto response = Call(*session_, Plan("list tenants", "", Subject(), options),
                             &Stubs::tenants, &Tenants::ListTenants, request);
        if (!response.ok()) return response.status();
        return Page<v1::Tenant>{TakeAll(*response->mutable_tenants()), response->next_page_token()};
      });
}

absl::StatusOr<v1::CreateAccessKeyResponse> Admin::CreateAccessKey(
    const v1::CreateAccessKeyRequest& request, const CallOptions& options) {
  CallPlan plan = SlowPlan("create access key of", request.parent(), options);
  plan.repeatable = false;
  return Call(*session_, plan, &Stubs::access_keys, &AccessKeys::CreateAccessKey, request);
}

absl::StatusOr<v1::AccessKey> Admin::RevokeAccessKey(const std::string& name,
                                                     const CallOptions& options) {
  v1::RevokeAccessKeyRequest request;
  request.set_name(name);
  return Call(*session_, Plan("revoke", name, Subject(), options), &Stubs::access_keys,
              &AccessKeys::RevokeAccessKey, WithRequestId(*session_, request));
}

PageIterator<v1::AccessKey> Admin::ListAccessKeys(const std::string& tenant,
                                                  const CallOptions& options) {
  return PageIterator<v1::AccessKey>(
      [this, tenant, options](const std::string& token) -> absl::StatusOr<Page<v1::AccessKey>> {
        v1::ListAccessKeysRequest request;
        request.set_parent(tenant);
        request.set_page_token(token);
        auto response = Call(*session_, Plan("list access keys of", tenant, Subject(), options),
                             &Stubs::access_keys, &AccessKeys::ListAccessKeys, request);
        if (!response.ok()) return response.status();
        return Page<v1::AccessKey>{TakeAll(*response->mutable_access_keys()),
                                   response->next_page_token()};
      });
}

absl::StatusOr<v1::Topology> Admin::GetTopology(const CallOptions& options) {
  return Call(*session_, Plan("get topology", "", Subject(), options), &Stubs::cluster,
              &Cluster::GetTopology, v1::GetTopologyRequest());
}

absl::StatusOr<v1::ListNodesResponse> Admin::ListNodes(const CallOptions& options) {
  return Call(*session_, Plan("list nodes", "", Subject(), options), &Stubs::cluster,
              &Cluster::ListNodes, v1::ListNodesRequest());
}

absl::Status Admin::DrainNode(const std::string& node, bool cancel, const CallOptions& options) {
  v1::DrainNodeRequest request;
  request.set_node(node);
  request.set_cancel(cancel);
  return Call(*session_, Plan("drain node", node, Subject(), options), &Stubs::cluster,
              &Cluster::DrainNode, request)
      .status();
}

absl::Status Admin::RemoveNode(const std::string& node, const CallOptions& options) {
  v1::RemoveNodeRequest request;
  request.set_node(node);
  return Call(*session_, Plan("remove node", node, Subject(), options), &Stubs::cluster,
              &Cluster::RemoveNode, request)
      .status();
}

absl::StatusOr<v1::ReplaceDiskResponse> Admin::ReplaceDisk(const std::string& disk, bool cancel,
                                                           const CallOptions& options) {
  v1::ReplaceDiskRequest request;
  request.set_disk(disk);
  request.set_cancel(cancel);
  return Call(*session_, SlowPlan("replace disk", disk, options), &Stubs::cluster,
              &Cluster::ReplaceDisk, request);
}

absl::StatusOr<v1::UpgradeFormatResponse> Admin::UpgradeFormat(bool check_only,
                                                               const CallOptions& options) {
  v1::UpgradeFormatRequest request;
  request.set_check_only(check_only);
  return Call(*session_, Plan("upgrade the cluster's format", "", Subject(), options),
              &Stubs::cluster, &Cluster::UpgradeFormat, request);
}

absl::StatusOr<v1::RecoverGroupResponse> Admin::RecoverGroup(const v1::RecoverGroupRequest& request,
                                                             const CallOptions& options) {
  return Call(*session_, SlowPlan("recover group", request.partition_id(), options),
              &Stubs::cluster, &Cluster::RecoverGroup, request);
}

PageIterator<v1::Group> Admin::ListGroups(const v1::ListGroupsRequest& request,
                                          const CallOptions& options) {
  return PageIterator<v1::Group>(
      [this, request, options](const std::string& token) -> absl::StatusOr<Page<v1::Group>> {
        v1::ListGroupsRequest page = request;
        if (!token.empty()) page.set_page_token(token);
        // Without digests a server answers soon, whichever nodes do not: one that hangs is left.
        const CallPlan plan = page.with_digest()
                                  ? SlowPlan("list groups", page.container(), options)
                                  : Plan("list groups", page.container(), Subject(), options);
        auto response = Call(*session_, plan, &Stubs::cluster, &Cluster::ListGroups, page);
        if (!response.ok()) return response.status();
        return Page<v1::Group>{TakeAll(*response->mutable_groups()), response->next_page_token()};
      });
}

absl::Status Admin::StopNode(const std::string& node, const CallOptions& options) {
  v1::StopNodeRequest request;
  request.set_node(node);
  return Call(*session_, SlowPlan("stop node", node, options), &Stubs::dev, &Dev::StopNode, request)
      .status();
}

absl::Status Admin::StartNode(const std::string& node, const CallOptions& options) {
  v1::StartNodeRequest request;
  request.set_node(node);
  return Call(*session_, SlowPlan("start node", node, options), &Stubs::dev, &Dev::StartNode,
              request)
      .status();
}

absl::Status Admin::StopZone(const std::string& zone, const CallOptions& options) {
  v1::StopZoneRequest request;
  request.set_zone(zone);
  return Call(*session_, SlowPlan("stop zone", zone, options), &Stubs::dev, &Dev::StopZone, request)
      .status();
}

absl::Status Admin::StartZone(const std::string& zone, const CallOptions& options) {
  v1::StartZoneRequest request;
  request.set_zone(zone);
  return Call(*session_, SlowPlan("start zone", zone, options), &Stubs::dev, &Dev::StartZone,
              request)
      .status();
}

}  // namespace meridian
