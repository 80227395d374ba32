#include "server/ops/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "base/status.h"
#include "replication/replica.h"
#include "server/errors.h"

namespace meridian::ops {
namespace {

using internal::v1::Outcome;
using server::Error;

template <typename Detail>
absl::Status WithDetail(absl::Status status, const Detail& detail) {
  status.SetPayload(absl::StrCat("type.googleapis.com/", detail.GetTypeName()),
                    absl::Cord(detail.SerializeAsString()));
  return status;
}

// A payload for this process only.
constexpr char kMovedUrl[] = "meridian.moved";

std::string KindName(v1::ResourceMissing::Kind kind) {
  switch (kind) {
    case v1::ResourceMissing::VERSION:
      return "version";
    case v1::ResourceMissing::UPLOAD:
      return "upload";
    default:
      return "object";
  }
}

}  // namespace

absl::Status Missing(const Subject& subject) {
  v1::ResourceMissing detail;
  detail.set_kind(subject.kind);
  detail.set_name(subject.name);
  return WithDetail(Error(absl::StatusCode::kNotFound, v1::RESOURCE_MISSING,
                          absl::StrCat(KindName(subject.kind), " not found: ", subject.name)),
                    detail);
}

absl::Status IsDeleteMarker(const std::string& name) {
  return Error(absl::StatusCode::kFailedPrecondition, v1::IS_DELETE_MARKER,
               absl::StrCat("the version of ", name, " is a delete marker: it has no content"));
}

absl::Status PreconditionFailed(const std::string& name, const std::string& current_etag) {
  v1::PreconditionFailed detail;
  detail.set_current_etag(current_etag);
  const std::string state = current_etag.empty() ? std::string("it does not exist")
                                                 : absl::StrCat("its etag is ", current_etag);
  return WithDetail(Error(absl::StatusCode::kFailedPrecondition, v1::PRECONDITION_FAILED,
                          absl::StrCat("the condition on ", name, " does not hold: ", state)),
                    detail);
}

absl::Status UploadOffset(uint64_t durable_size_bytes) {
  v1::UploadOffset detail;
  detail.set_durable_size_bytes(static_cast<int64_t>(durable_size_bytes));
  return WithDetail(Error(absl::StatusCode::kOutOfRange, v1::UPLOAD_OFFSET,
                          absl::StrCat("the upload goes on at byte ", durable_size_bytes,
                                       "; another stream may have taken it over")),
                    detail);
}

absl::Status SizeMismatch(uint64_t declared, uint64_t received) {
  return Error(absl::StatusCode::kInvalidArgument, v1::SIZE_MISMATCH,
               absl::StrCat("declared ", declared, " bytes, received ", received,
                            received > declared ? " or more" : "", "; nothing was written"),
               {{"declared", absl::StrCat(declared)}, {"received", absl::StrCat(received)}});
}

absl::Status ChecksumMismatch(uint32_t declared, uint32_t computed) {
  const std::string want = absl::StrFormat("%08x", declared);
  const std::string got = absl::StrFormat("%08x", computed);
  return Error(absl::StatusCode::kInvalidArgument, v1::CHECKSUM_MISMATCH,
               absl::StrCat("declared CRC-32C ", want, ", the received bytes have ", got,
                            "; nothing was written"),
               {{"declared", want}, {"computed", got}});
}

absl::Status InvalidPageToken() {
  return Error(absl::StatusCode::kInvalidArgument, v1::INVALID_PAGE_TOKEN,
               "page_token: not one of this container, or of a list with other parameters");
}

absl::Status WithCorruptReason(const absl::Status& status) {
  return absl::IsDataLoss(status) ? server::WithReason(status, v1::CORRUPT) : status;
}

absl::Status Moved() {
  absl::Status status = Error(absl::StatusCode::kUnavailable, v1::NO_LEADER,
                              "the container's partitions are changing; nothing was done");
  status.SetPayload(kMovedUrl, absl::Cord());
  return status;
}

bool IsMoved(const absl::Status& status) { return status.GetPayload(kMovedUrl).has_value(); }

absl::Status WithoutMark(absl::Status status) {
  status.ErasePayload(kMovedUrl);
  return status;
}

absl::Status ToStatus(const Outcome& outcome, const Subject& subject) {
  switch (outcome.code()) {
    case Outcome::OK:
      return absl::OkStatus();
    case Outcome::PRECONDITION_FAILED:
      return PreconditionFailed(subject.name, outcome.current_etag());
    case Outcome::OBJECT_NOT_FOUND:
    case Outcome::VERSION_NOT_FOUND:
    case Outcome::UPLOAD_NOT_FOUND:
      return Missing(subject);
    case Outcome::IS_DELETE_MARKER:
      return IsDeleteMarker(subject.name);
    case Outcome::REQUEST_ID_REUSED:
      return Error(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_REUSED,
                   "request_id was used before for a different request: draw a new one");
    case Outcome::REQUEST_ID_EXPIRED:
      return Error(absl::StatusCode::kInvalidArgument, v1::REQUEST_ID_EXPIRED,
                   "request_id.create_time is too old or too far in the future: look what the "
                   "request did, then draw a new id");
    case Outcome::REQUESTS_EXHAUSTED:
      return Error(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                   "too many request ids are remembered: retry later");
    case Outcome::RUN_REFUSED:
      return Error(absl::StatusCode::kUnavailable, v1::NO_QUORUM,
                   "the body was given up while leaders changed; nothing was written: retry");
    case Outcome::SOURCE_CHANGED:
      return Error(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                   absl::StrCat(subject.name, " keeps changing; nothing was done: retry"));
    case Outcome::UPLOAD_OFFSET:
    case Outcome::UPLOAD_SUPERSEDED:
      return UploadOffset(outcome.durable_size_bytes());
    case Outcome::MOVED:
      return Moved();
    case Outcome::TOO_MANY_RUNS:
      return Error(absl::StatusCode::kResourceExhausted, v1::OVERLOADED,
                   "the upload was resumed too often: abort it and start a new one");
    default:
      return absl::InternalError(
          absl::StrCat("refused by the state machine: ", Outcome::Code_Name(outcome.code())));
  }
}

absl::Status DeadlineExceeded(const std::string& doing) {
  return absl::DeadlineExceededError(
      absl::StrCat(doing, ": no answer before the call's deadline; a write may have taken effect"));
}

absl::Status FromReplica(const absl::Status& status, const std::string& doing) {
  if (absl::IsUnavailable(status)) {
    return server::WithReason(Annotate(status, doing), v1::NO_QUORUM);
  }
  if (absl::IsResourceExhausted(status)) {
    return server::WithReason(Annotate(status, doing), v1::OVERLOADED);
  }
  return WithCorruptReason(Annotate(status, doing));
}

absl::Status FromChunkWrite(const absl::Status& status) {
  const std::string doing = "store the body";
  if (!replication::IsDiskFull(status)) return FromReplica(status, doing);
  absl::Status full = Annotate(status, doing);
  full.ErasePayload(replication::kDiskFullPayload);
  return server::WithReason(full, v1::DISK_FULL);
}

absl::Status FromChunkRead(const absl::Status& status) {
  if (absl::IsNotFound(status)) {
    return WithCorruptReason(absl::DataLossError("read the body: no replica holds a chunk of it"));
  }
  return FromReplica(status, "read the body");
}

}  // namespace meridian::ops
