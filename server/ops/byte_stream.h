// A body on its way in or out, in pieces, without gRPC.
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "meridian/v1/objects.pb.h"

namespace meridian::ops {

// A body from a client. Not thread-safe.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Blocks for the next piece, of 1 byte to 1 MiB; nullopt: the client has said that the body is
  // complete. An error if the client is gone, out of time, or broke the stream's rules: what has
  // come is never taken for all (I1).
  virtual absl::StatusOr<std::optional<Buffer>> Next() = 0;
  // What the client said of the whole body in its last message; after Next has returned nullopt.
  virtual std::optional<uint32_t> declared_crc32c() const { return std::nullopt; }
};

// A body to a client. Not thread-safe.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Once, first.
  virtual absl::Status Begin(const v1::ReadHeader& header) = 0;
  // 1 byte to 1 MiB. Blocks while the client does not take more.
  virtual absl::Status Write(Buffer bytes) = 0;
};

}  // namespace meridian::ops
