#include "client/internal/object_reader.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "client/internal/attempts.h"
#include "client/internal/stream.h"

namespace meridian::client_internal {
namespace {

bool IsReplaced(const absl::Status& status) {
  return status.code() == absl::StatusCode::kNotFound ||
         status.code() == absl::StatusCode::kFailedPrecondition;
}

}  // namespace

absl::StatusOr<v1::Object> ObjectReader::Run() {
  Attempts attempts(session_, {.what = "read object " + request_.name(),
                               .subject = {request_.container(), request_.name()},
                               .timeout = options_.timeout,
                               .repeatable = true,
                               .attempt_timeout = absl::ZeroDuration()});
  for (;;) {
    const std::shared_ptr<Endpoint> server = attempts.Begin();
    // Nothing of the body was given away: any version will do.
    if (received_bytes_ == 0) header_.reset();
    const bool resumed = header_.has_value();
    absl::Status status = Attempt(server->stubs(), attempts.attempt_timeout());
    if (!fatal_.ok()) return fatal_;
    const bool complete = header_ && received_bytes_ == header_->length_bytes();
    // A connection that broke after the last byte does no harm.
    if (complete && (status.ok() || Judge(status, true) != Verdict::kGiveUp)) break;
    if (received_bytes_ > furthest_bytes_) attempts.Progress();
    furthest_bytes_ = std::max(furthest_bytes_, received_bytes_);
    if (resumed && IsReplaced(status)) {
      RETURN_IF_ERROR(StartAgain());
      status = absl::UnavailableError("the object is replaced again and again while it is read");
    }
    if (!attempts.ShouldRetry(status)) return attempts.Explain(status);
  }
  if (absl::Status verified = Verify(); !verified.ok()) return verified;
  return header_->object();
}

absl::Status ObjectReader::Attempt(Stubs& stubs, absl::Duration step_timeout) {
  const v1::ReadObjectRequest request = NextRequest();
  ReceiveStream<v1::ReadObjectResponse> stream(
      session_,
      [&](grpc::ClientContext* context, grpc::CompletionQueue* queue) {
        return stubs.objects->PrepareAsyncReadObject(context, request, queue);
      },
      step_timeout);
  v1::ReadObjectResponse message;
  bool first = true;
  while (stream.Receive(&message)) {
    fatal_ = first ? TakeHeader(message.header()) : TakeData(message);
    if (!fatal_.ok()) break;
    first = false;
  }
  const absl::Status status = stream.Finish();
  // The server says that it sent everything, and the count disagrees.
  if (status.ok() && fatal_.ok() && (!header_ || received_bytes_ != header_->length_bytes())) {
    return absl::UnavailableError("the stream ended early");
  }
  return status;
}

v1::ReadObjectRequest ObjectReader::NextRequest() const {
  v1::ReadObjectRequest request = request_;
  if (!header_) return request;
  request.set_version_id(header_->object().version_id());
  request.set_if_match(header_->object().etag());
  request.mutable_range()->set_offset_bytes(header_->offset_bytes() + received_bytes_);
  request.mutable_range()->set_length_bytes(header_->length_bytes() - received_bytes_);
  return request;
}

absl::Status ObjectReader::StartAgain() {
  if (const absl::Status restarted = sink_.Restart(); !restarted.ok()) {
    return absl::AbortedError(absl::StrCat("object ", request_.name(),
                                           " was replaced while it was read, and what was read of "
                                           "it cannot be taken back (",
                                           restarted.message(), "); start again"));
  }
  header_.reset();
  received_bytes_ = 0;
  crc32c_ = 0;
  return absl::OkStatus();
}

absl::Status ObjectReader::TakeHeader(const v1::ReadHeader& header) {
  if (!header.has_object()) return absl::InternalError("the server sent no header");
  if (!header_) {
    header_ = header;
    return absl::OkStatus();
  }
  const bool same = header.object().version_id() == header_->object().version_id() &&
                    header.offset_bytes() == header_->offset_bytes() + received_bytes_ &&
                    header.length_bytes() == header_->length_bytes() - received_bytes_;
  if (!same) return absl::InternalError("the server resumed another read than was asked for");
  return absl::OkStatus();
}

absl::Status ObjectReader::TakeData(const v1::ReadObjectResponse& message) {
  const std::string& data = message.data();
  if (static_cast<int64_t>(data.size()) > header_->length_bytes() - received_bytes_) {
    return absl::InternalError("the server sent more than it announced");
  }
  if (message.has_data_crc32c() && Crc32c(data) != message.data_crc32c()) {
    return absl::DataLossError(absl::StrCat("object ", request_.name(), ": bytes from offset ",
                                            header_->offset_bytes() + received_bytes_,
                                            " were damaged on the way"));
  }
  crc32c_ = Crc32c(data, crc32c_);
  received_bytes_ += static_cast<int64_t>(data.size());
  return sink_.Write(data);
}

absl::Status ObjectReader::Verify() const {
  const v1::Object& object = header_->object();
  const bool whole = header_->offset_bytes() == 0 && header_->length_bytes() == object.size_bytes();
  if (!whole || crc32c_ == object.crc32c()) return absl::OkStatus();
  return absl::DataLossError(absl::StrCat("object ", object.name(), " version ",
                                          object.version_id(),
                                          ": its bytes do not have its checksum"));
}

}  // namespace meridian::client_internal
