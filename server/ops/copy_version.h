// Making a new version of the bytes of one that exists.
#pragma once

#include <functional>
#include <string>

#include "absl/status/statusor.h"
#include "meridian/v1/objects.pb.h"
#include "server/ops/context.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {

struct CopyRequest {
  std::string name;
  // Empty: the current version, which must still be that when the copy commits.
  std::string source_version_id;
  // Condition and request stamp are set; the rest is not read.
  pb::Command command;
  // Changes the copy's metadata.
  std::function<void(pb::SealedMetadata&)> change;
};

// Proposes anew, a few times, while the source changes in between.
absl::StatusOr<v1::Object> CopyVersion(const Context& context, const CopyRequest& request);

}  // namespace meridian::ops
