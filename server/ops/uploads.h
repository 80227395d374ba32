// The operations on resumable uploads: one function a call of meridian.v1.UploadService; see
// objects.h. Of an upload's resource name they read what follows `/uploads/`: that the rest names
// the context's container is up to the caller. The object whose partition holds an upload is told
// by ObjectOfUpload.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "meridian/v1/uploads.pb.h"
#include "server/ops/byte_stream.h"
#include "server/ops/context.h"

namespace meridian::ops {

// NOT_FOUND: no upload can have this resource name.
absl::StatusOr<std::string> ObjectOfUpload(const std::string& upload_name);

absl::StatusOr<v1::Upload> StartUpload(const Context& context,
                                       const v1::StartUploadRequest& request);
// `source` delivers the bytes from `start.offset_bytes` on. Whatever it returned before an error is
// made durable, as far as possible.
absl::StatusOr<v1::WriteUploadResponse> WriteUpload(const Context& context,
                                                    const v1::WriteUploadStart& start,
                                                    ByteSource& source);
absl::StatusOr<v1::Upload> GetUpload(const Context& context, const v1::GetUploadRequest& request);
absl::StatusOr<v1::Object> FinishUpload(const Context& context,
                                        const v1::FinishUploadRequest& request);
absl::Status AbortUpload(const Context& context, const v1::AbortUploadRequest& request);
// As of lists of objects. The order is that of the partitions, and in each that of the ids.
absl::StatusOr<std::string> PlaceOf(const v1::ListUploadsRequest& request);
absl::StatusOr<v1::ListUploadsResponse> ListUploads(const Context& context,
                                                    const v1::ListUploadsRequest& request);

}  // namespace meridian::ops
