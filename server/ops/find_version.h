// Looking a version up for a client.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "server/ops/context.h"
#include "server/ops/version_codec.h"
#include "storage/kv.h"

namespace meridian::ops {

// The version that `version_id` (hex) names, or the current one if that is empty, opened.
// NOT_FOUND; FAILED_PRECONDITION (IS_DELETE_MARKER) if a version id names a delete marker.
absl::StatusOr<Version> FindVersion(const Context& context, const storage::KvReader& view,
                                    const std::string& name, const std::string& version_id);

// As FindVersion in a confirmed view, and PRECONDITION_FAILED unless `if_match` is empty or its
// etag.
absl::StatusOr<Version> ReadVersion(const Context& context, const std::string& name,
                                    const std::string& version_id, const std::string& if_match);

// A version whose chunks stay while it lives.
struct PinnedVersion {
  Version version;
  std::vector<std::shared_ptr<void>> pins;
};
absl::StatusOr<PinnedVersion> ReadPinnedVersion(const Context& context, const std::string& name,
                                                const std::string& version_id,
                                                const std::string& if_match);

}  // namespace meridian::ops
