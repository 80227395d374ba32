#include "server/resource_names.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "base/status.h"
#include "server/errors.h"

namespace meridian::server {
namespace {

// The parts of collection/id/collection/id...; nullopt if a collection differs or an id is empty.
std::optional<std::vector<std::string>> Ids(std::string_view name,
                                            const std::vector<std::string>& collections) {
  const std::vector<std::string> parts = absl::StrSplit(ToAbsl(name), '/');
  if (parts.size() != 2 * collections.size()) return std::nullopt;
  std::vector<std::string> ids;
  for (size_t i = 0; i < collections.size(); ++i) {
    if (parts[2 * i] != collections[i] || parts[2 * i + 1].empty()) return std::nullopt;
    ids.push_back(parts[2 * i + 1]);
  }
  return ids;
}

absl::Status Malformed(const std::string& field, std::string_view form) {
  return InvalidField(field, absl::StrCat("must be of the form ", ToAbsl(form)));
}

}  // namespace

absl::StatusOr<std::string> ParseTenantName(const std::string& field, std::string_view name) {
  const auto ids = Ids(name, {"tenants"});
  if (!ids) return Malformed(field, "tenants/{tenant}");
  return (*ids)[0];
}

absl::StatusOr<ContainerPath> ParseContainerName(const std::string& field, std::string_view name) {
  const auto ids = Ids(name, {"tenants", "containers"});
  if (!ids) return Malformed(field, "tenants/{tenant}/containers/{container}");
  return ContainerPath{(*ids)[0], (*ids)[1]};
}

absl::StatusOr<AccessKeyPath> ParseAccessKeyName(const std::string& field, std::string_view name) {
  const auto ids = Ids(name, {"tenants", "accessKeys"});
  if (!ids) return Malformed(field, "tenants/{tenant}/accessKeys/{key}");
  return AccessKeyPath{(*ids)[0], (*ids)[1]};
}

}  // namespace meridian::server
