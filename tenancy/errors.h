// Errors that programs tell apart: a canonical code, a message, and as payloads the details of
// meridian/v1/errors.proto, by type URL, as a google.rpc.Status carries them.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"

namespace meridian::tenancy {

enum class Resource { kTenant, kAccessKey, kContainer };

// `name`: the resource name as it stood in the request. The same for a foreign resource and for one
// that does not exist (I8).
absl::Status MissingError(Resource resource, std::string_view name);
absl::Status ExistsError(std::string_view name);
absl::Status NotEmptyError(std::string_view message);
// FAILED_PRECONDITION.
absl::Status ConversionUnderWayError(std::string_view message);
absl::Status NoConversionError(std::string_view message);
absl::Status RedundancyUnchangedError(std::string_view message);
absl::Status InvalidNameError(std::string_view field, std::string_view message);
absl::Status InvalidFieldError(std::string_view field, std::string_view message);
absl::Status InvalidPageTokenError();
// Of the coordination store, which says that it has no space.
absl::Status StoreFullError(const absl::Status& status);
// One answer for every key that does not open (none, malformed, unknown, wrong, revoked).
absl::Status InvalidAccessKeyError();
absl::Status AdministratorOnlyError();
absl::Status TenantOnlyError();

// Resource names.
std::string TenantResourceName(std::string_view tenant);
std::string ContainerResourceName(std::string_view tenant, std::string_view container);
std::string AccessKeyResourceName(std::string_view tenant, std::string_view key);

}  // namespace meridian::tenancy
