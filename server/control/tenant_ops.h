// Operations on tenants and their access keys, as meridian/v1/tenants.proto and access_keys.proto
// describe them.
#pragma once

#include "absl/status/statusor.h"
#include "google/protobuf/empty.pb.h"
#include "meridian/v1/access_keys.pb.h"
#include "meridian/v1/tenants.pb.h"
#include "tenancy/access_keys.h"
#include "tenancy/authenticator.h"
#include "tenancy/authorizer.h"
#include "tenancy/tenants.h"

namespace meridian::server {

// Thread-safe; calls block. The references outlive it.
class TenantOps {
 public:
  TenantOps(tenancy::TenantCatalog& tenants, tenancy::AccessKeyCatalog& access_keys,
            tenancy::Authorizer& authorizer)
      : tenants_(tenants), access_keys_(access_keys), authorizer_(authorizer) {}

  absl::StatusOr<v1::Tenant> CreateTenant(const tenancy::Principal& principal,
                                          const v1::CreateTenantRequest& request);
  absl::StatusOr<v1::Tenant> GetTenant(const tenancy::Principal& principal,
                                       const v1::GetTenantRequest& request);
  absl::StatusOr<v1::ListTenantsResponse> ListTenants(const tenancy::Principal& principal,
                                                      const v1::ListTenantsRequest& request);
  absl::StatusOr<google::protobuf::Empty> DeleteTenant(const tenancy::Principal& principal,
                                                       const v1::DeleteTenantRequest& request);

  absl::StatusOr<v1::CreateAccessKeyResponse> CreateAccessKey(
      const tenancy::Principal& principal, const v1::CreateAccessKeyRequest& request);
  absl::StatusOr<v1::ListAccessKeysResponse> ListAccessKeys(
      const tenancy::Principal& principal, const v1::ListAccessKeysRequest& request);
  absl::StatusOr<v1::AccessKey> RevokeAccessKey(const tenancy::Principal& principal,
                                                const v1::RevokeAccessKeyRequest& request);

 private:
  tenancy::TenantCatalog& tenants_;
  tenancy::AccessKeyCatalog& access_keys_;
  tenancy::Authorizer& authorizer_;
};

}  // namespace meridian::server
