#include "server/handlers/bodies.h"

#include "base/crc32c.h"
#include "base/status.h"
#include "server/errors.h"
#include "server/telemetry/call_record.h"

namespace meridian::server {
namespace {

absl::Status BadStream(const std::string& message) {
  return Error(absl::StatusCode::kInvalidArgument, v1::INVALID_STREAM, message);
}

absl::Status ClientIsGone() { return absl::CancelledError("the client has gone"); }

absl::StatusOr<std::optional<Buffer>> Piece(std::string* data) {
  if (data->empty() || data->size() > kMaxPieceBytes) {
    return BadStream("a message with data must hold 1 byte to 1 MiB");
  }
  if (CallRecord* const call = CallRecord::Current()) call->Received(data->size());
  return std::optional(Buffer::FromString(std::move(*data)));
}

}  // namespace

absl::StatusOr<std::optional<Buffer>> WholeSource::Next() {
  if (body_.empty()) return std::optional<Buffer>();
  return std::optional(Buffer::FromString(std::exchange(body_, {})));
}

absl::StatusOr<std::optional<Buffer>> WriteObjectSource::Next() {
  if (finished_) return std::optional<Buffer>();
  if (!stream_.Wait([this] { return reader_.Read(&message_); })) {
    if (stream_.IsCancelled()) return ClientIsGone();
    return BadStream("the stream ended without a finish message");
  }
  RETURN_IF_ERROR(stream_.CheckKey());
  if (message_.has_finish()) {
    if (message_.finish().has_crc32c()) crc32c_ = message_.finish().crc32c();
    finished_ = true;
    if (stream_.Wait([this] { return reader_.Read(&message_); })) {
      return BadStream("nothing may follow the finish message");
    }
    RETURN_IF_ERROR(stream_.CheckKey());
    return std::optional<Buffer>();
  }
  if (!message_.has_data()) return BadStream("after spec only data and finish may come");
  return Piece(message_.mutable_data());
}

absl::StatusOr<std::optional<Buffer>> WriteUploadSource::Next() {
  if (!stream_.Wait([this] { return reader_.Read(&message_); })) {
    // A half-closed stream is complete; a broken one is cancelled.
    if (stream_.IsCancelled()) return ClientIsGone();
    RETURN_IF_ERROR(stream_.CheckKey());
    return std::optional<Buffer>();
  }
  RETURN_IF_ERROR(stream_.CheckKey());
  if (!message_.has_data()) return BadStream("after start only data may come");
  return Piece(message_.mutable_data());
}

absl::Status ReadObjectSink::Begin(const v1::ReadHeader& header) {
  *message_.mutable_header() = header;
  return Send();
}

absl::Status ReadObjectSink::Write(Buffer bytes) {
  if (CallRecord* const call = CallRecord::Current()) call->Sent(bytes.size());
  message_.set_data(bytes.view().data(), bytes.size());
  message_.set_data_crc32c(Crc32c(bytes.view()));
  return Send();
}

absl::Status ReadObjectSink::Send() {
  RETURN_IF_ERROR(stream_.CheckKey());
  if (!stream_.Wait([this] { return writer_.Write(message_); })) return ClientIsGone();
  return absl::OkStatus();
}

}  // namespace meridian::server
