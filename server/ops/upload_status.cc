// GetUpload, AbortUpload, ListUploads.
#include <algorithm>
#include <array>
#include <memory>
#include <optional>
#include <utility>

#include "absl/time/clock.h"
#include "base/status.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/page_token.h"
#include "server/ops/replica_calls.h"
#include "server/ops/request_digest.h"
#include "server/ops/upload_codec.h"
#include "server/ops/uploads.h"
#include "storage/objects/object_reader.h"

namespace meridian::ops {
namespace {

constexpr size_t kDefaultPageSize = 100;
constexpr size_t kMaxPageSize = 1000;
// Records read at a time (each has up to 1000 runs), and when a page ends early.
constexpr size_t kStepSize = 16;
constexpr size_t kMaxPageBytes = 2 << 20;

}  // namespace

absl::StatusOr<v1::Upload> GetUpload(const Context& context, const v1::GetUploadRequest& request) {
  ASSIGN_OR_RETURN(const UploadId id, ParseUploadName(request.name()));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(const Upload upload, FindUpload(context, *view, id));
  return ToUpload(context, upload);
}

absl::Status AbortUpload(const Context& context, const v1::AbortUploadRequest& request) {
  ASSIGN_OR_RETURN(const UploadId id, ParseUploadName(request.name()));
  pb::Command command = NewCommand(context);
  if (request.has_request_id()) {
    ASSIGN_OR_RETURN(*command.mutable_request(),
                     ParseRequestId(request.request_id(),
                                    RequestDigest("abort upload").Add(id.bytes()).Finish()));
  }
  command.mutable_abort_upload()->set_upload_id(std::string(id.bytes()));
  ASSIGN_OR_RETURN(const pb::Outcome outcome, Propose(context, command));
  return ToStatus(outcome, UploadSubject(context, id));
}

absl::StatusOr<v1::ListUploadsResponse> ListUploads(const Context& context,
                                                    const v1::ListUploadsRequest& request) {
  ASSIGN_OR_RETURN(const size_t page_size,
                   ParsePageSize(request.page_size(), kDefaultPageSize, kMaxPageSize));
  const std::array<std::string_view, 1> parameters = {"uploads"};
  std::optional<UploadId> after;
  if (!request.page_token().empty()) {
    ASSIGN_OR_RETURN(const std::string position,
                     DecodePageToken(*context.keys, parameters, request.page_token()));
    ASSIGN_OR_RETURN(after, objects::DecodeId<UploadId>(position));
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  const int64_t now_us = absl::ToUnixMicros(absl::Now());
  v1::ListUploadsResponse response;
  size_t listed = 0;  // with the expired ones, so that the work of a page is bounded as well
  do {
    const size_t step = std::min(kStepSize, page_size - listed);
    ASSIGN_OR_RETURN(objects::ListUploadsPage page,
                     objects::ObjectReader(*view).ListUploads(after, step));
    listed += page.uploads.size();
    for (pb::UploadRecord& record : page.uploads) {
      // Expired, and not cleaned up yet.
      if (record.expire_time_us() <= now_us) continue;
      ASSIGN_OR_RETURN(const Upload upload, OpenUpload(context, std::move(record)));
      *response.add_uploads() = ToUpload(context, upload);
    }
    after = page.next;
  } while (after.has_value() && listed < page_size && response.ByteSizeLong() < kMaxPageBytes);
  if (after.has_value()) {
    response.set_next_page_token(EncodePageToken(*context.keys, parameters, after->bytes()));
  }
  return response;
}

}  // namespace meridian::ops
