// The rows that DiskStore keeps in RocksDB. (Object state is the state machine's: DiskStore only
// puts the ids of container and partition before its keys.)
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/disk_store.h"
#include "storage/extents/extent_store.h"
#include "storage/journal/journal.h"
#include "storage/log_entry.h"

namespace meridian::storage {

// Family kMeta:
//   'f'                     -> version(1) disk(16)                 whose rows these are
//   'p'                     -> version(1) group(8) records(4)      the journal position they stand
//                                                                  at
//   'c' container(16) partition(16)
//                           -> version(1) replica(16)              who owns a partition here (P6)
//   'h' replica(16)         -> version(1) promised(8)
//   'b' replica(16)         -> version(1) index(8) epoch(8)        the log's base
//   'a' replica(16)         -> version(1) index(8) timestamp(8)    what is applied
//   'i' replica(16)         -> version(1)                          a snapshot install is not done
// Family kLog:
//   container(16) partition(16) index(8, big endian)
//                           -> version(1) where(1) epoch(8) timestamp(8) inline_run(16) place
//     where 1: place := segment(4) life(8) offset(8) length(4)     the journal record
//     where 2: place := the journal payload of kEntry without its inline body, which is a chunk
//     where 3: place := (empty)                                    found damaged
// Family kChunk:
//   container(16) run(16) number(4, big endian)
//                           -> version(1) where(1) size(4) crc32c(4) first_written(8)
//                              partition(16) place
//     where 1: place := segment(4) life(8) offset(8) length(4) body_offset(4)
//                                                                  in an entry's record
//     where 2: place := extent(4) generation(8) offset(8) length(4)
//     where 3: place := (empty)                                    found damaged
// Family kState:
//   container(16) partition(16) key -> value                       the state machine's
// version := 2. Integers are little endian unless said.

std::string FormatKey();
std::string PositionKey();
std::string RangePrefix();
std::string RangeKey(const ReplicaOnDisk& replica);
std::string PromiseKey(ReplicaId replica);
std::string BaseKey(ReplicaId replica);
std::string AppliedKey(ReplicaId replica);
std::string InstallKey(ReplicaId replica);
// Of all rows of its log, and of its state.
std::string LogPrefix(const ReplicaOnDisk& replica);
constexpr size_t kStatePrefixBytes = ContainerId::kSize + PartitionId::kSize;
std::string StatePrefix(const ReplicaOnDisk& replica);
std::string LogKey(const ReplicaOnDisk& replica, LogIndex index);
std::string RunPrefix(ContainerId container, RunId run);
std::string ChunkKey(ContainerId container, ChunkId chunk);

// A point in the journal: `records` of the group have been seen, and all of earlier groups.
struct JournalPosition {
  GroupNumber group = 0;
  uint32_t records = 0;
  bool operator==(const JournalPosition&) const = default;
};

struct LogBase {
  LogIndex index;
  Epoch epoch;
};

struct AppliedPoint {
  LogIndex index;
  Timestamp timestamp;
};

// Never renumber either.
enum class EntryPlace : uint8_t { kJournal = 1, kRow = 2, kLost = 3 };
enum class ChunkPlace : uint8_t { kJournal = 1, kExtent = 2, kLost = 3 };

struct LogRow {
  EntryPlace place = EntryPlace::kLost;
  Epoch epoch;
  Timestamp timestamp;
  RunId inline_run;
  RecordLocation record;  // kJournal
  std::string head;       // kRow
  bool operator==(const LogRow&) const = default;
};

struct ChunkRow {
  ChunkPlace place = ChunkPlace::kLost;
  uint32_t size_bytes = 0;
  uint32_t crc32c = 0;
  Timestamp first_written;
  // Whose replica wrote it first: a hint of who looks after a run that nobody knows. After a split,
  // runs of the child's objects still carry the parent's.
  PartitionId partition;
  RecordLocation record;     // kJournal
  uint32_t body_offset = 0;  // kJournal
  ChunkLocation extent;      // kExtent
  bool operator==(const ChunkRow&) const = default;
};

std::string EncodeFormatRow(DiskId disk);
std::string EncodePosition(const JournalPosition& position);
std::string EncodeRange(const ReplicaOnDisk& replica);
std::string EncodePromise(Epoch promised);
std::string EncodeBase(const LogBase& base);
std::string EncodeApplied(const AppliedPoint& applied);
std::string EncodeInstalling();
std::string EncodeLogRow(const LogRow& row);
std::string EncodeChunkRow(const ChunkRow& row);

// DATA_LOSS if malformed; FAILED_PRECONDITION if of another version.
absl::StatusOr<DiskId> DecodeFormatRow(std::string_view value);
absl::StatusOr<JournalPosition> DecodePosition(std::string_view value);
absl::StatusOr<ReplicaOnDisk> DecodeRange(std::string_view key, std::string_view value);
absl::StatusOr<Epoch> DecodePromise(std::string_view value);
absl::StatusOr<LogBase> DecodeBase(std::string_view value);
absl::StatusOr<AppliedPoint> DecodeApplied(std::string_view value);
absl::StatusOr<LogRow> DecodeLogRow(std::string_view value);
absl::StatusOr<LogIndex> DecodeLogKey(std::string_view key);
absl::StatusOr<ChunkRow> DecodeChunkRow(std::string_view value);
struct ChunkKeyParts {
  ContainerId container;
  ChunkId chunk;
};
absl::StatusOr<ChunkKeyParts> DecodeChunkKey(std::string_view key);

}  // namespace meridian::storage
