// What one replica keeps on its disk. Implementations: DiskStore's replicas (journal, extents,
// RocksDB) and the simulation's in-memory one, which loses what was not synced at a crash; one
// conformance test holds both.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/kv.h"
#include "storage/log_entry.h"
#include "storage/run_needs.h"

namespace meridian::storage {

// Durable promises of a replica. Only ever raised.
struct HardState {
  // Nothing from an epoch below is accepted (I3).
  Epoch promised;
  bool operator==(const HardState&) const = default;
};

// What a replica knows after its disk was opened.
struct RecoveredReplica {
  HardState hard_state;
  // The log holds (base_index, last_index]; base_epoch is the epoch of the entry at base_index.
  LogIndex base_index;
  Epoch base_epoch;
  // The epoch of every entry kept, in order: entry base_index + 1 + i has epochs[i].
  std::vector<Epoch> epochs;
  // Of the last of them; zero if there are none.
  Timestamp last_timestamp;
  // Everything up to it is in the state. Later committed entries are applied again.
  LogIndex applied_index;
  Timestamp applied_timestamp;
  // A snapshot install was cut off: the state is unusable until another install is done. The
  // replica may promise, and must never lead nor be adopted from (P6).
  bool installing = false;
};

struct PersistRequest {
  std::optional<HardState> hard_state = {};
  // Drop this entry and all after it before adding `entries`.
  std::optional<LogIndex> truncate_from = {};
  // Consecutive; the first follows the last one kept.
  std::vector<LogEntry> entries = {};
};

// Who looks after a run that nobody knows.
enum class RunOwner { kSelf, kSibling, kNobody };

// A replica's siblings are the replicas of its container's other partitions on the same disk. They
// share the container's chunks, and nothing else: a run is found by each of them, whoever wrote it,
// and none drops what another needs.
//
// Thread confinement: all calls come from the replica's strand, except the const readers (NewView,
// ReadChunk, health, AdmitNewData, StoredBytes), which are thread-safe. Callbacks run on that
// strand. An error from any write means that the disk is out of service: it is never retried
// (FAULTS). One exception: RESOURCE_EXHAUSTED from Apply, TrimTo, DropRun, PlaceLost, LoadInstall,
// FinishInstall and the chunk writes changed nothing (PlaceLost: nothing durable), and passes when
// the disk has space again: call again later. Persist and BeginInstall wait for space themselves.
class ReplicaStorage {
 public:
  using Done = std::function<void(absl::Status)>;

  virtual ~ReplicaStorage() = default;

  virtual const RecoveredReplica& recovered() const = 0;

  // Makes the request durable, then calls `done`; calls complete in order. ReadLog shows its effect
  // from this call on, and ReadChunk finds an inline body as chunk 0 of its run, until DropRun,
  // whatever of the log is trimmed. The caller has made sure that every chunk the entries reference
  // is durable here first (I4, P2).
  virtual void Persist(PersistRequest request, Done done) = 0;

  // Entries [first, last], fewer when they pass `max_bytes` (at least one). OUT_OF_RANGE if `first`
  // is not above the base any more: the reader needs a snapshot.
  virtual absl::StatusOr<std::vector<LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                        size_t max_bytes) const = 0;

  // As ReadLog, without holding up the strand: what is on disk only is read on a thread of the
  // disk's, however slow that is. `done` may be called within the call. ABORTED: the log was
  // truncated or replaced meanwhile; RESOURCE_EXHAUSTED: too many such reads wait.
  using LogRead = std::function<void(absl::StatusOr<std::vector<LogEntry>>)>;
  virtual void ReadLogLater(LogIndex first, LogIndex last, size_t max_bytes, LogRead done) const {
    done(ReadLog(first, last, max_bytes));
  }

  // Applies one or more committed entries' effects at once, and records applied_index with them.
  // Visible to NewView when it returns; durable after a crash by replay, not at once: the entry at
  // `applied_index` has been persisted here. A batch of local changes only (garbage forgotten)
  // repeats the last index, and may be lost at a crash.
  virtual absl::Status Apply(const KvBatch& batch, LogIndex applied_index,
                             Timestamp applied_timestamp) = 0;

  // Drops the log up to `index`, which is applied and not being installed: afterwards base_index()
  // is `index` or above. Ordered like Apply and DropRun: after a crash it is undone only together
  // with all that was called after it, so that a run dropped after the trim is never missed by an
  // entry that is still there.
  virtual absl::Status TrimTo(LogIndex index) = 0;
  virtual LogIndex base_index() const = 0;

  // A consistent view of the state. Keys are those the state machine wrote.
  virtual std::unique_ptr<KvReader> NewView() const = 0;

  // Not OK once the disk is out of service, whoever found out. Thread-safe.
  virtual absl::Status health() const = 0;

  // RESOURCE_EXHAUSTED while the disk has no room for new bodies: a leader asks before it proposes
  // an inline one. What has been proposed, deletes and promises still fit. UNAVAILABLE: the disk is
  // out of service. Thread-safe.
  virtual absl::Status AdmitNewData() const { return absl::OkStatus(); }

  // Stores ciphertext of a chunk; durable, and found by HasChunks after any crash, once `done` has
  // been called with OK (P2). Writing a chunk that is there already is OK and changes nothing.
  virtual void WriteChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) = 0;
  // The bytes [offset, offset + size) of a chunk's ciphertext. The stored whole is verified against
  // its checksum before any byte is returned. NOT_FOUND if it is not here; DATA_LOSS if corrupt.
  virtual absl::StatusOr<Buffer> ReadChunk(ChunkId chunk, size_t offset, size_t size) const = 0;
  // The whole of a chunk, likewise read beside the strand.
  struct StoredChunk {
    Buffer ciphertext;
    uint32_t crc32c = 0;
  };
  using ChunkRead = std::function<void(absl::StatusOr<StoredChunk>)>;
  virtual void ReadChunkLater(ChunkId chunk, ChunkRead done) const = 0;
  // Good bytes that a peer has delivered, of a chunk that is corrupt or missing here. They are not
  // new data: a disk that refuses that takes them as long as it can, since its replica cannot pass
  // the entries that need them, and until it does nothing is freed anywhere in the group (P8).
  virtual void RepairChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) = 0;
  // Length and checksum of the ciphertext, nullopt if the chunk is not here.
  struct ChunkInfo {
    uint32_t size_bytes = 0;
    uint32_t crc32c = 0;
  };
  virtual absl::StatusOr<std::optional<ChunkInfo>> StatChunk(ChunkId chunk) const = 0;
  // The chunks of `range` that are not durable here, or known to be damaged.
  virtual absl::StatusOr<std::vector<ChunkId>> MissingChunks(const ChunkRange& range) const = 0;
  // Records, durably before `done`, that the chunk cannot be had from anywhere: it counts as
  // damaged until it is written or repaired. No effect on a chunk that is here.
  virtual void PlaceLost(ChunkId chunk, Done done) = 0;
  // Chunks that were recorded as lost, or are known to be damaged, in order: up to `max` of those
  // after `after` (nullopt: from the first one on). And how many there are. The siblings' too.
  virtual std::vector<ChunkId> ListLost(std::optional<ChunkId> after, size_t max) const = 0;
  virtual uint64_t lost_chunks() const = 0;
  // Bytes of the chunks that this replica has brought here, bodies of log entries included, as they
  // are stored; what is of no use any more counts until it is dropped. For display: it may be a
  // little off until the next opening. Thread-safe.
  virtual uint64_t StoredBytes() const = 0;
  // Frees every chunk of the run, whoever wrote it. The caller has made sure that nothing
  // references it (P8), and in the same task that no sibling needs it.
  virtual absl::Status DropRun(RunId run) = 0;
  // Runs that have chunks here, bodies of log entries included, in order of id: up to `max` of
  // those after `after` (nil: from the first one on). Fewer: there are no more. For finding
  // orphans. `owner` goes by the partition whose replica wrote the run's first chunk: a hint only,
  // what a split's child references was written by the parent. kNobody: it has no replica here.
  struct StoredRun {
    RunId run;
    RunOwner owner = RunOwner::kSelf;
    bool operator==(const StoredRun&) const = default;
  };
  virtual absl::StatusOr<std::vector<StoredRun>> ListRuns(RunId after, size_t max) const = 0;

  // Tells the siblings what this replica needs; until then, and while it is not open, they take it
  // that it may need any run. `needs` lives until the storage is destroyed, or no task runs
  // between.
  virtual void TellNeeds(const RunNeeds& needs) = 0;
  // What the siblings need together; nullptr: there are none. Valid for the task that asks.
  virtual const RunNeeds* siblings() const = 0;

  // Replaces state and log by a leader's snapshot (P6): Begin (durable; the old state and log are
  // gone), Load in any number of pieces, Finish (durable; the log goes on after `index`). Promises
  // are kept, and may be raised meanwhile. Chunks that the snapshot references are written with
  // WriteChunk before Finish. Chunks that were here stay. Between the call of Begin and its `done`
  // only promises are persisted, and nothing is applied, loaded or trimmed.
  virtual void BeginInstall(Done done) = 0;
  virtual absl::Status LoadInstall(
      const std::vector<std::pair<std::string, std::string>>& rows) = 0;
  virtual void FinishInstall(LogIndex index, Epoch epoch, Timestamp timestamp, Done done) = 0;
};

}  // namespace meridian::storage
