#include "storage/store/records.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/store/codec.h"

namespace meridian::storage {
namespace {

constexpr uint8_t kVersion = 1;

Encoder Begin() {
  Encoder out;
  out.U8(kVersion);
  return out;
}

absl::Status CheckVersion(Decoder& in) {
  const uint8_t version = in.U8();
  if (!in.ok()) return absl::DataLossError("an empty journal record");
  if (version > kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("a journal record of a newer version (", version, ")"));
  }
  return absl::OkStatus();
}

absl::Status Malformed(std::string_view what) {
  return absl::DataLossError("malformed journal record: " + std::string(what));
}

// Everything before the command; leaves `in` there.
absl::StatusOr<LogEntry> DecodeEntryFields(Decoder& in, uint32_t& command_size,
                                           uint32_t& inline_size) {
  RETURN_IF_ERROR(CheckVersion(in));
  LogEntry entry;
  entry.epoch = Epoch(in.U64());
  entry.index = LogIndex(in.U64());
  entry.timestamp = Timestamp(in.U64());
  const uint8_t kind = in.U8();
  entry.inline_run = in.Id<RunId>();
  entry.inline_crc32c = in.U32();
  command_size = in.U32();
  inline_size = in.U32();
  const uint32_t ranges = in.U32();
  for (uint32_t i = 0; i < ranges && in.ok(); ++i) {
    ChunkRange range;
    range.run = in.Id<RunId>();
    range.first = in.U32();
    range.count = in.U32();
    entry.chunks.push_back(range);
  }
  if (!in.ok() || kind < 1 || kind > 3) return Malformed("entry");
  entry.kind = static_cast<LogEntry::Kind>(kind);
  return entry;
}

}  // namespace

std::string EncodeHardState(Epoch promised) { return Begin().U64(promised.value()).Take(); }

std::string EncodeTruncate(LogIndex from) { return Begin().U64(from.value()).Take(); }

std::string EncodeEntryHead(const LogEntry& entry) {
  Encoder out = Begin();
  out.U64(entry.epoch.value()).U64(entry.index.value()).U64(entry.timestamp.value());
  out.U8(static_cast<uint8_t>(entry.kind)).Id(entry.inline_run).U32(entry.inline_crc32c);
  out.U32(static_cast<uint32_t>(entry.command.size()));
  out.U32(static_cast<uint32_t>(entry.inline_body.size()));
  out.U32(static_cast<uint32_t>(entry.chunks.size()));
  for (const ChunkRange& range : entry.chunks) {
    out.Id(range.run).U32(range.first).U32(range.count);
  }
  return out.Bytes(entry.command).Take();
}

std::string EncodeChunkPlaced(const ChunkPlaced& placed) {
  Encoder out = Begin();
  out.Id(placed.chunk.run).U32(placed.chunk.number).U8(placed.replaces ? 1 : 0);
  out.U64(placed.first_written.value()).U32(placed.crc32c);
  out.U32(placed.location.extent).U64(placed.location.generation);
  return out.U64(placed.location.offset).U32(placed.location.length).Take();
}

std::string EncodeReplicaCreated(const ReplicaCreated& created) {
  return Begin().Id(created.partition).Id(created.container).Take();
}

std::string EncodeEmpty() { return Begin().Take(); }

absl::StatusOr<Epoch> DecodeHardState(std::string_view payload) {
  Decoder in(payload);
  RETURN_IF_ERROR(CheckVersion(in));
  const Epoch promised(in.U64());
  if (!in.done()) return Malformed("promise");
  return promised;
}

absl::StatusOr<LogIndex> DecodeTruncate(std::string_view payload) {
  Decoder in(payload);
  RETURN_IF_ERROR(CheckVersion(in));
  const LogIndex from(in.U64());
  if (!in.done()) return Malformed("truncation");
  return from;
}

absl::StatusOr<ChunkPlaced> DecodeChunkPlaced(std::string_view payload) {
  Decoder in(payload);
  RETURN_IF_ERROR(CheckVersion(in));
  ChunkPlaced placed;
  placed.chunk.run = in.Id<RunId>();
  placed.chunk.number = in.U32();
  placed.replaces = in.U8() != 0;
  placed.first_written = Timestamp(in.U64());
  placed.crc32c = in.U32();
  placed.location.extent = in.U32();
  placed.location.generation = in.U64();
  placed.location.offset = in.U64();
  placed.location.length = in.U32();
  if (!in.done()) return Malformed("chunk's place");
  return placed;
}

absl::StatusOr<ReplicaCreated> DecodeReplicaCreated(std::string_view payload) {
  Decoder in(payload);
  RETURN_IF_ERROR(CheckVersion(in));
  ReplicaCreated created;
  created.partition = in.Id<PartitionId>();
  created.container = in.Id<ContainerId>();
  if (!in.done()) return Malformed("replica");
  return created;
}

absl::StatusOr<EntryHeader> DecodeEntryHeader(std::string_view payload) {
  Decoder in(payload);
  uint32_t command_size = 0;
  uint32_t inline_size = 0;
  ASSIGN_OR_RETURN(const LogEntry entry, DecodeEntryFields(in, command_size, inline_size));
  in.Bytes(command_size);
  if (!in.ok()) return Malformed("entry");
  return EntryHeader{.epoch = entry.epoch,
                     .index = entry.index,
                     .timestamp = entry.timestamp,
                     .inline_run = entry.inline_run,
                     .inline_crc32c = entry.inline_crc32c,
                     .inline_size = inline_size,
                     .body_offset = static_cast<uint32_t>(in.offset())};
}

absl::StatusOr<LogEntry> DecodeEntry(const Buffer& payload) {
  Decoder in(payload.view());
  uint32_t command_size = 0;
  uint32_t inline_size = 0;
  ASSIGN_OR_RETURN(LogEntry entry, DecodeEntryFields(in, command_size, inline_size));
  entry.command = std::string(in.Bytes(command_size));
  if (in.done()) return entry;
  const size_t body_offset = in.offset();
  in.Bytes(inline_size);
  if (!in.done()) return Malformed("entry");
  entry.inline_body = payload.Slice(body_offset, inline_size);
  return entry;
}

}  // namespace meridian::storage
