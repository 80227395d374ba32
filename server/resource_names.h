// Resource names of the public API, taken apart.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace meridian::server {

// `tenants/{tenant}`: the tenant's name. INVALID_ARGUMENT, naming `field`.
absl::StatusOr<std::string> ParseTenantName(const std::string& field, std::string_view name);

struct ContainerPath {
  std::string tenant;
  std::string container;
};
// `tenants/{tenant}/containers/{container}`.
absl::StatusOr<ContainerPath> ParseContainerName(const std::string& field, std::string_view name);

struct AccessKeyPath {
  std::string tenant;
  std::string key;
};
// `tenants/{tenant}/accessKeys/{key}`.
absl::StatusOr<AccessKeyPath> ParseAccessKeyName(const std::string& field, std::string_view name);

}  // namespace meridian::server
