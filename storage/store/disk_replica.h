// One replica's part of a disk.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "storage/replica_storage.h"
#include "storage/store/checkpointer.h"
#include "storage/store/commit_pipeline.h"
#include "storage/store/data_reader.h"
#include "storage/store/disk_index.h"
#include "storage/store/read_pool.h"
#include "storage/store/space_guard.h"
#include "storage/store/told_needs.h"

namespace meridian::storage {

// Thread confinement as ReplicaStorage says.
class DiskReplica : public ReplicaStorage {
 public:
  // All outlive it.
  struct Parts {
    Executor& strand;
    Clock& clock;
    RocksKv& kv;
    DiskIndex& index;
    CommitPipeline& pipeline;
    ExtentStore& extents;
    const DataReader& reader;
    ReadPool& read_pool;
    const SpaceGuard& space;
    Checkpointer& checkpointer;
    OutOfService& out_of_service;
    ToldNeeds& told_needs;
    size_t log_cache_bytes;
  };
  // `base` is the index's, of the opening that CloseReplica ends.
  DiskReplica(const Parts& parts, const ReplicaOnDisk& id, RecoveredReplica recovered,
              std::shared_ptr<const std::atomic<uint64_t>> base);
  ~DiskReplica() override;

  const RecoveredReplica& recovered() const override { return recovered_; }
  void Persist(PersistRequest request, Done done) override;
  absl::StatusOr<std::vector<LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                size_t max_bytes) const override;
  void ReadLogLater(LogIndex first, LogIndex last, size_t max_bytes, LogRead done) const override;
  absl::Status Apply(const KvBatch& batch, LogIndex applied_index,
                     Timestamp applied_timestamp) override;
  absl::Status TrimTo(LogIndex index) override;
  LogIndex base_index() const override { return LogIndex(*base_); }
  std::unique_ptr<KvReader> NewView() const override;
  absl::Status health() const override { return parts_.out_of_service.health(); }
  absl::Status AdmitNewData() const override { return parts_.space.Admit(); }
  void WriteChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override;
  absl::StatusOr<Buffer> ReadChunk(ChunkId chunk, size_t offset, size_t size) const override;
  void ReadChunkLater(ChunkId chunk, ChunkRead done) const override;
  void RepairChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override;
  absl::StatusOr<std::optional<ChunkInfo>> StatChunk(ChunkId chunk) const override;
  absl::StatusOr<std::vector<ChunkId>> MissingChunks(const ChunkRange& range) const override;
  absl::Status DropRun(RunId run) override;
  absl::StatusOr<std::vector<StoredRun>> ListRuns(RunId after, size_t max) const override;
  void TellNeeds(const RunNeeds& needs) override { parts_.told_needs.Set(id_.replica, needs); }
  const RunNeeds* siblings() const override;
  void PlaceLost(ChunkId chunk, Done done) override;
  std::vector<ChunkId> ListLost(std::optional<ChunkId> after, size_t max) const override {
    return parts_.index.ListLost(id_.container, after, max);
  }
  uint64_t StoredBytes() const override { return parts_.index.StoredBytes(id_); }
  uint64_t lost_chunks() const override { return parts_.index.CountLost(id_.container); }
  void BeginInstall(Done done) override;
  absl::Status LoadInstall(const std::vector<std::pair<std::string, std::string>>& rows) override;
  void FinishInstall(LogIndex index, Epoch epoch, Timestamp timestamp, Done done) override;

 private:
  // A Persist that has not been answered; answers are given in order.
  struct Waiting {
    Done done;
    std::optional<absl::Status> answer;
  };
  struct CachedEntry {
    LogEntry entry;
    uint64_t ticket = 0;  // of the Persist that brought it
  };

  // Shows the request's effect to ReadLog.
  void Remember(const PersistRequest& request, uint64_t ticket);
  // Hands on what is held back, as far as there is room.
  void WriteDeferred();
  void RetryDeferred();
  void Write(PersistRequest request, uint64_t ticket);
  void OnPersisted(uint64_t ticket, const absl::Status& status);
  void ShrinkCache();
  // `replaces`: is not new data, and supersedes what is here.
  void PlaceChunk(ChunkId chunk, Buffer ciphertext, uint32_t crc32c, bool replaces, Done done);
  void OnInstallFlushed(const absl::Status& status, const Done& done);
  absl::StatusOr<LogEntry> ReadEntry(LogIndex index) const;
  // What is not in cache_. Any thread.
  static absl::StatusOr<LogEntry> ReadRow(const DataReader& reader, const ReplicaOnDisk& id,
                                          const std::atomic<uint64_t>& base, LogIndex index);
  // Runs on the strand, unless the replica has gone by then.
  Done OnStrand(Done done);
  void PostDone(Done done, absl::Status status);
  absl::Status WriteRows(const RocksBatch& batch);

  const Parts parts_;
  const ReplicaOnDisk id_;
  const std::string state_prefix_;
  const RecoveredReplica recovered_;
  const std::shared_ptr<const std::atomic<uint64_t>> base_;

  mutable std::optional<JointNeeds> siblings_;  // as the last call of siblings() found them

  HardState hard_state_;
  LogIndex last_index_;
  uint64_t log_changes_ = 0;  // truncations and installs
  // The newest entries, consecutive up to last_index_; those whose Persist is not answered are all
  // here, the rows do not show them yet.
  std::deque<CachedEntry> cache_;
  size_t cache_bytes_ = 0;

  // Tickets number Persists from 1; waiting_ holds those above answered_.
  std::deque<Waiting> waiting_;
  uint64_t answered_ = 0;
  // Of the first Persist that failed: entries after it would leave a gap.
  absl::Status failure_;

  bool installing_ = false;
  // FinishInstall waits for its flush: Persists wait for it, their records must not be durable
  // before the state that they follow.
  bool finishing_install_ = false;
  // Also while the disk's queue is full: held back, in order. Bounded by what the caller has in
  // flight.
  struct Deferred {
    PersistRequest request;
    uint64_t ticket = 0;
    Done install_begun;  // not null: the begin of an install instead of a Persist
  };
  std::deque<Deferred> deferred_;
  bool retrying_ = false;

  // Read and written on the strand only.
  const std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace meridian::storage
