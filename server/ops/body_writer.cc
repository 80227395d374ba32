#include "server/ops/body_writer.h"

#include <string_view>
#include <utility>
#include <vector>

#include "base/crc32c.h"
#include "base/status.h"
#include "server/errors.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {

absl::Status BodyWriter::ReadAll(ByteSource& source, std::optional<uint64_t> declared_size) {
  while (true) {
    ASSIGN_OR_RETURN(std::optional<Buffer> piece, source.Next());
    if (!piece.has_value()) break;
    const uint64_t total = size_bytes_ + piece->size();
    if (declared_size.has_value() && total > *declared_size) {
      return SizeMismatch(*declared_size, total);
    }
    if (total > kMaxObjectBytes) return server::InvalidField("data", "the object is too large");
    RETURN_IF_ERROR(TakePiece(*std::move(piece)));
  }
  if (declared_size.has_value() && size_bytes_ != *declared_size) {
    return SizeMismatch(*declared_size, size_bytes_);
  }
  return absl::OkStatus();
}

absl::Status BodyWriter::TakePiece(Buffer piece) {
  crc32c_ = Crc32c(piece.view(), crc32c_);
  size_bytes_ += piece.size();
  while (!piece.empty()) {
    // Before taking more: the last full chunk is sent with the rest, not alone, so that a body that
    // ends here is known to.
    if (chunk_.full()) RETURN_IF_ERROR(SendChunk());
    const size_t taken = chunk_.Take(piece);
    piece = piece.Slice(taken, piece.size() - taken);
  }
  return absl::OkStatus();
}

absl::Status BodyWriter::SendChunk() {
  RETURN_IF_ERROR(writer_.Send(chunk_.Views(), deadline_));
  chunk_.Clear();
  return absl::OkStatus();
}

absl::StatusOr<pb::Manifest> BodyWriter::Store(replication::Proposal& proposal) {
  pb::Manifest manifest;
  manifest.set_size_bytes(size_bytes_);
  if (size_bytes_ == 0) return manifest;
  *manifest.add_runs() = ToRun(writer_.run(), writer_.header(), size_bytes_);
  if (size_bytes_ <= kMaxInlineBytes) {
    ASSIGN_OR_RETURN(proposal.inline_body, writer_.EncryptInline(chunk_.Views()));
    proposal.inline_run = writer_.run();
    proposal.inline_crc32c = Crc32c(proposal.inline_body.view());
    return manifest;
  }
  RETURN_IF_ERROR(SendChunk());
  RETURN_IF_ERROR(writer_.Flush(deadline_));
  proposal.chunks = {objects::AllChunksOf(writer_.run(), size_bytes_)};
  return manifest;
}

}  // namespace meridian::ops
