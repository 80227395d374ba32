#include "client/cli/context.h"

#include <cstdlib>

#include "base/status.h"
#include "client/profile.h"

namespace meridian::cli {

std::string TenantName(const std::string& tenant) {
  return tenant.starts_with("tenants/") ? tenant : "tenants/" + tenant;
}

absl::StatusOr<const Profile*> Context::profile() {
  if (profile_) return profile_.get();
  std::string path = profile_path;
  if (path.empty()) {
    const char* variable = std::getenv("MERIDIAN_PROFILE");
    if (variable != nullptr) path = variable;
  }
  if (path.empty()) {
    return absl::InvalidArgumentError(
        "no profile: give --profile FILE or set MERIDIAN_PROFILE (meridiand dev writes "
        "DIR/admin.profile)");
  }
  ASSIGN_OR_RETURN(Profile loaded, LoadProfile(path));
  profile_ = std::make_unique<Profile>(std::move(loaded));
  return profile_.get();
}

absl::StatusOr<Client*> Context::client() {
  if (!client_) {
    ASSIGN_OR_RETURN(const Profile* loaded, profile());
    client_ = std::make_unique<Client>(*loaded);
  }
  return client_.get();
}

absl::StatusOr<Admin*> Context::admin() {
  if (!admin_) {
    ASSIGN_OR_RETURN(const Profile* loaded, profile());
    admin_ = std::make_unique<Admin>(*loaded);
  }
  return admin_.get();
}

CallOptions Context::call_options() const {
  CallOptions options;
  if (timeout_seconds > 0) options.timeout = absl::Seconds(timeout_seconds);
  return options;
}

absl::StatusOr<std::string> Context::tenant() {
  if (!tenant_option.empty()) return TenantName(tenant_option);
  ASSIGN_OR_RETURN(const Profile* loaded, profile());
  if (!loaded->tenant.empty()) return loaded->tenant;
  return absl::InvalidArgumentError(
      "which tenant? This profile is not a tenant's: give --tenant NAME");
}

absl::StatusOr<std::string> Context::ContainerName(const std::string& container) {
  if (container.starts_with("tenants/")) return container;
  ASSIGN_OR_RETURN(std::string parent, tenant());
  return parent + "/containers/" + container;
}

absl::StatusOr<Address> Context::ParseAddress(const std::string& text) {
  static constexpr char kContainers[] = "/containers/";
  size_t begin = 0;
  if (text.starts_with("tenants/")) {
    const size_t at = text.find(kContainers);
    if (at != std::string::npos) begin = at + sizeof(kContainers) - 1;
  }
  const size_t slash = text.find('/', begin);
  ASSIGN_OR_RETURN(std::string container, ContainerName(text.substr(0, slash)));
  return Address{std::move(container),
                 slash == std::string::npos ? std::string() : text.substr(slash + 1)};
}

void Context::Print(const std::string& text, const Json& value) {
  out_ << (json ? Dump(value) : text) << "\n";
}

}  // namespace meridian::cli
