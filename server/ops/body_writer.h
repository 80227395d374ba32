// The body of a plain write on its way into storage: small ones ride in the log entry, larger ones
// go ahead of it in chunks.
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "replication/replica.h"
#include "server/ops/byte_stream.h"
#include "server/ops/chunk_cutter.h"
#include "server/ops/context.h"
#include "server/ops/run_writer.h"
#include "storage/objects/records.h"

namespace meridian::ops {

namespace pb = ::meridian::internal::v1;

// Bodies up to this ride in the log entry: one round trip, one sync.
inline constexpr size_t kMaxInlineBytes = 32 << 10;

// Not thread-safe. The writer outlives it.
class BodyWriter {
 public:
  BodyWriter(RunWriter& writer, absl::Time deadline) : writer_(writer), deadline_(deadline) {}

  // Takes the whole body. SIZE_MISMATCH as soon as it passes `declared_size`.
  absl::Status ReadAll(ByteSource& source, std::optional<uint64_t> declared_size);

  uint64_t size_bytes() const { return size_bytes_; }
  uint32_t crc32c() const { return crc32c_; }

  // Once ReadAll has returned OK: makes the body durable, or puts it into the proposal, and returns
  // its manifest.
  absl::StatusOr<pb::Manifest> Store(replication::Proposal& proposal);

 private:
  absl::Status TakePiece(Buffer piece);
  absl::Status SendChunk();

  RunWriter& writer_;
  const absl::Time deadline_;
  ChunkCutter chunk_;
  uint64_t size_bytes_ = 0;
  uint32_t crc32c_ = 0;
};

}  // namespace meridian::ops
