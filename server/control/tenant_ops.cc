#include "server/control/tenant_ops.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "server/control/convert.h"
#include "server/errors.h"
#include "server/resource_names.h"
#include "tenancy/errors.h"
#include "tenancy/names.h"

namespace meridian::server {
namespace {

using google::protobuf::Empty;
using tenancy::Principal;

v1::Tenant ToProto(const tenancy::TenantRecord& record) {
  v1::Tenant proto;
  proto.set_name(tenancy::TenantResourceName(record.name));
  proto.set_uid(record.id.ToHex());
  proto.set_display_name(record.display_name);
  *proto.mutable_create_time() = TimestampProto(record.create_time);
  return proto;
}

v1::AccessKey ToProto(const tenancy::AccessKeyRecord& record, const std::string& tenant) {
  v1::AccessKey proto;
  proto.set_name(tenancy::AccessKeyResourceName(tenant, record.id.ToHex()));
  proto.set_display_name(record.display_name);
  *proto.mutable_create_time() = TimestampProto(record.create_time);
  return proto;
}

}  // namespace

absl::StatusOr<v1::Tenant> TenantOps::CreateTenant(const Principal& principal,
                                                   const v1::CreateTenantRequest& request) {
  RETURN_IF_ERROR(authorizer_.AuthorizeAdministrator(principal));
  ASSIGN_OR_RETURN(const std::string request_id,
                   RequestIdBytes(request.has_request_id(), request.request_id(), absl::Now()));
  ASSIGN_OR_RETURN(
      const tenancy::TenantRecord record,
      tenants_.Create(request.tenant_id(), request.tenant().display_name(), request_id));
  return ToProto(record);
}

absl::StatusOr<v1::Tenant> TenantOps::GetTenant(const Principal& principal,
                                                const v1::GetTenantRequest& request) {
  ASSIGN_OR_RETURN(const std::string name, ParseTenantName("name", request.name()));
  ASSIGN_OR_RETURN(const std::shared_ptr<const tenancy::TenantRecord> record,
                   authorizer_.AuthorizeTenant(principal, name, tenancy::Access::kManage));
  return ToProto(*record);
}

absl::StatusOr<v1::ListTenantsResponse> TenantOps::ListTenants(
    const Principal& principal, const v1::ListTenantsRequest& request) {
  RETURN_IF_ERROR(authorizer_.AuthorizeAdministrator(principal));
  ASSIGN_OR_RETURN(tenancy::TenantCatalog::Listing listing,
                   tenants_.List({request.page_size(), request.page_token()}));
  v1::ListTenantsResponse response;
  for (const tenancy::TenantRecord& record : listing.tenants) {
    *response.add_tenants() = ToProto(record);
  }
  response.set_next_page_token(std::move(listing.next_page_token));
  return response;
}

absl::StatusOr<Empty> TenantOps::DeleteTenant(const Principal& principal,
                                              const v1::DeleteTenantRequest& request) {
  RETURN_IF_ERROR(authorizer_.AuthorizeAdministrator(principal));
  ASSIGN_OR_RETURN(const std::string name, ParseTenantName("name", request.name()));
  RETURN_IF_ERROR(tenants_.Delete(name));
  return Empty();
}

absl::StatusOr<v1::CreateAccessKeyResponse> TenantOps::CreateAccessKey(
    const Principal& principal, const v1::CreateAccessKeyRequest& request) {
  ASSIGN_OR_RETURN(const std::string name, ParseTenantName("parent", request.parent()));
  ASSIGN_OR_RETURN(const std::shared_ptr<const tenancy::TenantRecord> tenant,
                   authorizer_.AuthorizeTenant(principal, name, tenancy::Access::kManage));
  ASSIGN_OR_RETURN(tenancy::CreatedAccessKey created,
                   access_keys_.Create(tenant->id, request.access_key().display_name()));
  v1::CreateAccessKeyResponse response;
  *response.mutable_access_key() = ToProto(created.record, tenant->name);
  response.set_secret(std::move(created.token));
  return response;
}

absl::StatusOr<v1::ListAccessKeysResponse> TenantOps::ListAccessKeys(
    const Principal& principal, const v1::ListAccessKeysRequest& request) {
  ASSIGN_OR_RETURN(const std::string name, ParseTenantName("parent", request.parent()));
  ASSIGN_OR_RETURN(const std::shared_ptr<const tenancy::TenantRecord> tenant,
                   authorizer_.AuthorizeTenant(principal, name, tenancy::Access::kManage));
  ASSIGN_OR_RETURN(tenancy::AccessKeyCatalog::Listing listing,
                   access_keys_.List(tenant->id, {request.page_size(), request.page_token()}));
  v1::ListAccessKeysResponse response;
  for (const tenancy::AccessKeyRecord& record : listing.keys) {
    *response.add_access_keys() = ToProto(record, tenant->name);
  }
  response.set_next_page_token(std::move(listing.next_page_token));
  return response;
}

absl::StatusOr<v1::AccessKey> TenantOps::RevokeAccessKey(
    const Principal& principal, const v1::RevokeAccessKeyRequest& request) {
  ASSIGN_OR_RETURN(const AccessKeyPath path, ParseAccessKeyName("name", request.name()));
  ASSIGN_OR_RETURN(const std::shared_ptr<const tenancy::TenantRecord> tenant,
                   authorizer_.AuthorizeTenant(principal, path.tenant, tenancy::Access::kManage));
  const auto id = AccessKeyId::FromHex(path.key);
  if (!id) return tenancy::MissingError(tenancy::Resource::kAccessKey, request.name());
  ASSIGN_OR_RETURN(const tenancy::AccessKeyRecord record, access_keys_.Revoke(tenant->id, *id));
  v1::AccessKey proto = ToProto(record, tenant->name);
  *proto.mutable_revoke_time() = TimestampProto(absl::Now());
  return proto;
}

}  // namespace meridian::server
