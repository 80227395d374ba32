#include <algorithm>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "crypto/chunk_layout.h"
#include "server/errors.h"
#include "server/ops/errors.h"
#include "server/ops/find_version.h"
#include "server/ops/objects.h"
#include "server/telemetry/call_record.h"

namespace meridian::ops {
namespace {

// For one chunk, from whichever replica has it.
constexpr absl::Duration kChunkTimeout = absl::Seconds(15);

// [begin, end) of the object's bytes.
struct Range {
  uint64_t begin = 0;
  uint64_t end = 0;
};

absl::StatusOr<Range> ResolveRange(const v1::ReadObjectRequest& request, uint64_t size) {
  if (!request.has_range()) return Range{.begin = 0, .end = size};
  const v1::ByteRange& range = request.range();
  if (range.offset_bytes() < 0) {
    return server::InvalidField("range.offset_bytes", "must not be negative");
  }
  if (range.length_bytes() < 0) {
    return server::InvalidField("range.length_bytes", "must not be negative");
  }
  const auto begin = static_cast<uint64_t>(range.offset_bytes());
  if (begin > size) {
    return server::Error(
        absl::StatusCode::kOutOfRange, v1::RANGE_BEYOND_END,
        absl::StrCat("range.offset_bytes is ", begin, ", the object has ", size, " bytes"),
        {{"size", absl::StrCat(size)}});
  }
  const uint64_t rest = size - begin;
  const uint64_t length =
      range.has_length_bytes() ? std::min(rest, static_cast<uint64_t>(range.length_bytes())) : rest;
  return Range{.begin = begin, .end = begin + length};
}

// Reads and decrypts what belongs to a range of one run.
class RunReader {
 public:
  RunReader(const Context& context, RunId run, uint64_t plaintext_bytes,
            std::unique_ptr<crypto::RunCipher> cipher)
      : context_(context),
        run_(run),
        plaintext_bytes_(plaintext_bytes),
        cipher_(std::move(cipher)) {}

  // Bytes [begin, end) of the run, chunk by chunk: nothing that was not authenticated (I1).
  absl::Status CopyTo(uint64_t begin, uint64_t end, ByteSink& sink) const {
    while (begin < end) {
      const uint64_t chunk = crypto::ChunkOfOffset(begin);
      const uint32_t chunk_bytes = crypto::ChunkPlaintextBytes(plaintext_bytes_, chunk);
      const uint32_t offset = crypto::OffsetInChunk(begin);
      const auto length =
          static_cast<uint32_t>(std::min<uint64_t>(end - begin, chunk_bytes - offset));
      ASSIGN_OR_RETURN(Buffer bytes,
                       ReadPart(static_cast<uint32_t>(chunk), chunk_bytes, offset, length));
      RETURN_IF_ERROR(sink.Write(std::move(bytes)));
      begin += length;
    }
    return absl::OkStatus();
  }

 private:
  absl::StatusOr<Buffer> ReadPart(uint32_t chunk, uint32_t chunk_bytes, uint32_t offset,
                                  uint32_t length) const {
    const crypto::FrameRange frames = crypto::MapRange(chunk_bytes, offset, length);
    const absl::Duration left = context_.deadline - absl::Now();
    if (left <= absl::ZeroDuration()) return DeadlineExceeded("read the body");
    absl::StatusOr<Buffer> ciphertext = ReadCiphertext(chunk, frames, left);
    if (!ciphertext.ok()) return FromChunkRead(ciphertext.status());
    absl::StatusOr<Buffer> plaintext =
        cipher_->DecryptRange(chunk, chunk_bytes, frames, ciphertext->view());
    if (!plaintext.ok()) return WithCorruptReason(plaintext.status());
    return plaintext;
  }

  absl::StatusOr<Buffer> ReadCiphertext(uint32_t chunk, const crypto::FrameRange& frames,
                                        absl::Duration left) const {
    const server::PhaseTimer timer(server::CallPhase::kBody);
    return context_.replica->ReadChunk({.run = run_, .number = chunk}, frames.ciphertext_offset,
                                       frames.ciphertext_bytes, std::min(left, kChunkTimeout));
  }

  const Context& context_;
  const RunId run_;
  const uint64_t plaintext_bytes_;
  std::unique_ptr<crypto::RunCipher> cipher_;
};

absl::StatusOr<RunReader> OpenRun(const Context& context, const Version& version,
                                  const crypto::SecretKey& dek, const pb::Run& run) {
  ASSIGN_OR_RETURN(const RunId id, objects::DecodeId<RunId>(run.run_id()));
  absl::StatusOr<std::unique_ptr<crypto::RunCipher>> cipher = crypto::RunCipher::Open(
      dek, RunIdentityOf(*version.keys, version.row.name, id), HeaderOf(run));
  if (!cipher.ok()) return WithCorruptReason(cipher.status());
  return RunReader(context, id, run.plaintext_bytes(), *std::move(cipher));
}

absl::Status CopyBody(const Context& context, const Version& version, const Range& range,
                      ByteSink& sink) {
  const absl::StatusOr<crypto::SecretKey> dek =
      version.keys->UnwrapDek(version.row.record.wrapped_dek());
  if (!dek.ok()) return WithCorruptReason(dek.status());
  uint64_t run_begin = 0;
  for (const pb::Run& run : version.manifest.runs()) {
    const uint64_t run_end = run_begin + run.plaintext_bytes();
    const uint64_t begin = std::max(range.begin, run_begin);
    const uint64_t end = std::min(range.end, run_end);
    if (begin < end) {
      ASSIGN_OR_RETURN(const RunReader reader, OpenRun(context, version, *dek, run));
      RETURN_IF_ERROR(reader.CopyTo(begin - run_begin, end - run_begin, sink));
    }
    run_begin = run_end;
  }
  // The manifest is authentic; this is against one that was made wrong.
  if (run_begin != version.manifest.size_bytes()) {
    return WithCorruptReason(absl::DataLossError("the manifest's runs are not its size"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status ReadObject(const Context& context, const v1::ReadObjectRequest& request,
                        ByteSink& sink) {
  ASSIGN_OR_RETURN(
      const PinnedVersion pinned,
      ReadPinnedVersion(context, request.name(), request.version_id(), request.if_match()));
  const Version& version = pinned.version;
  ASSIGN_OR_RETURN(const Range range, ResolveRange(request, version.manifest.size_bytes()));
  v1::ReadHeader header;
  *header.mutable_object() = ToObject(context, version);
  header.set_offset_bytes(static_cast<int64_t>(range.begin));
  header.set_length_bytes(static_cast<int64_t>(range.end - range.begin));
  RETURN_IF_ERROR(sink.Begin(header));
  if (range.begin == range.end) return absl::OkStatus();
  return CopyBody(context, version, range, sink);
}

}  // namespace meridian::ops
