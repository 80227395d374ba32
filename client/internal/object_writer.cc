#include "client/internal/object_writer.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "client/internal/attempts.h"
#include "client/internal/replay_source.h"
#include "client/internal/stream.h"
#include "client/internal/upload_writer.h"

namespace meridian::client_internal {
namespace {

CallPlan PlanOf(const v1::WriteSpec& spec, const CallOptions& options) {
  return {.what = "write object " + spec.name(),
          .subject = {spec.container(), spec.name()},
          .timeout = options.timeout,
          .repeatable = true,
          .attempt_timeout = absl::ZeroDuration()};
}

absl::StatusOr<v1::Object> PutInOneMessage(Session& session, v1::WriteSpec spec, std::string data,
                                           const CallOptions& options) {
  const CallPlan plan = PlanOf(spec, options);
  v1::PutObjectRequest request;
  if (!spec.has_crc32c()) spec.set_crc32c(Crc32c(data));
  if (!spec.has_size_bytes()) spec.set_size_bytes(static_cast<int64_t>(data.size()));
  *request.mutable_spec() = std::move(spec);
  request.set_data(std::move(data));
  v1::Object object;
  RETURN_IF_ERROR(CallUnary(session, plan, &Stubs::objects, &v1::ObjectService::Stub::PutObject,
                            request, &object));
  return object;
}

// One attempt: from the source's beginning. `source_error` is set if it is the source that failed.
absl::Status StreamOnce(Session& session, Stubs& stubs, absl::Duration step_timeout,
                        const v1::WriteSpec& spec, ByteSource& body, absl::Status* source_error,
                        v1::Object* object) {
  *source_error = body.Seek(0);
  if (!source_error->ok()) return *source_error;
  using Stream = SendStream<v1::WriteObjectRequest, v1::Object>;
  Stream stream(
      session,
      [&](grpc::ClientContext* context, v1::Object* response, grpc::CompletionQueue* queue) {
        return stubs.objects->PrepareAsyncWriteObject(context, response, queue);
      },
      step_timeout);
  v1::WriteObjectRequest message;
  *message.mutable_spec() = spec;
  bool open = stream.Send(message);
  uint32_t crc32c = 0;
  while (open) {
    // Sending copies the message, so the next part is read while this one is on its way.
    std::string& data = *message.mutable_data();
    data.resize(kMaxMessageBytes);
    absl::StatusOr<size_t> count = ReadFull(body, std::span<char>(data.data(), data.size()));
    if (!count.ok()) {
      *source_error = count.status();
      v1::Object none;
      stream.Finish(/*complete=*/false, &none).IgnoreError();
      return *source_error;
    }
    if (*count == 0) break;
    data.resize(*count);
    crc32c = Crc32c(data, crc32c);
    open = stream.Send(message);
  }
  message.mutable_finish()->set_crc32c(crc32c);
  if (open) open = stream.Send(message, /*last=*/true);
  return stream.Finish(/*complete=*/open, object);
}

absl::StatusOr<v1::Object> WriteRepeating(Session& session, const v1::WriteSpec& spec,
                                          ByteSource& body, const CallOptions& options) {
  Attempts attempts(session, PlanOf(spec, options));
  for (;;) {
    const std::shared_ptr<Endpoint> server = attempts.Begin();
    absl::Status source_error;
    v1::Object object;
    const absl::Status status = StreamOnce(session, server->stubs(), attempts.attempt_timeout(),
                                           spec, body, &source_error, &object);
    if (!source_error.ok()) return source_error;
    if (status.ok()) return object;
    if (!attempts.ShouldRetry(status)) return attempts.Explain(status);
  }
}

}  // namespace

absl::StatusOr<size_t> ReadFull(ByteSource& source, std::span<char> out) {
  size_t filled = 0;
  while (filled < out.size()) {
    absl::StatusOr<size_t> count = source.Read(out.subspan(filled));
    if (!count.ok()) return count.status();
    if (*count == 0) break;
    filled += *count;
  }
  return filled;
}

absl::StatusOr<v1::Object> WriteWholeObject(Session& session, v1::WriteSpec spec, ByteSource& body,
                                            const CallOptions& options) {
  if (!spec.has_request_id()) *spec.mutable_request_id() = session.DrawRequestId();
  // One byte more than a message tells whether it is all.
  std::string head;
  head.resize(std::min<uint64_t>(body.size().value_or(kMaxMessageBytes), kMaxMessageBytes) + 1);
  ASSIGN_OR_RETURN(const size_t count, ReadFull(body, std::span<char>(head.data(), head.size())));
  if (count < head.size() && count <= kMaxMessageBytes) {
    head.resize(count);
    return PutInOneMessage(session, std::move(spec), std::move(head), options);
  }
  if (!body.seekable()) {
    ReplaySource replay(std::move(head), body, kReplayBytes);
    return UploadWriter(session, std::move(spec), replay, &replay, options).Run();
  }
  RETURN_IF_ERROR(body.Seek(0));
  if (body.size() && !spec.has_size_bytes()) {
    spec.set_size_bytes(static_cast<int64_t>(*body.size()));
  }
  if (body.size().value_or(kMaxRepeatedBytes + 1) <= kMaxRepeatedBytes) {
    return WriteRepeating(session, spec, body, options);
  }
  return UploadWriter(session, std::move(spec), body, nullptr, options).Run();
}

}  // namespace meridian::client_internal
