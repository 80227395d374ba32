// Writes one object as a resumable upload.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/byte_stream.h"
#include "client/internal/attempts.h"
#include "client/internal/endpoint.h"
#include "client/internal/replay_source.h"
#include "client/internal/session.h"
#include "client/options.h"
#include "meridian/v1/uploads.pb.h"

namespace meridian::client_internal {

// One upload. Not thread-safe.
class UploadWriter {
 public:
  // `replay`: `body` itself, if it keeps only a part: streams then end after what it keeps, so that
  // it becomes durable and can be released. Else nullptr: one stream, unless it breaks.
  UploadWriter(Session& session, v1::WriteSpec spec, ByteSource& body, ReplaySource* replay,
               const CallOptions& options)
      : session_(session),
        spec_(std::move(spec)),
        body_(body),
        replay_(replay),
        options_(options) {}

  // Once. Aborts the upload if it fails.
  absl::StatusOr<v1::Object> Run();

 private:
  absl::Status Start();
  absl::Status SendAll();
  // One stream from durable_bytes_; sets ended_ when the body was sent to its end.
  absl::Status SendOnce(Stubs& stubs, absl::Duration step_timeout);
  // Fills the message with what comes next; no data: the end or the limit of this stream.
  absl::Status NextMessage(v1::WriteUploadRequest& message, uint64_t limit);
  // Finds out where to go on after a broken stream.
  absl::Status Resync(const absl::Status& failure);
  absl::StatusOr<v1::Object> Finish();
  void Abort();
  CallPlan Plan(const char* verb) const;

  Session& session_;
  const v1::WriteSpec spec_;
  ByteSource& body_;
  ReplaySource* const replay_;
  const CallOptions options_;

  std::string upload_;
  uint64_t durable_bytes_ = 0;
  // Of the stream under way: the end of what was read from the body.
  uint64_t sent_bytes_ = 0;
  // Checksum of the first summed_bytes_ of the body, which are not summed again on a replay.
  uint64_t summed_bytes_ = 0;
  uint32_t crc32c_ = 0;
  // The body's end was seen, at body_bytes_.
  bool ended_ = false;
  uint64_t body_bytes_ = 0;
  // The source failed: not worth another attempt.
  absl::Status fatal_;
};

}  // namespace meridian::client_internal
