// A replica's storage whose disk is full, overloaded or slow when the test says so.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "storage/replica_storage.h"

namespace meridian::replication {

// Outlives the storages of all of a replica's lives.
struct StorageFaults {
  bool full = false;              // what changes rows answers RESOURCE_EXHAUSTED
  bool refuses_new_data = false;  // has room for all else
  int busy_writes = 0;            // so many chunk writes find the queue full
  int unflushed_losses = 0;       // so many PlaceLosts are recorded, and find no space for a flush
  bool busy_reads = false;        // ReadLogLater and ReadChunkLater find the queue full
  bool hold_reads = false;        // of ReadLogLater and ReadChunkLater
  size_t runs_listed = 0;         // by ListRuns
  bool hold_begin = false;        // BeginInstall is not answered
  bool found_failed = false;      // by others: only health() tells
  // Changes the next batch that is applied here, and nowhere else.
  std::function<void(storage::KvBatch&)> twist;
  std::vector<std::function<void()>> held;
  // The log's base when the run was dropped.
  std::map<RunId, LogIndex> base_at_drop;
};

class FaultyStorage : public storage::ReplicaStorage {
 public:
  FaultyStorage(std::unique_ptr<storage::ReplicaStorage> inner, StorageFaults& faults)
      : inner_(std::move(inner)), faults_(faults) {}
  ~FaultyStorage() override { faults_.held.clear(); }

  const storage::RecoveredReplica& recovered() const override { return inner_->recovered(); }
  void Persist(storage::PersistRequest request, Done done) override {
    inner_->Persist(std::move(request), std::move(done));
  }
  absl::StatusOr<std::vector<storage::LogEntry>> ReadLog(LogIndex first, LogIndex last,
                                                         size_t max_bytes) const override {
    return inner_->ReadLog(first, last, max_bytes);
  }
  void ReadLogLater(LogIndex first, LogIndex last, size_t max_bytes, LogRead done) const override {
    if (faults_.busy_reads) return done(absl::ResourceExhaustedError("too many reads wait"));
    if (!faults_.hold_reads) return inner_->ReadLogLater(first, last, max_bytes, std::move(done));
    faults_.held.push_back([this, first, last, max_bytes, done = std::move(done)] {
      inner_->ReadLogLater(first, last, max_bytes, done);
    });
  }
  void ReadChunkLater(storage::ChunkId chunk, ChunkRead done) const override {
    if (faults_.busy_reads) return done(absl::ResourceExhaustedError("too many reads wait"));
    if (!faults_.hold_reads) return inner_->ReadChunkLater(chunk, std::move(done));
    faults_.held.push_back(
        [this, chunk, done = std::move(done)] { inner_->ReadChunkLater(chunk, done); });
  }
  absl::Status Apply(const storage::KvBatch& batch, LogIndex index, Timestamp timestamp) override {
    if (faults_.full) return Full();
    if (!faults_.twist) return inner_->Apply(batch, index, timestamp);
    storage::KvBatch twisted = batch;
    std::exchange(faults_.twist, nullptr)(twisted);
    return inner_->Apply(twisted, index, timestamp);
  }
  absl::Status TrimTo(LogIndex index) override {
    return faults_.full ? Full() : inner_->TrimTo(index);
  }
  LogIndex base_index() const override { return inner_->base_index(); }
  std::unique_ptr<storage::KvReader> NewView() const override { return inner_->NewView(); }
  absl::Status health() const override {
    return faults_.found_failed ? absl::UnavailableError("out of service") : inner_->health();
  }
  absl::Status AdmitNewData() const override {
    return faults_.full || faults_.refuses_new_data ? Full() : inner_->AdmitNewData();
  }
  void WriteChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override {
    if (faults_.full || faults_.refuses_new_data) return done(Full());
    if (faults_.busy_writes > 0) {
      --faults_.busy_writes;
      return done(absl::ResourceExhaustedError("the disk's queue is full"));
    }
    inner_->WriteChunk(chunk, std::move(ciphertext), crc32c, std::move(done));
  }
  absl::StatusOr<Buffer> ReadChunk(storage::ChunkId chunk, size_t offset,
                                   size_t size) const override {
    return inner_->ReadChunk(chunk, offset, size);
  }
  void RepairChunk(storage::ChunkId chunk, Buffer ciphertext, uint32_t crc32c, Done done) override {
    if (faults_.full) return done(Full());
    inner_->RepairChunk(chunk, std::move(ciphertext), crc32c, std::move(done));
  }
  absl::StatusOr<std::optional<ChunkInfo>> StatChunk(storage::ChunkId chunk) const override {
    return inner_->StatChunk(chunk);
  }
  absl::StatusOr<std::vector<storage::ChunkId>> MissingChunks(
      const storage::ChunkRange& range) const override {
    return inner_->MissingChunks(range);
  }
  absl::Status DropRun(RunId run) override {
    if (faults_.full) return Full();
    faults_.base_at_drop[run] = inner_->base_index();
    return inner_->DropRun(run);
  }
  absl::StatusOr<std::vector<StoredRun>> ListRuns(RunId after, size_t max) const override {
    auto runs = inner_->ListRuns(after, max);
    if (runs.ok()) faults_.runs_listed += runs->size();
    return runs;
  }
  void TellNeeds(const storage::RunNeeds& needs) override { inner_->TellNeeds(needs); }
  const storage::RunNeeds* siblings() const override { return inner_->siblings(); }
  void PlaceLost(storage::ChunkId chunk, Done done) override {
    if (faults_.unflushed_losses == 0) return inner_->PlaceLost(chunk, std::move(done));
    --faults_.unflushed_losses;
    inner_->PlaceLost(chunk, [done = std::move(done)](const absl::Status&) { done(Full()); });
  }
  std::vector<storage::ChunkId> ListLost(std::optional<storage::ChunkId> after,
                                         size_t max) const override {
    return inner_->ListLost(after, max);
  }
  uint64_t StoredBytes() const override { return inner_->StoredBytes(); }
  uint64_t lost_chunks() const override { return inner_->lost_chunks(); }
  void BeginInstall(Done done) override {
    if (!faults_.hold_begin) return inner_->BeginInstall(std::move(done));
    faults_.held.push_back([this, done = std::move(done)] { inner_->BeginInstall(done); });
  }
  absl::Status LoadInstall(const std::vector<std::pair<std::string, std::string>>& rows) override {
    return faults_.full ? Full() : inner_->LoadInstall(rows);
  }
  void FinishInstall(LogIndex index, Epoch epoch, Timestamp timestamp, Done done) override {
    if (faults_.full) return done(Full());
    inner_->FinishInstall(index, epoch, timestamp, std::move(done));
  }

 private:
  static absl::Status Full() { return absl::ResourceExhaustedError("the disk is full"); }

  const std::unique_ptr<storage::ReplicaStorage> inner_;
  StorageFaults& faults_;
};

}  // namespace meridian::replication
