// Durable records become rows, also when RocksDB finds no space in the middle of a batch.
#include "storage/store/commit_pipeline.h"

#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "storage/rocks/rocks_kv.h"
#include "storage/store/records.h"
#include "tests/fakes/fault_disk.h"
#include "tests/fakes/fault_env.h"
#include "tests/storage/rocks/keystream_ciphers.h"
#include "tests/until.h"

namespace meridian::storage {
namespace {

// Records are durable when the test says so, all that wait in one group.
class HeldJournal : public Journal {
 public:
  void Append(JournalRecord, Done done) override { waiting_.push_back(std::move(done)); }
  void CompleteGroup() {
    ++group_;
    for (Done& done : std::exchange(waiting_, {})) done(Appended{.location = {}, .group = group_});
  }
  absl::StatusOr<Buffer> Read(const RecordLocation&) const override {
    return absl::NotFoundError("this journal keeps nothing");
  }
  GroupNumber durable_group() const override { return group_; }
  std::vector<SegmentInfo> SegmentsInUse() const override { return {}; }
  void ReleaseBefore(uint64_t) override {}
  SyncCounts syncs() const override { return {}; }
  absl::Status health() const override { return absl::OkStatus(); }

 private:
  std::vector<Done> waiting_;
  GroupNumber group_ = 0;
};

// Runs tasks where they are posted; while it is held, whoever posts waits.
class HeldStrand : public Executor {
 public:
  void Post(Task task) override {
    {
      absl::MutexLock lock(&mutex_);
      blocked_ = held_;
      mutex_.Await(absl::Condition(
          +[](HeldStrand* self) { return !self->held_; }, this));
      blocked_ = false;
    }
    task();
  }
  TimerId PostAfter(absl::Duration, Task) override { return 0; }
  void Cancel(TimerId) override {}
  absl::Duration MonotonicNow() override { return absl::ZeroDuration(); }

  void Hold() {
    absl::MutexLock lock(&mutex_);
    held_ = true;
  }
  void WaitUntilBlocked() {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(&blocked_));
  }
  void Release() {
    absl::MutexLock lock(&mutex_);
    held_ = false;
  }

 private:
  absl::Mutex mutex_;
  bool held_ = false;
  bool blocked_ = false;
};

// A disk's index over RocksDB on a disk that may be full.
class DiskIndexTest : public testing::Test {
 protected:
  void SetUp() override {
    RocksOptions rocks;
    rocks.folder = "/rocks";
    rocks.ciphers = &ciphers_;
    rocks.base_env = env_.get();
    auto kv = RocksKv::Open(rocks);
    ASSERT_TRUE(kv.ok()) << kv.status();
    kv_ = *std::move(kv);
    index_ = std::make_unique<DiskIndex>(*kv_);
    ASSERT_TRUE(index_->Load().ok());
  }

  FaultDisk fault_disk_{1};
  const std::unique_ptr<Disk> disk_ = fault_disk_.Attach();
  const std::unique_ptr<rocksdb::Env> env_ = NewFaultEnv(*disk_);
  KeystreamCiphers ciphers_;
  std::unique_ptr<RocksKv> kv_;
  std::unique_ptr<DiskIndex> index_;
};

LogEntry Entry(uint64_t epoch, uint64_t index) {
  LogEntry entry;
  entry.epoch = Epoch(epoch);
  entry.index = LogIndex(index);
  entry.timestamp = Timestamp(index);
  return entry;
}

using CommitPipelineTest = DiskIndexTest;

// I4, P2: all of a batch is in the rows before any of it is answered; the journal's position would
// leave the rest behind.
TEST_F(CommitPipelineTest, IndexesTheWholeBatchAfterAFullDiskInItsMiddle) {
  SystemRandom random;
  OutOfService out_of_service(*disk_, nullptr);
  HeldStrand strand;
  HeldJournal journal;
  CommitPipeline pipeline(*index_, strand, out_of_service, 1 << 20);
  pipeline.Start(journal);
  const ReplicaId replica = ReplicaId::Draw(random);
  std::atomic<int> answered = 0;
  auto append = [&](RecordType type, std::string payload) {
    pipeline.Append(type, replica, {Buffer::FromString(std::move(payload))},
                    [&](const absl::Status& status) { answered += status.ok(); });
  };

  append(RecordType::kReplicaCreated,
         EncodeReplicaCreated({PartitionId::Draw(random), ContainerId::Draw(random)}));
  for (uint64_t i = 1; i <= 5; ++i) append(RecordType::kEntry, EncodeEntryHead(Entry(1, i)));
  journal.CompleteGroup();
  ASSERT_TRUE(pipeline.WaitUntilIndexed().ok());
  EXPECT_EQ(answered, 6);

  // While the pipeline is held up, a group becomes durable: one batch.
  strand.Hold();
  append(RecordType::kHardState, EncodeHardState(Epoch(1)));
  journal.CompleteGroup();
  strand.WaitUntilBlocked();
  fault_disk_.set_capacity_bytes(0);
  EXPECT_TRUE(absl::IsResourceExhausted(kv_->Flush()));
  append(RecordType::kHardState, EncodeHardState(Epoch(2)));
  append(RecordType::kTruncate, EncodeTruncate(LogIndex(3)));
  append(RecordType::kEntry, EncodeEntryHead(Entry(2, 3)));
  append(RecordType::kEntry, EncodeEntryHead(Entry(2, 4)));
  journal.CompleteGroup();
  strand.Release();
  EXPECT_TRUE(absl::IsResourceExhausted(pipeline.WaitUntilIndexed()));
  EXPECT_EQ(answered, 7);

  fault_disk_.set_capacity_bytes(uint64_t{1} << 40);
  ASSERT_TRUE(kv_->Flush().ok());
  ASSERT_TRUE(Until([&] { return pipeline.WaitUntilIndexed().ok(); }));
  EXPECT_EQ(answered, 11);
  const auto recovered = index_->Recover(replica);
  ASSERT_TRUE(recovered.ok()) << recovered.status();
  EXPECT_EQ(recovered->epochs, (std::vector<Epoch>{Epoch(1), Epoch(1), Epoch(2), Epoch(2)}));
  EXPECT_EQ(recovered->hard_state.promised, Epoch(2));
}

// I4: a write that was under way when its chunk was recorded as lost is acknowledged, so it is
// here.
TEST_F(DiskIndexTest, ARecordOfAChunkComesAfterItsLossAndGoesBeforeIt) {
  SystemRandom random;
  const ReplicaId replica = ReplicaId::Draw(random);
  const ContainerId container = ContainerId::Draw(random);
  const PartitionId partition = PartitionId::Draw(random);
  GroupNumber group = 0;
  auto add = [&](RecordType type, const std::string& payload) {
    const DiskIndex::Record record = {
        .type = type, .owner = replica, .payload = payload, .location = {}, .group = ++group};
    std::span<const DiskIndex::Record> records(&record, 1);
    ASSERT_TRUE(index_->Add(records).ok());
  };
  add(RecordType::kReplicaCreated, EncodeReplicaCreated({partition, container}));
  ChunkPlaced placed;
  placed.chunk = {.run = RunId::Draw(random), .number = 0};
  placed.location.length = 7;
  const ReplicaOnDisk owner{.replica = replica, .partition = partition, .container = container};
  ASSERT_TRUE(index_->PlaceLost(owner, placed.chunk, Timestamp(5)).ok());
  EXPECT_EQ(index_->CountLost(container), 1u);
  add(RecordType::kChunkPlaced, EncodeChunkPlaced(placed));
  for (int i = 0; i < 2; ++i) {
    const auto row = index_->FindChunk(container, placed.chunk);
    ASSERT_TRUE(row.ok() && row->has_value());
    EXPECT_EQ((*row)->place, ChunkPlace::kExtent);
    EXPECT_EQ((*row)->extent, placed.location);
    EXPECT_EQ((*row)->partition, partition);
    EXPECT_EQ(index_->CountLost(container), 0u);
    ASSERT_TRUE(index_->PlaceLost(owner, placed.chunk, Timestamp(6)).ok());
  }
}

}  // namespace
}  // namespace meridian::storage
