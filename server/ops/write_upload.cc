#include <memory>
#include <utility>

#include "base/status.h"
#include "server/ops/errors.h"
#include "server/ops/replica_calls.h"
#include "server/ops/upload_codec.h"
#include "server/ops/upload_stream.h"
#include "server/ops/uploads.h"

namespace meridian::ops {

absl::StatusOr<v1::WriteUploadResponse> WriteUpload(const Context& context,
                                                    const v1::WriteUploadStart& start,
                                                    ByteSource& source) {
  ASSIGN_OR_RETURN(const UploadHandle handle, ParseUploadName(start.upload()));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(Upload upload, FindUpload(context, *view, handle));
  const uint64_t durable = upload.record.durable_size_bytes();
  if (start.offset_bytes() < 0 || static_cast<uint64_t>(start.offset_bytes()) != durable) {
    return UploadOffset(durable);
  }
  const absl::StatusOr<crypto::SecretKey> dek = upload.keys->UnwrapDek(upload.record.wrapped_dek());
  if (!dek.ok()) return WithCorruptReason(dek.status());
  UploadStream stream(context, std::move(upload), *dek);
  RETURN_IF_ERROR(stream.TakeOver());
  RETURN_IF_ERROR(stream.CopyFrom(source));
  v1::WriteUploadResponse response;
  response.set_durable_size_bytes(static_cast<int64_t>(stream.durable_size_bytes()));
  return response;
}

}  // namespace meridian::ops
