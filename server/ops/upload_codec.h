// Uploads as they are stored, and as clients name and see them.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "crypto/container_keys.h"
#include "meridian/v1/uploads.pb.h"
#include "server/ops/context.h"
#include "server/ops/errors.h"
#include "storage/kv.h"
#include "storage/objects/records.h"

namespace meridian::ops {

namespace pb = ::meridian::internal::v1;

// An upload whose record has been authenticated and opened.
struct Upload {
  UploadId id;
  pb::UploadRecord record;
  pb::SealedUploadPlan plan;
  // Of the KEK that its record was made under.
  std::shared_ptr<const crypto::ContainerKeys> keys;
};

// What an upload's resource name says: `{container}/uploads/{id, 32 hex digits}.{object name in
// base64 for URLs}`, so that every call on it knows which partition holds it.
struct UploadHandle {
  UploadId id;
  std::string object_name;
};
// Of the resource name's last segment: NOT_FOUND if no upload can have this name.
absl::StatusOr<UploadHandle> ParseUploadName(const std::string& name);
std::string UploadName(const Context& context, const UploadHandle& upload);
Subject UploadSubject(const Context& context, const UploadHandle& upload);

// Over what does not change while an upload goes on, and over what does (P20): see UploadRecord.
std::string UploadMac(const crypto::ContainerKeys& keys, const pb::UploadRecord& record);
std::string UploadProgressMac(const crypto::ContainerKeys& keys, const pb::UploadRecord& record);

// DATA_LOSS (CORRUPT) if the record is not authentic.
absl::StatusOr<Upload> OpenUpload(const Context& context, pb::UploadRecord record);
// NOT_FOUND if there is none, or it has expired.
absl::StatusOr<Upload> FindUpload(const Context& context, const storage::KvReader& view,
                                  const UploadHandle& upload);

v1::Upload ToUpload(const Context& context, const Upload& upload);

}  // namespace meridian::ops
