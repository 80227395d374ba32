// Reads one object or range, over as many streams as it takes.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/byte_stream.h"
#include "client/internal/endpoint.h"
#include "client/internal/session.h"
#include "client/options.h"
#include "meridian/v1/objects.pb.h"

namespace meridian::client_internal {

// One read. Not thread-safe.
class ObjectReader {
 public:
  ObjectReader(Session& session, const v1::ReadObjectRequest& request, ByteSink& sink,
               const CallOptions& options)
      : session_(session), request_(request), sink_(sink), options_(options) {}

  // Once.
  absl::StatusOr<v1::Object> Run();

 private:
  // One stream; takes up where the one before broke off.
  absl::Status Attempt(Stubs& stubs, absl::Duration step_timeout);
  absl::Status TakeHeader(const v1::ReadHeader& header);
  absl::Status TakeData(const v1::ReadObjectResponse& message);
  v1::ReadObjectRequest NextRequest() const;
  // The version is gone: goes on with the one that is there by now, as a read that begins only now.
  absl::Status StartAgain();
  absl::Status Verify() const;

  Session& session_;
  const v1::ReadObjectRequest request_;
  ByteSink& sink_;
  const CallOptions options_;

  // Of the first header; once the sink has bytes, every later one must be of the same version.
  std::optional<v1::ReadHeader> header_;
  // Given to the sink, and their checksum.
  int64_t received_bytes_ = 0;
  uint32_t crc32c_ = 0;
  // The most that the sink had of any version: more is progress.
  int64_t furthest_bytes_ = 0;
  // What the application, or a check, said against going on: not worth another attempt.
  absl::Status fatal_;
};

}  // namespace meridian::client_internal
