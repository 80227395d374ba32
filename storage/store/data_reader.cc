#include "storage/store/data_reader.h"

#include <optional>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/status.h"

namespace meridian::storage {
namespace {

// A place may be recycled between the look at its row and the read: then the row has changed. More
// often in a row than this it does not happen.
constexpr int kMaxAttempts = 16;

}  // namespace

absl::StatusOr<Buffer> DataReader::ReadChunk(ContainerId container, ChunkId chunk, size_t offset,
                                             size_t size) const {
  std::optional<ChunkRow> last;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::optional<ChunkRow> row, index_.FindChunk(container, chunk));
    if (!row.has_value()) {
      return absl::NotFoundError(absl::StrCat("chunk ", chunk.run.ToHex(), "/", chunk.number));
    }
    // Of one that was never here not even the size is known.
    if (row->place != ChunkPlace::kLost &&
        (offset > row->size_bytes || size > row->size_bytes - offset)) {
      return absl::OutOfRangeError(
          absl::StrCat("bytes ", offset, "+", size, " of a chunk of ", row->size_bytes));
    }
    if (last == row) break;
    absl::StatusOr<Buffer> bytes = ReadPlace(container, chunk, *row, offset, size);
    // What is recorded as lost was counted when it was found.
    if (absl::IsDataLoss(bytes.status()) && row->place != ChunkPlace::kLost) CountCorrupt();
    if (!absl::IsNotFound(bytes.status())) return bytes;
    last = row;
  }
  CountCorrupt();
  return absl::DataLossError("the chunk's row names a place that does not hold it");
}

absl::StatusOr<Buffer> DataReader::ReadPlace(ContainerId container, ChunkId chunk,
                                             const ChunkRow& row, size_t offset,
                                             size_t size) const {
  switch (row.place) {
    case ChunkPlace::kExtent:
      return extents_.Read(
          row.extent, {.container = container, .chunk = chunk, .crc32c = row.crc32c}, offset, size);
    case ChunkPlace::kJournal: {
      ASSIGN_OR_RETURN(const Buffer body, ReadBody(row));
      return body.Slice(offset, size);
    }
    case ChunkPlace::kLost:
      break;
  }
  return absl::DataLossError("the chunk was found damaged before");
}

absl::StatusOr<Buffer> DataReader::ReadBody(const ChunkRow& row) const {
  ASSIGN_OR_RETURN(const Buffer payload, journal_.Read(row.record));
  if (payload.size() != uint64_t{row.body_offset} + row.size_bytes) {
    return absl::DataLossError("an inline body is not where its row says");
  }
  Buffer body = payload.Slice(row.body_offset, row.size_bytes);
  if (Crc32c(body.view()) != row.crc32c) {
    return absl::DataLossError("an inline body does not match its checksum");
  }
  return body;
}

absl::StatusOr<LogEntry> DataReader::ReadEntry(const ReplicaOnDisk& replica, LogIndex index) const {
  std::optional<LogRow> last;
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    ASSIGN_OR_RETURN(const std::optional<LogRow> row, index_.FindEntry(replica, index));
    if (!row.has_value()) return absl::NotFoundError(absl::StrCat("log entry ", index.value()));
    if (last == row) break;
    absl::StatusOr<LogEntry> entry = ReadRow(replica.container, *row);
    if (absl::IsDataLoss(entry.status()) && row->place == EntryPlace::kJournal) CountCorrupt();
    if (entry.ok() && entry->index != index) break;
    if (!absl::IsNotFound(entry.status())) return entry;
    last = row;
  }
  CountCorrupt();
  return absl::DataLossError(
      absl::StrCat("log entry ", index.value(), " is not where its row says"));
}

absl::StatusOr<LogEntry> DataReader::ReadRow(ContainerId container, const LogRow& row) const {
  switch (row.place) {
    case EntryPlace::kJournal: {
      ASSIGN_OR_RETURN(const Buffer payload, journal_.Read(row.record));
      return DecodeEntry(payload);
    }
    case EntryPlace::kRow: {
      ASSIGN_OR_RETURN(LogEntry entry, DecodeEntry(Buffer::FromString(row.head)));
      ASSIGN_OR_RETURN(const EntryHeader header, DecodeEntryHeader(row.head));
      if (header.inline_size > 0) {
        ASSIGN_OR_RETURN(
            entry.inline_body,
            ReadChunk(container, {.run = header.inline_run, .number = 0}, 0, header.inline_size));
      }
      return entry;
    }
    case EntryPlace::kLost:
      break;
  }
  return absl::DataLossError("the log entry was found damaged before");
}

}  // namespace meridian::storage
