// A ReplicaStorage in memory that forgets at a crash what its disk had not synced.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/random.h"
#include "storage/replica_storage.h"
#include "storage/run_needs.h"
#include "storage/state_machine.h"
#include "tests/fakes/memory_kv.h"

namespace meridian::storage {

struct MemoryDiskOptions {
  // A sync takes a random time between these, times the disk's slowness.
  absl::Duration min_sync = absl::Microseconds(100);
  absl::Duration max_sync = absl::Milliseconds(2);
  // The state and what was trimmed of the log are flushed this long after the first change.
  absl::Duration flush_interval = absl::Milliseconds(300);
};

// The chunks that the replicas of one container share on a disk, and which replicas those are.
// Thread-safe, but for what replicas need, which is the strand's.
class MemoryChunks {
 private:
  friend class MemoryReplicaDisk;
  friend class MemoryReplicaStorage;

  struct Chunk {
    Buffer bytes;
    uint32_t crc32c = 0;
    PartitionId partition;  // whose replica wrote it
    bool durable = false;
    bool lost = false;  // recorded as such; no bytes
  };

  void Place(ChunkId chunk, Chunk written) ABSL_LOCKS_EXCLUDED(mutex_);
  // As DiskIndex::ClaimRun.
  void Claim(RunId run, PartitionId partition) ABSL_LOCKS_EXCLUDED(mutex_);

  mutable absl::Mutex mutex_;
  // Durable and not.
  std::map<ChunkId, Chunk> chunks_ ABSL_GUARDED_BY(mutex_);
  // At least those of chunks_ that are lost.
  std::set<ChunkId> maybe_lost_ ABSL_GUARDED_BY(mutex_);
  // nullptr: not open, or has not told.
  std::map<PartitionId, const RunNeeds*> replicas_ ABSL_GUARDED_BY(mutex_);
};

// One replica's part of a disk: what is still there after a crash. Thread-safe.
class MemoryReplicaDisk {
 public:
  explicit MemoryReplicaDisk(MemoryDiskOptions options)
      : MemoryReplicaDisk(options, PartitionId(), std::make_shared<MemoryChunks>(),
                          /*installing=*/false) {}
  // Of a container whose replicas on this disk share `chunks`. `installing`: as
  // DiskStore::CreateReplica.
  MemoryReplicaDisk(MemoryDiskOptions options, PartitionId partition,
                    std::shared_ptr<MemoryChunks> chunks, bool installing);

  // As DiskStore::RemoveReplica; not used any more after.
  void Remove(const StateMachine& state_machine);

  // Power fails, with no storage open: of the log writes not synced a random prefix survives, of
  // the chunks a random subset; applied effects fall back to the last flush. Returns the bytes
  // lost.
  size_t LoseUnsynced(Random& random);
  // Bit rot. False: the chunk is not here, or is empty.
  bool FlipBit(ChunkId chunk, Random& random);
  std::vector<ChunkId> Chunks() const;
  // 1: as the options say.
  void SetSlowness(double factor);
  // Every later sync fails, and nothing that was not synced becomes durable.
  void Fail();

 private:
  friend class MemoryReplicaStorage;

  struct Log {
    LogIndex base_index;
    Epoch base_epoch;
    std::deque<LogEntry> entries = {};

    LogIndex last_index() const { return base_index + entries.size(); }
    void TruncateFrom(LogIndex index);
    void TrimTo(LogIndex index);
  };
  // An applied batch that no flush has covered.
  struct AppliedBatch {
    KvBatch batch;
    LogIndex index;
    Timestamp timestamp;
  };
  struct State {
    std::map<std::string, std::string> rows;
    LogIndex applied_index;
    Timestamp applied_timestamp;
  };
  struct Install {
    State state;
    Epoch epoch;
  };
  // An ordered write: a Persist's or, with `install`, a FinishInstall's.
  struct LogWrite {
    PersistRequest request;
    std::optional<Install> install;
  };

  void MakeDurable(LogWrite& write) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Flush(LogIndex trimmed) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // At a crash: what no flush has covered is undone, and a trim is undone with it.
  void BringBackDropped() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static void ApplyTo(State& state, AppliedBatch& applied);

  const MemoryDiskOptions options_;
  const PartitionId partition_;
  const std::shared_ptr<MemoryChunks> chunks_;  // its lock comes after this one's
  mutable absl::Mutex mutex_;
  // What a power failure leaves. The state never runs ahead of the log.
  HardState hard_state_ ABSL_GUARDED_BY(mutex_);
  Log log_ ABSL_GUARDED_BY(mutex_);
  State flushed_ ABSL_GUARDED_BY(mutex_);
  bool installing_ ABSL_GUARDED_BY(mutex_) = false;
  // Chunks whose drop no flush has covered: a crash brings them back.
  std::map<ChunkId, MemoryChunks::Chunk> dropped_ ABSL_GUARDED_BY(mutex_);
  // Handed to the disk and not synced, in order.
  std::deque<LogWrite> unsynced_ ABSL_GUARDED_BY(mutex_);
  // In order of index.
  std::deque<AppliedBatch> unflushed_ ABSL_GUARDED_BY(mutex_);
  double slowness_ ABSL_GUARDED_BY(mutex_) = 1;
  bool failed_ ABSL_GUARDED_BY(mutex_) = false;
};

// Opens a MemoryReplicaDisk. Destroying it is a crash of the process: no callback runs after, what
// was not synced stays with the disk, and is there at the next opening unless the disk loses it.
class MemoryReplicaStorage : public ReplicaStorage {
 public:
  // All outlive the storage; `random` is used on the strand only. One storage a disk at a time.
  MemoryReplicaStorage(MemoryReplicaDisk& disk, Executor& strand, Random& random);
  ~MemoryReplicaStorage() override;

  const RecoveredReplica& recovered() const override { return recovered_; }
  void Persist(PersistRequest request, Done done) override;
  absl::StatusOr<std::vector<LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                size_t max_bytes) const override;
  absl::Status Apply(const KvBatch& batch, LogIndex applied_index,
                     Timestamp applied_timestamp) override;
  absl::Status TrimTo(LogIndex index) override;
  LogIndex base_index() const override { return log_.base_index; }
  std::unique_ptr<KvReader> NewView() const override;
  absl::Status health() const override;
  void WriteChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override;
  absl::StatusOr<Buffer> ReadChunk(ChunkId chunk, size_t offset, size_t size) const override;
  // Both at once: simulations have one thread.
  void ReadChunkLater(ChunkId chunk, ChunkRead done) const override;
  void RepairChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override;
  absl::StatusOr<std::optional<ChunkInfo>> StatChunk(ChunkId chunk) const override;
  absl::StatusOr<std::vector<ChunkId>> MissingChunks(const ChunkRange& range) const override;
  absl::Status DropRun(RunId run) override;
  absl::StatusOr<std::vector<StoredRun>> ListRuns(RunId after, size_t max) const override;
  void TellNeeds(const RunNeeds& needs) override;
  const RunNeeds* siblings() const override;
  void PlaceLost(ChunkId chunk, Done done) override;
  std::vector<ChunkId> ListLost(std::optional<ChunkId> after, size_t max) const override;
  uint64_t StoredBytes() const override;
  uint64_t lost_chunks() const override { return ListLost(std::nullopt, SIZE_MAX).size(); }
  void BeginInstall(Done done) override;
  absl::Status LoadInstall(const std::vector<std::pair<std::string, std::string>>& rows) override;
  void FinishInstall(LogIndex index, Epoch epoch, Timestamp timestamp, Done done) override;

 private:
  void Enqueue(MemoryReplicaDisk::LogWrite write, Done done);
  void StartSync();
  void FinishSync(size_t writes);
  void ScheduleFlush();
  // Runs `task` on the strand after `delay`, unless the storage goes first.
  void After(absl::Duration delay, Task task);
  absl::Duration SyncTime();
  absl::Status ChunkSynced(ChunkId chunk);

  MemoryReplicaDisk& disk_;
  Executor& strand_;
  Random& random_;
  RecoveredReplica recovered_;
  // The log with what is not synced yet.
  MemoryReplicaDisk::Log log_;
  std::shared_ptr<MemoryKv> state_ ABSL_GUARDED_BY(state_mutex_);
  mutable absl::Mutex state_mutex_;
  // Of disk_.unsynced_, in its order.
  std::deque<Done> waiting_;
  bool syncing_ = false;
  bool flush_scheduled_ = false;
  LogIndex trimmed_;
  mutable std::optional<JointNeeds> siblings_;  // as the last call of siblings() found them
  std::set<Executor::TimerId> timers_;
};

}  // namespace meridian::storage
