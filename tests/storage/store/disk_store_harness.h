// A DiskStore on a real folder with real keys, that can be destroyed and opened again.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "crypto/node_key.h"
#include "gtest/gtest.h"
#include "storage/disk_store.h"
#include "storage/node_record_sealers.h"
#include "storage/posix_disk.h"
#include "storage/rocks/node_file_ciphers.h"
#include "tests/fakes/fault_disk.h"
#include "tests/fakes/manual_executor.h"
#include "tests/temp_folder.h"

namespace meridian::storage {

// The test's thread is the strand.
class DiskStoreHarness {
 public:
  DiskStoreHarness() {
    options_.cluster = ClusterId::Draw(random_);
    options_.node = "east-1a";
    options_.strand = &strand_;
    options_.clock = &clock_;
    options_.random = &random_;
    options_.file_ciphers = &ciphers_;
    options_.record_sealers = &sealers_;
    options_.rocks_folder = folder_.path() + "/rocks";
    // Small, so that tests roll and recycle often.
    options_.segment_bytes = 256 << 10;
    options_.max_record_bytes = 64 << 10;
    options_.extent_bytes = 1 << 20;
    options_.max_chunk_bytes = 256 << 10;
    options_.ballast_bytes = 64 << 10;
    options_.log_cache_bytes = 16 << 10;
    options_.maintenance_interval = absl::Hours(1);
  }
  ~DiskStoreHarness() { Close(); }

  DiskStoreOptions& options() { return options_; }
  const std::string& path() const { return folder_.path(); }
  ManualExecutor& strand() { return strand_; }
  Random& random() { return random_; }
  Disk& disk() { return *disk_; }
  DiskStore& store() { return *store_; }
  ReplicaStorage& storage() { return *storage_; }
  const ReplicaOnDisk& replica() const { return replica_; }

  // The journal and the extents on `disk`, which outlives the harness; RocksDB stays in the folder.
  void UseFaultDisk(FaultDisk* disk) { fault_disk_ = disk; }

  absl::Status TryOpen() {
    if (fault_disk_ != nullptr) {
      disk_ = fault_disk_->Attach();
    } else {
      absl::StatusOr<std::unique_ptr<Disk>> disk = OpenPosixDisk(folder_.path());
      if (!disk.ok()) return disk.status();
      disk_ = *std::move(disk);
    }
    absl::StatusOr<std::unique_ptr<DiskStore>> store = DiskStore::Open(*disk_, options_);
    if (!store.ok()) return store.status();
    store_ = *std::move(store);
    return absl::OkStatus();
  }
  // With one replica, made at the first opening.
  void Open() {
    const absl::Status opened = TryOpen();
    ASSERT_TRUE(opened.ok()) << opened;
    if (store_->ListReplicas().empty()) {
      replica_ = {.replica = ReplicaId::Draw(random_),
                  .partition = PartitionId::Draw(random_),
                  .container = ContainerId::Draw(random_)};
      ASSERT_TRUE(store_->CreateReplica(replica_, /*installing=*/false).ok());
    }
    OpenReplica();
  }
  void OpenReplica() {
    absl::StatusOr<std::unique_ptr<ReplicaStorage>> storage = store_->OpenReplica(replica_.replica);
    ASSERT_TRUE(storage.ok()) << storage.status();
    storage_ = *std::move(storage);
  }
  // As kill -9: nothing is flushed.
  void Close() {
    storage_.reset();
    store_.reset();
    disk_.reset();
  }
  void CloseReplica() { storage_.reset(); }
  void Crash() {
    Close();
    Open();
  }

  // Waits for a write that `start` begins.
  absl::Status Await(const std::function<void(ReplicaStorage::Done)>& start) {
    std::optional<absl::Status> answer;
    start([&answer](absl::Status status) { answer = std::move(status); });
    strand_.RunUntil([&answer] { return answer.has_value(); });
    return *answer;
  }
  absl::Status Persist(PersistRequest request) {
    return Await(
        [&](ReplicaStorage::Done done) { storage_->Persist(std::move(request), std::move(done)); });
  }
  absl::Status WriteChunk(ChunkId chunk, const std::string& bytes) {
    return Await([&](ReplicaStorage::Done done) {
      storage_->WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  absl::Status RepairChunk(ChunkId chunk, const std::string& bytes) {
    return Await([&](ReplicaStorage::Done done) {
      storage_->RepairChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  static LogEntry Entry(uint64_t epoch, uint64_t index, std::string command = "command") {
    LogEntry entry;
    entry.epoch = Epoch(epoch);
    entry.index = LogIndex(index);
    entry.timestamp = Timestamp(1000 + index);
    entry.command = std::move(command);
    return entry;
  }
  // `bytes` as the body of `run` in the entry.
  static LogEntry WithBody(LogEntry entry, RunId run, const std::string& bytes) {
    entry.inline_run = run;
    entry.inline_body = Buffer::FromString(bytes);
    entry.inline_crc32c = Crc32c(bytes);
    return entry;
  }
  // Makes the journal go on in another segment.
  void RollSegment() {
    const uint64_t before = store_->Stats()->segments_in_use;
    while (store_->Stats()->segments_in_use == before) {
      ASSERT_TRUE(Persist({.hard_state = storage_->recovered().hard_state,
                           .truncate_from = std::nullopt,
                           .entries = {}})
                      .ok());
    }
  }

 private:
  TempFolder folder_;
  FaultDisk* fault_disk_ = nullptr;
  SystemRandom random_;
  SystemClock clock_;
  ManualExecutor strand_;
  const crypto::NodeKey key_{crypto::SecretKey::Draw(random_)};
  NodeFileCiphers ciphers_{key_, random_};
  NodeRecordSealers sealers_{key_};
  DiskStoreOptions options_;
  ReplicaOnDisk replica_;
  std::unique_ptr<Disk> disk_;
  std::unique_ptr<DiskStore> store_;
  std::unique_ptr<ReplicaStorage> storage_;
};

}  // namespace meridian::storage
