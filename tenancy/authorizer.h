// Who may do what.
#pragma once

#include <memory>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "tenancy/authenticator.h"
#include "tenancy/directory.h"
#include "tenancy/records.h"
#include "tenancy/tenants.h"

namespace meridian::tenancy {

enum class Access {
  // See and change a tenant's containers and access keys: the tenant and administrators.
  kManage,
  // Touch objects: the tenant only.
  kObjects,
};

// A tenant's key opens that tenant only: of any other it is told what it would be told if that did
// not exist, by a comparison with its own name, so that neither the answer nor the time depends on
// what exists (I8). Thread-safe; calls may block (see CatalogStore).
class Authorizer {
 public:
  Authorizer(TenantCatalog& tenants, Directory& directory)
      : tenants_(tenants), directory_(directory) {}

  // For creating, listing and deleting tenants, and the cluster's state. PERMISSION_DENIED.
  absl::Status AuthorizeAdministrator(const Principal& principal) const;

  // The tenant called `tenant_name`, if `principal` may have this access to it. PERMISSION_DENIED:
  // an administrator asks for objects. NOT_FOUND: missing or foreign.
  absl::StatusOr<std::shared_ptr<const TenantRecord>> AuthorizeTenant(const Principal& principal,
                                                                      std::string_view tenant_name,
                                                                      Access access) const;

 private:
  TenantCatalog& tenants_;
  Directory& directory_;
};

}  // namespace meridian::tenancy
