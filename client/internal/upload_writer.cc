#include "client/internal/upload_writer.h"

#include <algorithm>
#include <limits>
#include <string_view>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "client/internal/error_details.h"
#include "client/internal/object_writer.h"
#include "client/internal/stream.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::client_internal {
namespace {

// Clearing up after a failure must not hold up the answer for long; the upload expires anyway.
constexpr absl::Duration kAbortTimeout = absl::Seconds(5);

}  // namespace

CallPlan UploadWriter::Plan(const char* verb) const {
  return {.what = absl::StrCat(verb, " upload of object ", spec_.name()),
          .subject = {spec_.container(), spec_.name()},
          .timeout = options_.timeout,
          .repeatable = true,
          .attempt_timeout = absl::ZeroDuration()};
}

absl::StatusOr<v1::Object> UploadWriter::Run() {
  RETURN_IF_ERROR(Start());
  absl::Status sent = SendAll();
  if (!sent.ok()) {
    Abort();
    return sent;
  }
  absl::StatusOr<v1::Object> object = Finish();
  if (!object.ok()) Abort();
  return object;
}

absl::Status UploadWriter::Start() {
  v1::StartUploadRequest request;
  *request.mutable_spec() = spec_;
  v1::Upload upload;
  RETURN_IF_ERROR(CallUnary(session_, Plan("start"), &Stubs::uploads,
                            &v1::UploadService::Stub::StartUpload, request, &upload));
  upload_ = upload.name();
  return absl::OkStatus();
}

absl::Status UploadWriter::SendAll() {
  Attempts attempts(session_, Plan("continue"));
  while (!ended_ || durable_bytes_ < body_bytes_) {
    const uint64_t durable_before = durable_bytes_;
    const std::shared_ptr<Endpoint> server = attempts.Begin();
    const absl::Status status = SendOnce(server->stubs(), attempts.attempt_timeout());
    if (!fatal_.ok()) return fatal_;
    if (!status.ok()) {
      const bool misplaced = DetailOf<v1::UploadOffset>(status).has_value();
      if (!misplaced && !attempts.ShouldRetry(status)) return attempts.Explain(status);
      RETURN_IF_ERROR(Resync(status));
      if (misplaced && durable_bytes_ == durable_before) {
        return absl::InternalError("the server refuses the offset that it names: " +
                                   std::string(FromAbsl(status.message())));
      }
    }
    if (durable_bytes_ > durable_before) attempts.Progress();
    if (replay_ != nullptr) replay_->Release(durable_bytes_);
  }
  return absl::OkStatus();
}

absl::Status UploadWriter::SendOnce(Stubs& stubs, absl::Duration step_timeout) {
  fatal_ = body_.Seek(durable_bytes_);
  if (!fatal_.ok()) return fatal_;
  sent_bytes_ = durable_bytes_;
  const uint64_t limit = replay_ == nullptr ? std::numeric_limits<uint64_t>::max()
                                            : durable_bytes_ + replay_->capacity();
  using Stream = SendStream<v1::WriteUploadRequest, v1::WriteUploadResponse>;
  Stream stream(
      session_,
      [&](grpc::ClientContext* context, v1::WriteUploadResponse* response,
          grpc::CompletionQueue* queue) {
        return stubs.uploads->PrepareAsyncWriteUpload(context, response, queue);
      },
      step_timeout);
  v1::WriteUploadRequest message;
  message.mutable_start()->set_upload(upload_);
  message.mutable_start()->set_offset_bytes(static_cast<int64_t>(durable_bytes_));
  // The next message is looked at before one is sent, since the last one ends the stream.
  bool open = true;
  bool last = false;
  while (open && !last) {
    v1::WriteUploadRequest next;
    fatal_ = NextMessage(next, limit);
    last = !fatal_.ok() || next.data().empty();
    open = fatal_.ok() && stream.Send(message, last);
    message = std::move(next);
  }
  v1::WriteUploadResponse response;
  absl::Status status = stream.Finish(/*complete=*/open, &response);
  if (!fatal_.ok()) return fatal_;
  if (!status.ok()) return status;
  durable_bytes_ = static_cast<uint64_t>(response.durable_size_bytes());
  if (durable_bytes_ != sent_bytes_) {
    return absl::InternalError("the server kept another number of bytes than it was sent");
  }
  return absl::OkStatus();
}

absl::Status UploadWriter::NextMessage(v1::WriteUploadRequest& message, uint64_t limit) {
  std::string& data = *message.mutable_data();
  data.resize(std::min<uint64_t>(kMaxMessageBytes, limit - sent_bytes_));
  if (data.empty()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const size_t count, ReadFull(body_, std::span<char>(data.data(), data.size())));
  if (count < data.size()) {
    ended_ = true;
    body_bytes_ = sent_bytes_ + count;
  }
  data.resize(count);
  const uint64_t end = sent_bytes_ + count;
  if (end > summed_bytes_) {
    crc32c_ = Crc32c(std::string_view(data).substr(summed_bytes_ - sent_bytes_), crc32c_);
    summed_bytes_ = end;
  }
  sent_bytes_ = end;
  return absl::OkStatus();
}

absl::Status UploadWriter::Resync(const absl::Status& failure) {
  uint64_t durable = 0;
  if (auto offset = DetailOf<v1::UploadOffset>(failure)) {
    durable = static_cast<uint64_t>(offset->durable_size_bytes());
  } else {
    v1::GetUploadRequest request;
    request.set_name(upload_);
    v1::Upload upload;
    RETURN_IF_ERROR(CallUnary(session_, Plan("resume"), &Stubs::uploads,
                              &v1::UploadService::Stub::GetUpload, request, &upload));
    durable = static_cast<uint64_t>(upload.durable_size_bytes());
  }
  if (durable < durable_bytes_ || durable > summed_bytes_) {
    return absl::DataLossError(absl::StrCat(
        "upload of object ", spec_.name(), ": the server holds ", durable, " bytes, which is ",
        durable < durable_bytes_ ? "less than it had acknowledged" : "more than it was sent"));
  }
  durable_bytes_ = durable;
  return absl::OkStatus();
}

absl::StatusOr<v1::Object> UploadWriter::Finish() {
  v1::FinishUploadRequest request;
  request.set_name(upload_);
  request.set_size_bytes(static_cast<int64_t>(body_bytes_));
  request.set_crc32c(crc32c_);
  *request.mutable_request_id() = session_.DrawRequestId();
  v1::Object object;
  RETURN_IF_ERROR(CallUnary(session_, Plan("finish"), &Stubs::uploads,
                            &v1::UploadService::Stub::FinishUpload, request, &object));
  return object;
}

void UploadWriter::Abort() {
  v1::AbortUploadRequest request;
  request.set_name(upload_);
  *request.mutable_request_id() = session_.DrawRequestId();
  google::protobuf::Empty response;
  CallPlan plan = Plan("abort");
  plan.timeout = kAbortTimeout;
  // Best effort: the failure that led here is what the caller must hear of, and the upload expires.
  CallUnary(session_, plan, &Stubs::uploads, &v1::UploadService::Stub::AbortUpload, request,
            &response)
      .IgnoreError();
}

}  // namespace meridian::client_internal
