#include "storage/store/rows.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "storage/store/codec.h"

namespace meridian::storage {
namespace {

constexpr uint8_t kVersion = 2;

Encoder Begin() {
  Encoder out;
  out.U8(kVersion);
  return out;
}

absl::Status CheckVersion(Decoder& in, std::string_view what) {
  const uint8_t version = in.U8();
  if (!in.ok()) return absl::DataLossError("empty row: " + std::string(what));
  if (version != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrCat("a row of another version (", version, "): ", std::string(what)));
  }
  return absl::OkStatus();
}

absl::Status Malformed(std::string_view what) {
  return absl::DataLossError("malformed row: " + std::string(what));
}

template <typename Tag>
std::string Tagged(char tag, const Id128<Tag>& id) {
  std::string key(1, tag);
  key.append(id.bytes());
  return key;
}

// Big endian, so that keys sort as numbers.
void AppendSorted(std::string& key, uint64_t value, int bytes) {
  for (int i = bytes - 1; i >= 0; --i) key.push_back(static_cast<char>(value >> (8 * i)));
}

uint64_t ReadSorted(std::string_view bytes) {
  uint64_t value = 0;
  for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
  return value;
}

void EncodeRecord(Encoder& out, const RecordLocation& record) {
  out.U32(record.segment).U64(record.life).U64(record.offset).U32(record.length);
}

RecordLocation DecodeRecord(Decoder& in) {
  RecordLocation record;
  record.segment = in.U32();
  record.life = in.U64();
  record.offset = in.U64();
  record.length = in.U32();
  return record;
}

}  // namespace

std::string FormatKey() { return "f"; }
std::string PositionKey() { return "p"; }
std::string RangePrefix() { return "c"; }
std::string RangeKey(const ReplicaOnDisk& replica) {
  return Tagged('c', replica.container) + std::string(replica.partition.bytes());
}
std::string PromiseKey(ReplicaId replica) { return Tagged('h', replica); }
std::string BaseKey(ReplicaId replica) { return Tagged('b', replica); }
std::string AppliedKey(ReplicaId replica) { return Tagged('a', replica); }
std::string InstallKey(ReplicaId replica) { return Tagged('i', replica); }

std::string LogPrefix(const ReplicaOnDisk& replica) {
  std::string key(replica.container.bytes());
  key.append(replica.partition.bytes());
  return key;
}

std::string StatePrefix(const ReplicaOnDisk& replica) { return LogPrefix(replica); }

std::string LogKey(const ReplicaOnDisk& replica, LogIndex index) {
  std::string key = LogPrefix(replica);
  AppendSorted(key, index.value(), 8);
  return key;
}

std::string RunPrefix(ContainerId container, RunId run) {
  std::string key(container.bytes());
  key.append(run.bytes());
  return key;
}

std::string ChunkKey(ContainerId container, ChunkId chunk) {
  std::string key = RunPrefix(container, chunk.run);
  AppendSorted(key, chunk.number, 4);
  return key;
}

std::string EncodeFormatRow(DiskId disk) { return Begin().Id(disk).Take(); }

std::string EncodePosition(const JournalPosition& position) {
  return Begin().U64(position.group).U32(position.records).Take();
}

std::string EncodeRange(const ReplicaOnDisk& replica) { return Begin().Id(replica.replica).Take(); }

std::string EncodePromise(Epoch promised) { return Begin().U64(promised.value()).Take(); }

std::string EncodeBase(const LogBase& base) {
  return Begin().U64(base.index.value()).U64(base.epoch.value()).Take();
}

std::string EncodeApplied(const AppliedPoint& applied) {
  return Begin().U64(applied.index.value()).U64(applied.timestamp.value()).Take();
}

std::string EncodeInstalling() { return Begin().Take(); }

std::string EncodeLogRow(const LogRow& row) {
  Encoder out = Begin();
  out.U8(static_cast<uint8_t>(row.place)).U64(row.epoch.value()).U64(row.timestamp.value());
  out.Id(row.inline_run);
  if (row.place == EntryPlace::kJournal) EncodeRecord(out, row.record);
  if (row.place == EntryPlace::kRow) out.Bytes(row.head);
  return out.Take();
}

std::string EncodeChunkRow(const ChunkRow& row) {
  Encoder out = Begin();
  out.U8(static_cast<uint8_t>(row.place)).U32(row.size_bytes).U32(row.crc32c);
  out.U64(row.first_written.value()).Id(row.partition);
  if (row.place == ChunkPlace::kJournal) {
    EncodeRecord(out, row.record);
    out.U32(row.body_offset);
  } else if (row.place == ChunkPlace::kExtent) {
    out.U32(row.extent.extent).U64(row.extent.generation).U64(row.extent.offset);
    out.U32(row.extent.length);
  }
  return out.Take();
}

absl::StatusOr<DiskId> DecodeFormatRow(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "format"));
  const DiskId disk = in.Id<DiskId>();
  if (!in.done()) return Malformed("format");
  return disk;
}

absl::StatusOr<JournalPosition> DecodePosition(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "position"));
  JournalPosition position;
  position.group = in.U64();
  position.records = in.U32();
  if (!in.done()) return Malformed("position");
  return position;
}

absl::StatusOr<ReplicaOnDisk> DecodeRange(std::string_view key, std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "range"));
  ReplicaOnDisk replica;
  replica.replica = in.Id<ReplicaId>();
  Decoder ids(key.substr(1));
  replica.container = ids.Id<ContainerId>();
  replica.partition = ids.Id<PartitionId>();
  if (!in.done() || !ids.done()) return Malformed("range");
  return replica;
}

absl::StatusOr<Epoch> DecodePromise(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "promise"));
  const Epoch promised(in.U64());
  if (!in.done()) return Malformed("promise");
  return promised;
}

absl::StatusOr<LogBase> DecodeBase(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "log base"));
  LogBase base;
  base.index = LogIndex(in.U64());
  base.epoch = Epoch(in.U64());
  if (!in.done()) return Malformed("log base");
  return base;
}

absl::StatusOr<AppliedPoint> DecodeApplied(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "applied index"));
  AppliedPoint applied;
  applied.index = LogIndex(in.U64());
  applied.timestamp = Timestamp(in.U64());
  if (!in.done()) return Malformed("applied index");
  return applied;
}

absl::StatusOr<LogRow> DecodeLogRow(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "log index"));
  LogRow row;
  row.place = static_cast<EntryPlace>(in.U8());
  row.epoch = Epoch(in.U64());
  row.timestamp = Timestamp(in.U64());
  row.inline_run = in.Id<RunId>();
  if (row.place == EntryPlace::kJournal) {
    row.record = DecodeRecord(in);
  } else if (row.place == EntryPlace::kRow) {
    row.head = std::string(in.Bytes(value.size() - in.offset()));
  } else if (row.place != EntryPlace::kLost) {
    return Malformed("log index");
  }
  if (!in.done()) return Malformed("log index");
  return row;
}

absl::StatusOr<LogIndex> DecodeLogKey(std::string_view key) {
  constexpr size_t kPrefix = ContainerId::kSize + PartitionId::kSize;
  if (key.size() != kPrefix + 8) return Malformed("log index key");
  return LogIndex(ReadSorted(key.substr(kPrefix)));
}

absl::StatusOr<ChunkRow> DecodeChunkRow(std::string_view value) {
  Decoder in(value);
  RETURN_IF_ERROR(CheckVersion(in, "chunk"));
  ChunkRow row;
  row.place = static_cast<ChunkPlace>(in.U8());
  row.size_bytes = in.U32();
  row.crc32c = in.U32();
  row.first_written = Timestamp(in.U64());
  row.partition = in.Id<PartitionId>();
  if (row.place == ChunkPlace::kJournal) {
    row.record = DecodeRecord(in);
    row.body_offset = in.U32();
  } else if (row.place == ChunkPlace::kExtent) {
    row.extent.extent = in.U32();
    row.extent.generation = in.U64();
    row.extent.offset = in.U64();
    row.extent.length = in.U32();
  } else if (row.place != ChunkPlace::kLost) {
    return Malformed("chunk");
  }
  if (!in.done()) return Malformed("chunk");
  return row;
}

absl::StatusOr<ChunkKeyParts> DecodeChunkKey(std::string_view key) {
  if (key.size() != ContainerId::kSize + RunId::kSize + 4) return Malformed("chunk key");
  Decoder in(key);
  ChunkKeyParts parts;
  parts.container = in.Id<ContainerId>();
  parts.chunk.run = in.Id<RunId>();
  parts.chunk.number = static_cast<uint32_t>(ReadSorted(key.substr(in.offset())));
  return parts;
}

}  // namespace meridian::storage
