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

// Of a page token's MAC.
constexpr std::array<std::string_view, 1> kParameters = {"uploads 2"};

// Where a page begins: the partition of a name, and after a 0x00 the upload there that was the last
// one of the page before.
absl::StatusOr<std::string> PositionOf(const Context& context,
                                       const v1::ListUploadsRequest& request) {
  if (request.page_token().empty()) return std::string();
  return DecodePageToken(*context.keys, kParameters, request.page_token());
}

absl::StatusOr<std::optional<UploadId>> LastOf(std::string_view position) {
  const size_t end = position.find('\0');
  if (end == std::string_view::npos) return std::optional<UploadId>();
  ASSIGN_OR_RETURN(const UploadId last,
                   objects::DecodeId<UploadId>(std::string(position.substr(end + 1))));
  return std::optional(last);
}

}  // namespace

absl::StatusOr<v1::Upload> GetUpload(const Context& context, const v1::GetUploadRequest& request) {
  ASSIGN_OR_RETURN(const UploadHandle handle, ParseUploadName(request.name()));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(const Upload upload, FindUpload(context, *view, handle));
  return ToUpload(context, upload);
}

absl::Status AbortUpload(const Context& context, const v1::AbortUploadRequest& request) {
  ASSIGN_OR_RETURN(const UploadHandle handle, ParseUploadName(request.name()));
  pb::Command command = NewCommand(context);
  if (request.has_request_id()) {
    ASSIGN_OR_RETURN(*command.mutable_request(),
                     ParseRequestId(request.request_id(),
                                    RequestDigest("abort upload").Add(handle.id.bytes()).Finish()));
  }
  command.mutable_abort_upload()->set_upload_id(std::string(handle.id.bytes()));
  command.mutable_abort_upload()->set_object_name(handle.object_name);
  ASSIGN_OR_RETURN(const pb::Outcome outcome, Propose(context, command));
  return ToStatus(outcome, UploadSubject(context, handle));
}

absl::StatusOr<std::string> PlaceOf(const v1::ListUploadsRequest& request) {
  if (request.page_token().empty()) return std::string();
  return UnverifiedNameOf(request.page_token());
}

absl::StatusOr<v1::ListUploadsResponse> ListUploads(const Context& context,
                                                    const v1::ListUploadsRequest& request) {
  ASSIGN_OR_RETURN(const size_t page_size,
                   ParsePageSize(request.page_size(), kDefaultPageSize, kMaxPageSize));
  ASSIGN_OR_RETURN(const std::string position, PositionOf(context, request));
  ASSIGN_OR_RETURN(std::optional<UploadId> after, LastOf(position));
  const std::string place(NameOfPosition(position));
  ASSIGN_OR_RETURN(const std::unique_ptr<storage::KvReader> view,
                   ConfirmedView(*context.replica, context.deadline));
  ASSIGN_OR_RETURN(const std::string end, OwnedEnd(context, *view, place));
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
  std::optional<std::string> next = NextPartition({}, end);
  if (after.has_value()) next = place + '\0' + std::string(after->bytes());
  if (next.has_value()) {
    response.set_next_page_token(EncodePageToken(*context.keys, kParameters, *next));
  }
  return response;
}

}  // namespace meridian::ops
