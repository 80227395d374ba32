// What DiskStore writes into a disk's journal.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/extents/extent_store.h"
#include "storage/log_entry.h"

namespace meridian::storage {

// The journal's record types; its owner field is the replica. Never renumber.
//
// payload           := version(1) body            version := 1
//   kHardState      := promised(8)
//   kTruncate       := from(8)                     drops this entry and all after it
//   kEntry          := epoch(8) index(8) timestamp(8) kind(1) inline_run(16) inline_crc32c(4)
//                      command_size(4) inline_size(4) range_count(4)
//                      { run(16) first(4) count(4) } command inline_body
//   kChunkPlaced    := run(16) number(4) replaces(1) first_written(8) crc32c(4)
//                      extent(4) generation(8) offset(8) length(4)
//   kReplicaCreated := partition(16) container(16)
//   kReplicaRemoved := (empty)
//   kInstallBegin   := (empty)                     the replica's state and log are gone
//   kReplicaCreatedInstalling := partition(16) container(16)   made with its install not done (P6)
// Integers are little endian. The journal's framing holds the checksum.
enum class RecordType : uint8_t {
  kHardState = 1,
  kTruncate = 2,
  kEntry = 3,
  kChunkPlaced = 4,
  kReplicaCreated = 5,
  kReplicaRemoved = 6,
  kInstallBegin = 7,
  kReplicaCreatedInstalling = 8,
};

struct ChunkPlaced {
  ChunkId chunk;
  bool replaces = false;  // supersedes a copy that is there (a repair)
  Timestamp first_written;
  uint32_t crc32c = 0;
  ChunkLocation location;
  bool operator==(const ChunkPlaced&) const = default;
};

struct ReplicaCreated {
  PartitionId partition;
  ContainerId container;
};

// What the log index keeps of an entry.
struct EntryHeader {
  Epoch epoch;
  LogIndex index;
  Timestamp timestamp;
  RunId inline_run;
  uint32_t inline_crc32c = 0;
  uint32_t inline_size = 0;
  uint32_t body_offset = 0;  // of the inline body in the payload
};

std::string EncodeHardState(Epoch promised);
std::string EncodeTruncate(LogIndex from);
// The payload without the inline body, which follows it.
std::string EncodeEntryHead(const LogEntry& entry);
std::string EncodeChunkPlaced(const ChunkPlaced& placed);
// Of kReplicaCreated and kReplicaCreatedInstalling.
std::string EncodeReplicaCreated(const ReplicaCreated& created);
// Of kReplicaRemoved and kInstallBegin.
std::string EncodeEmpty();

// DATA_LOSS if `payload` is not one of this type, FAILED_PRECONDITION if it is of a newer version.
absl::StatusOr<Epoch> DecodeHardState(std::string_view payload);
absl::StatusOr<LogIndex> DecodeTruncate(std::string_view payload);
absl::StatusOr<ChunkPlaced> DecodeChunkPlaced(std::string_view payload);
absl::StatusOr<ReplicaCreated> DecodeReplicaCreated(std::string_view payload);
// Of a payload or only its head.
absl::StatusOr<EntryHeader> DecodeEntryHeader(std::string_view payload);
// Shares the payload's inline body. Of a head alone, the entry's inline_body is empty.
absl::StatusOr<LogEntry> DecodeEntry(const Buffer& payload);

}  // namespace meridian::storage
