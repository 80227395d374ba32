// One stream of bytes into an upload: a run of its own, whose progress is committed as it goes.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "crypto/secret_key.h"
#include "server/ops/byte_stream.h"
#include "server/ops/chunk_cutter.h"
#include "server/ops/context.h"
#include "server/ops/run_writer.h"
#include "server/ops/upload_codec.h"

namespace meridian::ops {

// Not thread-safe. The context outlives it.
class UploadStream {
 public:
  // Chunks between two commits of progress: what a broken leader can cost a client to send again.
  static constexpr uint32_t kChunksPerCommit = 16;

  UploadStream(const Context& context, Upload upload, const crypto::SecretKey& dek);

  // Makes this stream the only one that may add bytes.
  absl::Status TakeOver();
  // Takes all that `source` delivers. When it breaks, what has come is kept all the same.
  absl::Status CopyFrom(ByteSource& source);

  uint64_t durable_size_bytes() const { return upload_.record.durable_size_bytes(); }

 private:
  absl::Status TakePiece(Buffer piece);
  absl::Status SendChunk(absl::Time deadline);
  // Makes all that was taken durable and commits it; the run can take nothing after a short chunk.
  absl::Status CommitRest(absl::Time deadline);
  absl::Status CommitProgress(absl::Time deadline);
  absl::Status ProposeAppend(const pb::AppendUpload& append,
                             std::vector<storage::ChunkRange> chunks, absl::Time deadline);

  const Context& context_;
  // `durable_*` is what has been committed.
  Upload upload_;
  RunWriter writer_;
  ChunkCutter chunk_;
  // Of the run: sent in chunks, and committed.
  uint64_t sent_bytes_ = 0;
  uint64_t committed_bytes_ = 0;
  uint32_t committed_chunks_ = 0;
  // Of the upload's plaintext up to what was sent.
  uint32_t sent_crc32c_ = 0;
};

}  // namespace meridian::ops
