#include "tenancy/authorizer.h"

#include <utility>

#include "base/status.h"
#include "tenancy/errors.h"

namespace meridian::tenancy {

absl::Status Authorizer::AuthorizeAdministrator(const Principal& principal) const {
  return principal.administrator ? absl::OkStatus() : AdministratorOnlyError();
}

absl::StatusOr<std::shared_ptr<const TenantRecord>> Authorizer::AuthorizeTenant(
    const Principal& principal, std::string_view tenant_name, Access access) const {
  if (principal.administrator) {
    if (access == Access::kObjects) return TenantOnlyError();
    ASSIGN_OR_RETURN(TenantRecord tenant, tenants_.Get(tenant_name));
    return std::make_shared<const TenantRecord>(std::move(tenant));
  }
  absl::StatusOr<std::shared_ptr<const TenantRecord>> own = directory_.FindTenant(principal.tenant);
  // Its own tenant was deleted just now: its key is about to be refused.
  if (!own.ok() && !absl::IsNotFound(own.status())) return own.status();
  if (!own.ok() || (*own)->name != tenant_name) {
    return MissingError(Resource::kTenant, TenantResourceName(tenant_name));
  }
  return own;
}

}  // namespace meridian::tenancy
