#include "tests/fakes/memory_replica_storage.h"

#include "base/crc32c.h"
#include "tests/fakes/manual_executor.h"
#include "tests/storage/replica_chunk_conformance.h"
#include "tests/storage/replica_log_conformance.h"
#include "tests/storage/replica_sibling_conformance.h"
#include "tests/storage/replica_state_conformance.h"

namespace meridian::storage {
namespace {

class MemorySubject {
 public:
  MemorySubject() { Open(); }

  ReplicaStorage& storage() { return *storage_; }
  MemoryReplicaDisk& disk() { return disk_; }
  SeededRandom& random() { return random_; }
  void RunUntil(const std::function<bool()>& done) { strand_.RunUntil(done); }
  size_t Crash() {
    storage_.reset();
    sibling_.reset();
    size_t lost = disk_.LoseUnsynced(random_);
    if (sibling_disk_) lost += sibling_disk_->LoseUnsynced(random_);
    Open();
    return lost;
  }
  void Restart() {
    storage_.reset();
    Open();
  }
  void TrimLog(LogIndex index) {
    ASSERT_TRUE(storage_->TrimTo(index).ok());
    bool flushed = false;
    strand_.PostAfter(2 * MemoryDiskOptions().flush_interval, [&] { flushed = true; });
    strand_.RunUntil([&] { return flushed; });
  }
  void MakeSibling(bool installing) {
    sibling_disk_.emplace(MemoryDiskOptions(), PartitionId::Draw(random_), chunks_, installing);
  }
  void OpenSibling() {
    sibling_ = std::make_unique<MemoryReplicaStorage>(*sibling_disk_, strand_, random_);
  }
  void CloseSibling() { sibling_.reset(); }
  ReplicaStorage& sibling() { return *sibling_; }
  absl::Status RemoveSibling(const StateMachine& state_machine) {
    sibling_disk_->Remove(state_machine);
    return absl::OkStatus();
  }
  void Corrupt(ChunkId chunk) { ASSERT_TRUE(disk_.FlipBit(chunk, random_)); }

 private:
  void Open() { storage_ = std::make_unique<MemoryReplicaStorage>(disk_, strand_, random_); }

  SeededRandom random_{7};
  ManualExecutor strand_;
  const std::shared_ptr<MemoryChunks> chunks_ = std::make_shared<MemoryChunks>();
  MemoryReplicaDisk disk_{MemoryDiskOptions(), PartitionId::Draw(random_), chunks_,
                          /*installing=*/false};
  std::optional<MemoryReplicaDisk> sibling_disk_;
  std::unique_ptr<MemoryReplicaStorage> storage_;
  std::unique_ptr<MemoryReplicaStorage> sibling_;
};

INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ReplicaLogConformance, MemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ReplicaStateConformance, MemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ReplicaChunkConformance, MemorySubject);
INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ReplicaSiblingConformance, MemorySubject);

LogEntry Entry(uint64_t index) {
  LogEntry entry;
  entry.epoch = Epoch(1);
  entry.index = LogIndex(index);
  entry.command = "command";
  return entry;
}

// The fake is only worth its name if a crash does lose what was not synced.
TEST(MemoryReplicaStorage, ACrashLosesUnsyncedEntriesAndChunksInSomeRuns) {
  size_t lost_entries = 0;
  size_t lost_chunks = 0;
  for (int round = 0; round < 50; ++round) {
    MemorySubject subject;
    for (int i = 0; i < round; ++i) subject.random().Next();
    const RunId run = RunId::Draw(subject.random());
    subject.storage().Persist({.entries = {Entry(1), Entry(2)}}, [](absl::Status) {});
    subject.storage().WriteChunk({run, 0}, Buffer::FromString("x"), Crc32c("x"),
                                 [](absl::Status) {});
    const bool lost_bytes = subject.Crash() > 0;
    const bool lost_entry = subject.storage().recovered().epochs.size() < 2;
    const bool lost_chunk = !subject.storage().StatChunk({run, 0}).value().has_value();
    EXPECT_EQ(lost_bytes, lost_entry || lost_chunk);
    lost_entries += lost_entry;
    lost_chunks += lost_chunk;
  }
  EXPECT_GT(lost_entries, 5u);
  EXPECT_LT(lost_entries, 50u);
  EXPECT_GT(lost_chunks, 5u);
  EXPECT_LT(lost_chunks, 50u);
}

TEST(MemoryReplicaStorage, AKilledProcessLosesNoWriteThatTheDiskHas) {
  MemorySubject subject;
  subject.storage().Persist({.entries = {Entry(1), Entry(2)}}, [](absl::Status) {});
  subject.Restart();
  EXPECT_EQ(subject.storage().recovered().epochs.size(), 2u);
}

TEST(MemoryReplicaStorage, NoCallbackRunsAfterACrash) {
  MemorySubject subject;
  bool old_called = false;
  subject.storage().Persist({.entries = {Entry(1)}}, [&](absl::Status) { old_called = true; });
  subject.Restart();
  bool called = false;
  subject.storage().Persist({.entries = {Entry(2)}}, [&](absl::Status) { called = true; });
  subject.RunUntil([&] { return called; });
  EXPECT_FALSE(old_called);
}

TEST(MemoryReplicaStorage, AnAppliedStateFallsBackToTheLastFlush) {
  MemorySubject subject;
  bool persisted = false;
  subject.storage().Persist({.entries = {Entry(1)}}, [&](absl::Status) { persisted = true; });
  subject.RunUntil([&] { return persisted; });
  KvBatch batch;
  batch.Put("a", "1");
  ASSERT_TRUE(subject.storage().Apply(batch, LogIndex(1), Timestamp(1)).ok());
  subject.Crash();
  EXPECT_EQ(subject.storage().recovered().applied_index, LogIndex());
  EXPECT_EQ(subject.storage().NewView()->Get("a").value(), std::nullopt);
}

TEST(MemoryReplicaStorage, AFailedDiskAnswersNothingWithOk) {
  MemorySubject subject;
  std::optional<absl::Status> answer;
  subject.storage().Persist({.entries = {Entry(1)}}, [&](absl::Status status) { answer = status; });
  subject.disk().Fail();
  subject.RunUntil([&] { return answer.has_value(); });
  EXPECT_EQ(answer->code(), absl::StatusCode::kUnavailable);
  EXPECT_FALSE(subject.storage().Apply(KvBatch(), LogIndex(1), Timestamp(1)).ok());
  answer.reset();
  subject.storage().BeginInstall([&](absl::Status status) { answer = status; });
  subject.RunUntil([&] { return answer.has_value(); });
  EXPECT_EQ(answer->code(), absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace meridian::storage
