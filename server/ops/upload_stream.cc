#include "server/ops/upload_stream.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/crc32c.h"
#include "base/status.h"
#include "server/errors.h"
#include "server/ops/checks.h"
#include "server/ops/errors.h"
#include "server/ops/replica_calls.h"
#include "server/ops/version_codec.h"

namespace meridian::ops {
namespace {

// To save what came before a client vanished, whatever was left of its deadline.
constexpr absl::Duration kSaveTimeout = absl::Seconds(10);

}  // namespace

UploadStream::UploadStream(const Context& context, Upload upload, const crypto::SecretKey& dek)
    : context_(context),
      upload_(std::move(upload)),
      writer_(context, *upload_.keys, upload_.record.object_name(), dek),
      sent_crc32c_(upload_.record.durable_crc32c()) {}

absl::Status UploadStream::ProposeAppend(const pb::AppendUpload& append,
                                         std::vector<storage::ChunkRange> chunks,
                                         absl::Time deadline) {
  pb::Command command = NewCommand(context_);
  *command.mutable_append_upload() = append;
  replication::Proposal proposal;
  proposal.command = objects::EncodeRecord(command);
  proposal.chunks = std::move(chunks);
  ASSIGN_OR_RETURN(const pb::Outcome outcome,
                   Propose(*context_.replica, deadline, std::move(proposal)));
  return ToStatus(outcome,
                  UploadSubject(context_, {.id = upload_.id, .object_name = append.object_name()}));
}

absl::Status UploadStream::TakeOver() {
  pb::AppendUpload append;
  append.set_upload_id(upload_.record.upload_id());
  *append.mutable_run() = ToRun(writer_.run(), writer_.header(), 0);
  append.set_object_name(upload_.record.object_name());
  append.set_expected_size_bytes(durable_size_bytes());
  append.set_takes_over(true);
  return ProposeAppend(append, {}, context_.deadline);
}

absl::Status UploadStream::CopyFrom(ByteSource& source) {
  while (true) {
    absl::StatusOr<std::optional<Buffer>> piece = source.Next();
    if (!piece.ok()) {
      // What cannot be saved is sent again by the client: the stream's own error is the answer.
      CommitRest(absl::Now() + kSaveTimeout).IgnoreError();
      return piece.status();
    }
    if (!piece->has_value()) return CommitRest(context_.deadline);
    RETURN_IF_ERROR(TakePiece(**std::move(piece)));
  }
}

absl::Status UploadStream::TakePiece(Buffer piece) {
  const uint64_t total =
      durable_size_bytes() + (sent_bytes_ - committed_bytes_) + chunk_.size() + piece.size();
  if (upload_.plan.has_size_bytes() && total > upload_.plan.size_bytes()) {
    return SizeMismatch(upload_.plan.size_bytes(), total);
  }
  if (total > kMaxObjectBytes) return server::InvalidField("data", "the object is too large");
  while (!piece.empty()) {
    const size_t taken = chunk_.Take(piece);
    piece = piece.Slice(taken, piece.size() - taken);
    if (!chunk_.full()) continue;
    RETURN_IF_ERROR(SendChunk(context_.deadline));
    if (writer_.chunks_sent() - committed_chunks_ >= kChunksPerCommit) {
      RETURN_IF_ERROR(CommitProgress(context_.deadline));
    }
  }
  return absl::OkStatus();
}

absl::Status UploadStream::SendChunk(absl::Time deadline) {
  const std::vector<std::string_view> views = chunk_.Views();
  RETURN_IF_ERROR(writer_.Send(views, deadline));
  for (const std::string_view view : views) sent_crc32c_ = Crc32c(view, sent_crc32c_);
  sent_bytes_ += chunk_.size();
  chunk_.Clear();
  return absl::OkStatus();
}

absl::Status UploadStream::CommitRest(absl::Time deadline) {
  if (chunk_.size() > 0) RETURN_IF_ERROR(SendChunk(deadline));
  return CommitProgress(deadline);
}

absl::Status UploadStream::CommitProgress(absl::Time deadline) {
  if (sent_bytes_ == committed_bytes_) return absl::OkStatus();
  RETURN_IF_ERROR(writer_.Flush(deadline));
  pb::AppendUpload append;
  append.set_upload_id(upload_.record.upload_id());
  append.set_object_name(upload_.record.object_name());
  *append.mutable_run() = ToRun(writer_.run(), writer_.header(), sent_bytes_);
  append.set_expected_size_bytes(durable_size_bytes());
  append.set_crc32c(sent_crc32c_);
  // While this stream has the upload, no other adds bytes: the record will be this.
  pb::UploadRecord after = upload_.record;
  if (committed_bytes_ > 0) after.mutable_runs()->RemoveLast();
  *after.add_runs() = append.run();
  after.set_durable_size_bytes(durable_size_bytes() + sent_bytes_ - committed_bytes_);
  after.set_durable_crc32c(sent_crc32c_);
  append.set_progress_mac(UploadProgressMac(*upload_.keys, after));
  RETURN_IF_ERROR(ProposeAppend(append,
                                {{.run = writer_.run(),
                                  .first = committed_chunks_,
                                  .count = writer_.chunks_sent() - committed_chunks_}},
                                deadline));
  // The upload holds the run: aborting it would have no effect.
  writer_.Keep();
  upload_.record = std::move(after);
  committed_bytes_ = sent_bytes_;
  committed_chunks_ = writer_.chunks_sent();
  return absl::OkStatus();
}

}  // namespace meridian::ops
