// Reads a node's configuration file.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "meridian/internal/v1/node_config.pb.h"

namespace meridian::server {

// Complete and free of contradictions; all paths absolute or relative to the working directory;
// advertise, etcd.tls and memory filled in. INVALID_ARGUMENT: file, line and column where it cannot
// be read, or the field that is missing or wrong, and what to do. Nothing but the file is looked
// at.
absl::StatusOr<internal::v1::NodeConfig> ParseNodeConfig(std::string_view text,
                                                         const std::string& path);
// The same of a file; NOT_FOUND, PERMISSION_DENIED.
absl::StatusOr<internal::v1::NodeConfig> ReadNodeConfig(const std::string& path);

}  // namespace meridian::server
