// What tenants, containers and the texts about them may be called.
#pragma once

#include <string_view>

#include "absl/status/status.h"

namespace meridian::tenancy {

// 1-63 characters of [a-z0-9-], the first a letter or digit. INVALID_ARGUMENT says which rule is
// broken.
absl::Status CheckTenantName(std::string_view name);
absl::Status CheckContainerName(std::string_view name);
// At most 256 bytes of UTF-8.
absl::Status CheckDisplayName(std::string_view text);

}  // namespace meridian::tenancy
