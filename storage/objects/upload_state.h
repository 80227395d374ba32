// Uploads in progress, as commands change them.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"
#include "storage/objects/apply_context.h"

namespace meridian::objects {

// nullopt also if it has expired, or moved in a split, and only its row is still there.
absl::StatusOr<std::optional<pb::UploadRecord>> LiveUpload(const ApplyContext& context,
                                                           std::string_view upload_id);

// Gives the runs of an upload back and refuses them from now on (P8); forgets the upload, without
// its place in the expiry queue. No effect if there is none, or it has moved.
absl::Status DiscardUpload(ApplyContext& context, UploadId upload);

}  // namespace meridian::objects
