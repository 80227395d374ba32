#include "replication/wire.h"

#include <limits>
#include <utility>

#include "base/status.h"
#include "replication/wire_parts.h"

namespace meridian::replication {
namespace {

constexpr int kMaxEntries = 1 << 16;
constexpr int kMaxRows = 1 << 20;
constexpr int kMaxRuns = 1 << 12;

// Encodes one body into its field; holds the attachments on the way.
struct Encoder {
  pb::PeerMessageBody& out;
  std::vector<Buffer>& attachments;

  void operator()(const CoreMessage& message) { std::visit(*this, message); }

  void operator()(const Append& in) {
    pb::Append& to = *out.mutable_append();
    to.set_epoch(in.epoch.value());
    EncodePosition(in.prev, *to.mutable_prev());
    for (const auto& entry : in.entries) EncodeEntry(entry, *to.add_entries(), attachments);
    to.set_commit_index(in.commit.value());
    to.set_freeable_index(in.freeable.value());
    to.set_read_round(in.read_round);
  }
  void operator()(const AppendReply& in) {
    pb::AppendReply& to = *out.mutable_append_reply();
    to.set_epoch(in.epoch.value());
    to.set_match_index(in.match.value());
    to.set_rejected(in.rejected);
    to.set_rejected_prev_index(in.rejected_prev.value());
    EncodePosition(in.hint, *to.mutable_hint());
    to.set_read_round(in.read_round);
    to.set_installing(in.installing);
  }
  void operator()(const Probe& in) {
    out.mutable_probe()->set_epoch(in.epoch.value());
    out.mutable_probe()->set_round(in.round);
  }
  void operator()(const ProbeReply& in) {
    pb::ProbeReply& to = *out.mutable_probe_reply();
    to.set_epoch(in.epoch.value());
    to.set_round(in.round);
    to.set_granted(in.granted);
    EncodePosition(in.last, *to.mutable_last());
    to.set_base_index(in.base.value());
    to.set_installing(in.installing);
  }
  void operator()(const Fence& in) {
    EncodeConfig(in.config, *out.mutable_fence()->mutable_config());
  }
  void operator()(const FenceReply& in) {
    pb::FenceReply& to = *out.mutable_fence_reply();
    to.set_epoch(in.epoch.value());
    EncodePosition(in.last, *to.mutable_last());
    to.set_base_index(in.base.value());
    to.set_installing(in.installing);
  }
  void operator()(const FetchLog& in) {
    out.mutable_fetch_log()->set_epoch(in.epoch.value());
    EncodePosition(in.prev, *out.mutable_fetch_log()->mutable_prev());
  }
  void operator()(const FetchLogReply& in) {
    pb::FetchLogReply& to = *out.mutable_fetch_log_reply();
    to.set_epoch(in.epoch.value());
    EncodePosition(in.prev, *to.mutable_prev());
    to.set_matched(in.matched);
    EncodePosition(in.hint, *to.mutable_hint());
    for (const auto& entry : in.entries) EncodeEntry(entry, *to.add_entries(), attachments);
  }
  void operator()(const HandOver& in) { out.mutable_hand_over()->set_epoch(in.epoch.value()); }

  void operator()(const ChunkWrite& in) {
    EncodeChunk(in.chunk, *out.mutable_chunk_write()->mutable_chunk());
    out.mutable_chunk_write()->set_crc32c(in.crc32c);
    attachments.push_back(in.ciphertext);
  }
  void operator()(const ChunkAck& in) {
    EncodeChunk(in.chunk, *out.mutable_chunk_ack()->mutable_chunk());
    out.mutable_chunk_ack()->set_code(static_cast<uint32_t>(in.code));
  }
  void operator()(const ChunkFetch& in) {
    EncodeChunk(in.chunk, *out.mutable_chunk_fetch()->mutable_chunk());
  }
  void operator()(const ChunkFetchReply& in) {
    pb::ChunkFetchReply& to = *out.mutable_chunk_fetch_reply();
    EncodeChunk(in.chunk, *to.mutable_chunk());
    to.set_code(static_cast<uint32_t>(in.code));
    to.set_crc32c(in.crc32c);
    if (in.code == absl::StatusCode::kOk) attachments.push_back(in.ciphertext);
  }
  void operator()(const SnapshotBegin& in) {
    pb::SnapshotBegin& to = *out.mutable_snapshot_begin();
    to.set_snapshot(in.snapshot);
    to.set_epoch(in.epoch.value());
    EncodePosition(in.last, *to.mutable_last());
    to.set_timestamp_us(in.timestamp.value());
  }
  void operator()(const SnapshotPiece& in) {
    pb::SnapshotPiece& to = *out.mutable_snapshot_piece();
    to.set_snapshot(in.snapshot);
    to.set_epoch(in.epoch.value());
    to.set_number(in.number);
    to.set_final(in.final);
    for (const auto& [key, value] : in.rows) {
      pb::SnapshotRow& row = *to.add_rows();
      row.set_key(key);
      row.set_value(value);
    }
  }
  void operator()(const SnapshotAck& in) {
    pb::SnapshotAck& to = *out.mutable_snapshot_ack();
    to.set_snapshot(in.snapshot);
    to.set_epoch(in.epoch.value());
    to.set_next_piece(in.next_piece);
    to.set_installed(in.installed);
    to.set_refused(in.refused);
    to.set_progress(in.progress);
    to.set_disk_full(in.disk_full);
  }
  void operator()(const OrphanReport& in) {
    for (const RunId& run : in.runs) {
      out.mutable_orphan_report()->add_runs(std::string(run.bytes()));
    }
  }
  void operator()(const DigestRequest& in) {
    pb::DigestRequest& to = *out.mutable_digest_request();
    to.set_id(in.id);
    to.set_index(in.index.value());
    to.set_first(in.first);
    to.set_end(in.end);
  }
  void operator()(const DigestReply& in) {
    pb::DigestReply& to = *out.mutable_digest_reply();
    to.set_id(in.id);
    to.set_code(static_cast<uint32_t>(in.code));
    to.set_digest(in.digest);
  }
};

template <typename Entries>
absl::StatusOr<std::vector<storage::LogEntry>> DecodeEntries(
    const Entries& in, const std::vector<Buffer>& attachments) {
  if (in.size() > kMaxEntries) return Malformed("too many entries");
  std::vector<storage::LogEntry> entries;
  entries.reserve(in.size());
  for (const auto& from : in) {
    ASSIGN_OR_RETURN(storage::LogEntry entry, DecodeEntry(from, attachments));
    entries.push_back(std::move(entry));
  }
  return entries;
}

absl::StatusOr<absl::StatusCode> DecodeCode(uint32_t code) {
  if (code > static_cast<uint32_t>(absl::StatusCode::kUnauthenticated)) {
    return Malformed("an unknown status code");
  }
  return static_cast<absl::StatusCode>(code);
}

absl::StatusOr<PeerBody> Decode(const pb::Append& in, const std::vector<Buffer>& attachments) {
  Append out;
  out.epoch = Epoch(in.epoch());
  out.prev = DecodePosition(in.prev());
  ASSIGN_OR_RETURN(out.entries, DecodeEntries(in.entries(), attachments));
  out.commit = LogIndex(in.commit_index());
  out.freeable = LogIndex(in.freeable_index());
  out.read_round = in.read_round();
  return PeerBody(CoreMessage(std::move(out)));
}

PeerBody Decode(const pb::AppendReply& in) {
  AppendReply out;
  out.epoch = Epoch(in.epoch());
  out.match = LogIndex(in.match_index());
  out.rejected = in.rejected();
  out.rejected_prev = LogIndex(in.rejected_prev_index());
  out.hint = DecodePosition(in.hint());
  out.read_round = in.read_round();
  out.installing = in.installing();
  return CoreMessage(out);
}

PeerBody Decode(const pb::ProbeReply& in) {
  ProbeReply out;
  out.epoch = Epoch(in.epoch());
  out.round = in.round();
  out.granted = in.granted();
  out.last = DecodePosition(in.last());
  out.base = LogIndex(in.base_index());
  out.installing = in.installing();
  return CoreMessage(out);
}

PeerBody Decode(const pb::FenceReply& in) {
  FenceReply out;
  out.epoch = Epoch(in.epoch());
  out.last = DecodePosition(in.last());
  out.base = LogIndex(in.base_index());
  out.installing = in.installing();
  return CoreMessage(out);
}

absl::StatusOr<PeerBody> Decode(const pb::FetchLogReply& in,
                                const std::vector<Buffer>& attachments) {
  FetchLogReply out;
  out.epoch = Epoch(in.epoch());
  out.prev = DecodePosition(in.prev());
  out.matched = in.matched();
  out.hint = DecodePosition(in.hint());
  ASSIGN_OR_RETURN(out.entries, DecodeEntries(in.entries(), attachments));
  return PeerBody(CoreMessage(std::move(out)));
}

absl::StatusOr<PeerBody> Decode(const pb::ChunkWrite& in, const std::vector<Buffer>& attachments) {
  ChunkWrite out;
  ASSIGN_OR_RETURN(out.chunk, DecodeChunk(in.chunk()));
  if (attachments.size() != 1) return Malformed("a chunk without its bytes");
  out.crc32c = in.crc32c();
  out.ciphertext = attachments[0];
  return PeerBody(std::move(out));
}

absl::StatusOr<PeerBody> Decode(const pb::ChunkAck& in) {
  ChunkAck out;
  ASSIGN_OR_RETURN(out.chunk, DecodeChunk(in.chunk()));
  ASSIGN_OR_RETURN(out.code, DecodeCode(in.code()));
  return PeerBody(out);
}

absl::StatusOr<PeerBody> Decode(const pb::ChunkFetchReply& in,
                                const std::vector<Buffer>& attachments) {
  ChunkFetchReply out;
  ASSIGN_OR_RETURN(out.chunk, DecodeChunk(in.chunk()));
  ASSIGN_OR_RETURN(out.code, DecodeCode(in.code()));
  out.crc32c = in.crc32c();
  if (out.code == absl::StatusCode::kOk) {
    if (attachments.size() != 1) return Malformed("a fetched chunk without its bytes");
    out.ciphertext = attachments[0];
  }
  return PeerBody(std::move(out));
}

absl::StatusOr<PeerBody> Decode(const pb::SnapshotPiece& in) {
  if (in.rows_size() > kMaxRows) return Malformed("too many rows");
  SnapshotPiece out;
  out.snapshot = in.snapshot();
  out.epoch = Epoch(in.epoch());
  out.number = in.number();
  out.final = in.final();
  for (const auto& row : in.rows()) {
    if (!out.rows.empty() && row.key() <= out.rows.back().first) {
      return Malformed("a snapshot's rows are not in order");
    }
    out.rows.emplace_back(row.key(), row.value());
  }
  return PeerBody(std::move(out));
}

PeerBody Decode(const pb::SnapshotAck& in) {
  SnapshotAck out;
  out.snapshot = in.snapshot();
  out.epoch = Epoch(in.epoch());
  out.next_piece = in.next_piece();
  out.installed = in.installed();
  out.refused = in.refused();
  out.progress = in.progress();
  out.disk_full = in.disk_full();
  return out;
}

absl::StatusOr<PeerBody> Decode(const pb::OrphanReport& in) {
  if (in.runs_size() > kMaxRuns) return Malformed("too many runs");
  OrphanReport out;
  for (const auto& bytes : in.runs()) {
    ASSIGN_OR_RETURN(RunId run, DecodeId<RunId>(bytes, "an orphan's run id"));
    out.runs.push_back(run);
  }
  return PeerBody(std::move(out));
}

PeerBody Decode(const pb::DigestRequest& in) {
  return DigestRequest{in.id(), LogIndex(in.index()), in.first(), in.end()};
}

PeerBody Decode(const pb::DigestReply& in) {
  return DigestReply{in.id(), static_cast<absl::StatusCode>(in.code()), in.digest()};
}

}  // namespace

EncodedBody EncodeBody(const PeerBody& body) {
  EncodedBody encoded;
  pb::PeerMessageBody out;
  out.set_format_version(kWireFormatVersion);
  std::visit(Encoder{out, encoded.attachments}, body);
  encoded.body = out.SerializeAsString();
  return encoded;
}

absl::StatusOr<PeerBody> DecodeBody(std::string_view body, const std::vector<Buffer>& attachments) {
  pb::PeerMessageBody in;
  if (body.size() > static_cast<size_t>(std::numeric_limits<int>::max()) ||
      !in.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return Malformed("it does not parse");
  }
  if (in.format_version() != kWireFormatVersion) return Malformed("of an unknown format");
  switch (in.body_case()) {
    case pb::PeerMessageBody::kAppend:
      return Decode(in.append(), attachments);
    case pb::PeerMessageBody::kAppendReply:
      return Decode(in.append_reply());
    case pb::PeerMessageBody::kProbe:
      return PeerBody(CoreMessage(Probe{Epoch(in.probe().epoch()), in.probe().round()}));
    case pb::PeerMessageBody::kProbeReply:
      return Decode(in.probe_reply());
    case pb::PeerMessageBody::kFence: {
      Fence fence;
      ASSIGN_OR_RETURN(fence.config, DecodeConfig(in.fence().config()));
      return PeerBody(CoreMessage(std::move(fence)));
    }
    case pb::PeerMessageBody::kFenceReply:
      return Decode(in.fence_reply());
    case pb::PeerMessageBody::kFetchLog:
      return PeerBody(CoreMessage(
          FetchLog{Epoch(in.fetch_log().epoch()), DecodePosition(in.fetch_log().prev())}));
    case pb::PeerMessageBody::kFetchLogReply:
      return Decode(in.fetch_log_reply(), attachments);
    case pb::PeerMessageBody::kHandOver:
      return PeerBody(CoreMessage(HandOver{Epoch(in.hand_over().epoch())}));
    case pb::PeerMessageBody::kChunkWrite:
      return Decode(in.chunk_write(), attachments);
    case pb::PeerMessageBody::kChunkAck:
      return Decode(in.chunk_ack());
    case pb::PeerMessageBody::kChunkFetch: {
      ASSIGN_OR_RETURN(storage::ChunkId chunk, DecodeChunk(in.chunk_fetch().chunk()));
      return PeerBody(ChunkFetch{chunk});
    }
    case pb::PeerMessageBody::kChunkFetchReply:
      return Decode(in.chunk_fetch_reply(), attachments);
    case pb::PeerMessageBody::kSnapshotBegin: {
      const pb::SnapshotBegin& begin = in.snapshot_begin();
      return PeerBody(SnapshotBegin{begin.snapshot(), Epoch(begin.epoch()),
                                    DecodePosition(begin.last()), Timestamp(begin.timestamp_us())});
    }
    case pb::PeerMessageBody::kSnapshotPiece:
      return Decode(in.snapshot_piece());
    case pb::PeerMessageBody::kSnapshotAck:
      return Decode(in.snapshot_ack());
    case pb::PeerMessageBody::kOrphanReport:
      return Decode(in.orphan_report());
    case pb::PeerMessageBody::kDigestRequest:
      return Decode(in.digest_request());
    case pb::PeerMessageBody::kDigestReply:
      return Decode(in.digest_reply());
    case pb::PeerMessageBody::BODY_NOT_SET:
      return Malformed("it holds no body");
  }
  return Malformed("of an unknown kind");
}

}  // namespace meridian::replication
