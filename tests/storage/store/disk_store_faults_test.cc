// Failing hardware below the journal and the extents.
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "tests/fakes/fault_disk.h"
#include "tests/fakes/fault_env.h"
#include "tests/fakes/space_quota.h"
#include "tests/storage/store/disk_store_harness.h"
#include "tests/until.h"

namespace meridian::storage {
namespace {

class DiskStoreFaults : public testing::Test {
 protected:
  DiskStoreFaults() {
    harness_.UseFaultDisk(&disk_);
    harness_.options().reserve_bytes = 1 << 20;
    harness_.options().on_out_of_service = [this](const absl::Status& status) {
      absl::MutexLock lock(&mutex_);
      failures_.push_back(status);
    };
    harness_.Open();
  }
  size_t failures() {
    absl::MutexLock lock(&mutex_);
    return failures_.size();
  }
  absl::Status PersistEntry(uint64_t index) {
    PersistRequest request;
    request.entries.push_back(DiskStoreHarness::Entry(1, index));
    return harness_.Persist(std::move(request));
  }
  absl::Status Promise(uint64_t epoch) {
    return harness_.Persist(
        {.hard_state = HardState{Epoch(epoch)}, .truncate_from = std::nullopt, .entries = {}});
  }
  // Chunks until there is no room for new ones: one of a run.
  std::vector<RunId> Fill(const std::string& bytes) {
    std::vector<RunId> runs;
    absl::Status status;
    while (status.ok() && runs.size() < 1000) {
      runs.push_back(RunId::Draw(harness_.random()));
      status = harness_.WriteChunk({.run = runs.back(), .number = 0}, bytes);
    }
    EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
    runs.pop_back();
    return runs;
  }
  std::vector<std::string> Names(const std::string& dir) {
    return harness_.disk().List(dir).value();
  }
  // The file and the offset where `bytes` lie; the path is empty if nowhere.
  std::pair<std::string, uint64_t> Find(const std::string& dir, const std::string& bytes) {
    for (const std::string& name : Names(dir)) {
      const std::string path = absl::StrCat(dir, "/", name);
      const size_t at = disk_.Contents(path).find(bytes);
      if (at != std::string::npos) return {path, at};
    }
    return {};
  }

  FaultDisk disk_{1};
  absl::Mutex mutex_;
  std::vector<absl::Status> failures_ ABSL_GUARDED_BY(mutex_);
  DiskStoreHarness harness_;
};

// A failed write or sync is never retried, and told once.
TEST_F(DiskStoreFaults, AFailedJournalWriteTakesTheDiskOutOfServiceForGood) {
  ASSERT_TRUE(PersistEntry(1).ok());
  disk_.FailOnce(FaultDisk::Op::kWrite, "journal");
  EXPECT_FALSE(PersistEntry(2).ok());
  EXPECT_FALSE(harness_.store().health().ok());
  EXPECT_FALSE(PersistEntry(3).ok());
  EXPECT_FALSE(Promise(9).ok());
  EXPECT_EQ(failures(), 1u);
  EXPECT_EQ(harness_.storage().ReadLog(LogIndex(1), LogIndex(1), 1)->size(), 1u);
}

TEST_F(DiskStoreFaults, AFailedExtentWriteTakesTheDiskOutOfService) {
  const RunId run = RunId::Draw(harness_.random());
  ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, "chunk").ok());
  disk_.FailOnce(FaultDisk::Op::kWrite, "extents");
  EXPECT_FALSE(harness_.WriteChunk({.run = run, .number = 1}, "chunk").ok());
  EXPECT_FALSE(harness_.store().health().ok());
  EXPECT_EQ(failures(), 1u);
  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 5)->view(), "chunk");
  EXPECT_TRUE(
      absl::IsNotFound(harness_.storage().ReadChunk({.run = run, .number = 1}, 0, 5).status()));
}

// I1: a full disk takes no new bodies, goes on with the rest, and recovers by itself.
TEST_F(DiskStoreFaults, AFullDiskRefusesNewDataOnlyAndComesBack) {
  const RunId run = RunId::Draw(harness_.random());
  ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, "chunk").ok());
  disk_.set_capacity_bytes(8 << 20);
  uint32_t number = 1;
  absl::Status status;
  while (status.ok() && number < 1000) {
    status = harness_.WriteChunk({.run = run, .number = number++}, std::string(200 << 10, 'x'));
  }
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_TRUE(absl::IsResourceExhausted(harness_.store().AdmitNewData()));
  EXPECT_TRUE(harness_.store().health().ok());
  EXPECT_EQ(failures(), 0u);

  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 5)->view(), "chunk");
  EXPECT_TRUE(Promise(5).ok());
  EXPECT_TRUE(PersistEntry(1).ok());
  ASSERT_TRUE(harness_.storage().DropRun(run).ok());
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  EXPECT_TRUE(harness_.store().AdmitNewData().ok()) << harness_.store().AdmitNewData();
  const RunId next = RunId::Draw(harness_.random());
  EXPECT_TRUE(harness_.WriteChunk({.run = next, .number = 0}, "chunk").ok());
}

// P8: what a replica lacks keeps it from the deletes that would make room.
TEST_F(DiskStoreFaults, ADiskThatRefusesNewDataTakesWhatAPeerDelivers) {
  disk_.set_capacity_bytes(16 << 20);
  const std::string bytes(200 << 10, 'x');
  const std::vector<RunId> runs = Fill(bytes);
  ASSERT_GT(runs.size(), 10u);
  const RunId owed = RunId::Draw(harness_.random());
  // An extent's worth.
  for (uint32_t i = 0; i < 4; ++i) {
    const absl::Status restored = harness_.RepairChunk({.run = owed, .number = i}, bytes);
    EXPECT_TRUE(restored.ok()) << i << " " << restored;
    EXPECT_TRUE(absl::IsResourceExhausted(harness_.store().AdmitNewData()));
  }
  harness_.Crash();
  for (uint32_t i = 0; i < 4; ++i) {
    EXPECT_TRUE(harness_.storage().ReadChunk({.run = owed, .number = i}, 0, bytes.size()).ok());
  }
  EXPECT_EQ(failures(), 0u);
}

// Else the journal would wait for space, and the space for the journal.
TEST_F(DiskStoreFaults, WhatWasDroppedMakesRoomForTheBodiesOfTheJournal) {
  disk_.set_capacity_bytes(16 << 20);
  const std::string bytes(200 << 10, 'x');
  std::vector<RunId> runs = Fill(bytes);
  // Another user of the file system takes the rest.
  disk_.set_capacity_bytes((16 << 20) - (*harness_.disk().FreeBytes() - (1 << 20)));
  for (absl::Status status; status.ok();) {
    runs.push_back(RunId::Draw(harness_.random()));
    status = harness_.RepairChunk({.run = runs.back(), .number = 0}, bytes);
  }
  const std::string body(30 << 10, 'b');
  std::vector<RunId> bodies;
  for (uint64_t index = 1; index <= 20; ++index) {
    bodies.push_back(RunId::Draw(harness_.random()));
    PersistRequest request;
    request.entries.push_back(
        DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, index), bodies.back(), body));
    ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(harness_.store().Checkpoint()));
  for (const RunId run : runs) ASSERT_TRUE(harness_.storage().DropRun(run).ok());
  const absl::Status emptied = harness_.store().Checkpoint();
  EXPECT_TRUE(emptied.ok()) << emptied;
  EXPECT_EQ(harness_.store().Stats()->segments_in_use, 1u);
  EXPECT_TRUE(harness_.store().AdmitNewData().ok()) << harness_.store().AdmitNewData();
  for (const RunId run : bodies) {
    EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, body.size())->view(),
              body);
  }
  EXPECT_EQ(failures(), 0u);
}

TEST_F(DiskStoreFaults, OnAFullDiskLittleGarbageInManyExtentsIsSpaceToo) {
  disk_.set_capacity_bytes(16 << 20);
  const std::vector<RunId> runs = Fill(std::string(100 << 10, 'x'));
  EXPECT_TRUE(absl::IsResourceExhausted(harness_.store().AdmitNewData()));
  ASSERT_GT(runs.size(), 40u);
  // A quarter of each extent.
  std::vector<RunId> kept;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (i % 4 != 0) {
      kept.push_back(runs[i]);
    } else {
      ASSERT_TRUE(harness_.storage().DropRun(runs[i]).ok());
    }
  }
  for (int i = 0; i < 100 && !harness_.store().AdmitNewData().ok(); ++i) {
    ASSERT_TRUE(harness_.store().Checkpoint().ok());
  }
  EXPECT_TRUE(harness_.store().AdmitNewData().ok()) << harness_.store().AdmitNewData();
  for (const RunId run : kept) {
    EXPECT_TRUE(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 1).ok());
  }
  EXPECT_EQ(failures(), 0u);
}

// I10.
TEST_F(DiskStoreFaults, AFlippedBitInAnExtentIsDataLossUntilRepaired) {
  const RunId run = RunId::Draw(harness_.random());
  const std::string bytes = "ciphertext of the chunk";
  ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, bytes).ok());
  const auto [path, offset] = Find("extents", bytes);
  ASSERT_FALSE(path.empty());
  disk_.FlipBit(path, offset + 3, 2);
  for (const bool crashed : {false, true}) {
    if (crashed) harness_.Crash();
    const auto read = harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 1);
    EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
    EXPECT_EQ(harness_.store().Stats()->corrupt_reads, 1u);
    EXPECT_TRUE(harness_.storage().MissingChunks({.run = run, .first = 0, .count = 1})->empty());
  }
  ASSERT_TRUE(harness_.RepairChunk({.run = run, .number = 0}, bytes).ok());
  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, bytes.size())->view(),
            bytes);
}

// Four extents, in each of which one chunk stays and the others are garbage; a fifth is open.
class CompactionOfDamage : public DiskStoreFaults {
 protected:
  CompactionOfDamage() {
    for (size_t i = 0; i < 4; ++i) {
      // The bigger the survivor, the later its extent's turn.
      const size_t survivor = (50 + 40 * i) << 10;
      const size_t garbage = ((980 << 10) - survivor) / 4;
      survivors_.push_back({.run = RunId::Draw(harness_.random()), .number = 0});
      bytes_.push_back(RandomBytes(survivor));
      EXPECT_TRUE(harness_.WriteChunk(survivors_.back(), bytes_.back()).ok());
      places_.push_back(Find("extents", bytes_.back().substr(0, 64)));
      const RunId run = RunId::Draw(harness_.random());
      for (uint32_t n = 0; n < 4; ++n) {
        EXPECT_TRUE(harness_.WriteChunk({.run = run, .number = n}, std::string(garbage, 'x')).ok());
      }
      EXPECT_TRUE(harness_.storage().DropRun(run).ok());
    }
    EXPECT_TRUE(
        harness_.WriteChunk({.run = RunId::Draw(harness_.random()), .number = 0}, bytes_[3]).ok());
  }
  std::string RandomBytes(size_t size) {
    std::vector<uint8_t> bytes(size);
    harness_.random().Fill(bytes);
    return std::string(bytes.begin(), bytes.end());
  }
  // Where the survivor was written. `from_ciphertext` may be negative: in the record's header.
  void Damage(size_t survivor, int64_t from_ciphertext) {
    const auto& [path, offset] = places_[survivor];
    ASSERT_FALSE(path.empty());
    disk_.FlipBit(path, offset + from_ciphertext, 2);
  }
  void Compact() {
    for (int i = 0; i < 4; ++i) {
      const absl::Status status = harness_.store().Checkpoint();
      EXPECT_TRUE(status.ok()) << status;
    }
  }
  bool IsReadable(size_t survivor) {
    const auto read = harness_.storage().ReadChunk(survivors_[survivor], 0, 8);
    return read.ok() && read->view() == bytes_[survivor].substr(0, 8);
  }

  std::vector<ChunkId> survivors_;
  std::vector<std::string> bytes_;
  std::vector<std::pair<std::string, uint64_t>> places_;
};

TEST_F(CompactionOfDamage, GoesOnWithTheOthersAndHasTheDamagedChunksRepaired) {
  Damage(0, 3);
  Damage(1, 3);
  Compact();
  // Each once, whatever passes there were; found by whoever searches for a good copy.
  EXPECT_EQ(harness_.store().Stats()->corrupt_reads, 2u);
  EXPECT_EQ(harness_.storage().lost_chunks(), 2u);
  EXPECT_EQ(harness_.storage().ListLost(std::nullopt, 10).size(), 2u);
  // Their places are free, too.
  EXPECT_LT(harness_.store().Stats()->chunk_live_bytes, (130u + 170u + 170u + 12u) << 10);
  // The others were moved: nobody reads where they were.
  Damage(2, 3);
  Damage(3, 3);
  EXPECT_TRUE(IsReadable(2));
  EXPECT_TRUE(IsReadable(3));
  ASSERT_TRUE(harness_.RepairChunk(survivors_[0], bytes_[0]).ok());
  EXPECT_TRUE(IsReadable(0));
  EXPECT_EQ(harness_.storage().lost_chunks(), 1u);
  harness_.Crash();
  EXPECT_EQ(harness_.storage().lost_chunks(), 1u);
  EXPECT_TRUE(IsReadable(0));
}

TEST_F(CompactionOfDamage, LeavesExtentsOfWhichNothingCanBeWonForTheOthers) {
  // Nobody can say whose these are.
  Damage(0, -40);
  Damage(1, -40);
  Compact();
  Damage(2, 3);
  Damage(3, 3);
  EXPECT_TRUE(IsReadable(2));
  EXPECT_TRUE(IsReadable(3));
}

// I10: damage in a segment does not hold the journal, and is not forgotten when it is recycled.
TEST_F(DiskStoreFaults, ABodyDamagedInTheJournalStaysDamagedUntilRepaired) {
  const RunId run = RunId::Draw(harness_.random());
  const std::string body(60000, 'b');
  std::vector<std::string> before;
  const std::vector<std::string> names = Names("journal");
  for (const std::string& name : names) before.push_back(disk_.Contents("journal/" + name));
  PersistRequest request;
  request.entries.push_back(DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, 1), run, body));
  ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  bool damaged = false;
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string after = disk_.Contents("journal/" + names[i]);
    if (after == before[i]) continue;
    const auto first = std::mismatch(after.begin(), after.end(), before[i].begin()).first;
    disk_.FlipBit("journal/" + names[i],
                  static_cast<uint64_t>(first - after.begin()) + body.size() / 2, 4);
    damaged = true;
  }
  ASSERT_TRUE(damaged);
  const ChunkId chunk = {.run = run, .number = 0};
  EXPECT_TRUE(absl::IsDataLoss(harness_.storage().ReadChunk(chunk, 0, 1).status()));
  harness_.RollSegment();
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  EXPECT_EQ(harness_.store().Stats()->segments_in_use, 1u);
  EXPECT_TRUE(absl::IsDataLoss(harness_.storage().ReadChunk(chunk, 0, 1).status()));
  // I4: what is known to be damaged is neither counted as here nor acknowledged unwritten.
  EXPECT_EQ(harness_.storage().MissingChunks({.run = run, .first = 0, .count = 1})->size(), 1u);
  ASSERT_TRUE(harness_.WriteChunk(chunk, body).ok());
  EXPECT_EQ(harness_.storage().ReadChunk(chunk, 0, body.size())->view(), body);
}

TEST_F(DiskStoreFaults, APassingReadErrorLosesNoRecordOfASegment) {
  const RunId run = RunId::Draw(harness_.random());
  const std::string body(60000, 'b');
  PersistRequest request;
  request.entries.push_back(DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, 1), run, body));
  ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  harness_.RollSegment();
  disk_.FailOnce(FaultDisk::Op::kRead, "journal");
  EXPECT_FALSE(harness_.store().Checkpoint().ok());
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  EXPECT_EQ(harness_.store().Stats()->segments_in_use, 1u);
  EXPECT_TRUE(harness_.store().health().ok());
  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, body.size())->view(), body);
}

TEST_F(DiskStoreFaults, ALastingReadErrorDoesNotHoldTheJournal) {
  const RunId run = RunId::Draw(harness_.random());
  const std::string body(60000, 'b');
  PersistRequest request;
  request.entries.push_back(DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, 1), run, body));
  ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  harness_.RollSegment();
  for (const std::string& name : Names("journal")) {
    disk_.BreakSectors("journal/" + name, 8192, 1 << 20);
  }
  EXPECT_FALSE(harness_.store().Checkpoint().ok());
  EXPECT_FALSE(harness_.store().Checkpoint().ok());
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  EXPECT_EQ(harness_.store().Stats()->segments_in_use, 1u);
  EXPECT_GT(harness_.store().Stats()->corrupt_reads, 0u);
  EXPECT_TRUE(harness_.store().health().ok());
  EXPECT_TRUE(
      absl::IsDataLoss(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 1).status()));
}

// I4, P2: what is answered is in the rows, or the journal's position would leave it behind.
TEST(DiskStoreFullRows, RecordsThatWaitForSpaceInRocksDbAreAllIndexed) {
  FaultDisk rocks_disk(1);
  const std::unique_ptr<Disk> attached = rocks_disk.Attach();
  const auto env = NewFaultEnv(*attached);
  DiskStoreHarness harness;
  harness.options().rocks_env = env.get();
  harness.options().rocks_folder = "/rocks";
  harness.Open();
  auto persist = [&](PersistRequest request) {
    const absl::Status status = harness.Persist(std::move(request));
    ASSERT_TRUE(status.ok()) << status;
  };
  for (uint64_t index = 1; index <= 5; ++index) {
    persist({.hard_state = {}, .entries = {DiskStoreHarness::Entry(1, index)}});
  }
  rocks_disk.set_capacity_bytes(0);
  EXPECT_TRUE(absl::IsResourceExhausted(harness.store().Checkpoint()));
  // The truncation writes out what precedes it, and finds no space.
  std::optional<absl::Status> answer;
  harness.storage().Persist(
      {.hard_state = HardState{Epoch(2)},
       .truncate_from = LogIndex(3),
       .entries = {DiskStoreHarness::Entry(2, 3), DiskStoreHarness::Entry(2, 4)}},
      [&](absl::Status status) { answer = std::move(status); });
  harness.strand().RunQueued();
  EXPECT_FALSE(answer.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(harness.store().Checkpoint()));
  rocks_disk.set_capacity_bytes(uint64_t{1} << 40);
  // It makes RocksDB go on, and does not wait for the rows that wait for that.
  ASSERT_TRUE(Until([&] { return harness.store().Checkpoint().ok(); }));
  harness.strand().RunUntil([&] { return answer.has_value(); });
  ASSERT_TRUE(answer->ok()) << *answer;
  persist({.hard_state = {}, .entries = {DiskStoreHarness::Entry(2, 5)}});
  ASSERT_TRUE(harness.store().Checkpoint().ok());
  harness.Crash();
  EXPECT_EQ(harness.storage().recovered().hard_state.promised, Epoch(2));
  EXPECT_EQ(harness.storage().recovered().epochs,
            (std::vector<Epoch>{Epoch(1), Epoch(1), Epoch(2), Epoch(2), Epoch(2)}));
  const auto log = harness.storage().ReadLog(LogIndex(1), LogIndex(5), 1 << 20);
  EXPECT_TRUE(log.ok()) << log.status();
}

// What flushes need is said to be there, and gone once they begin.
class DiskStoreWaitingFlush : public testing::Test {
 protected:
  DiskStoreWaitingFlush() {
    harness_.options().rocks_env = env_.get();
    harness_.Open();
    quota_.set_reported_free_bytes(1 << 30);
    quota_.TakeRest();
  }
  absl::Status PlaceLost() {
    return harness_.Await([&](ReplicaStorage::Done done) {
      harness_.storage().PlaceLost({.run = RunId::Draw(harness_.random()), .number = 0},
                                   std::move(done));
    });
  }
  absl::Status BeginInstall() {
    return harness_.Await(
        [&](ReplicaStorage::Done done) { harness_.storage().BeginInstall(std::move(done)); });
  }
  absl::Status FinishInstall() {
    return harness_.Await([&](ReplicaStorage::Done done) {
      harness_.storage().FinishInstall(LogIndex(1), Epoch(1), Timestamp(1001), std::move(done));
    });
  }

  SpaceQuota quota_{uint64_t{1} << 30};
  const std::unique_ptr<rocksdb::Env> env_ = NewQuotaEnv(quota_);
  DiskStoreHarness harness_;
};

TEST_F(DiskStoreWaitingFlush, IsWaitedForByNobodyElse) {
  EXPECT_TRUE(absl::IsResourceExhausted(PlaceLost()));
  EXPECT_TRUE(absl::IsResourceExhausted(PlaceLost()));
  quota_.set_capacity_bytes(1 << 30);
  EXPECT_TRUE(Until([&] { return PlaceLost().ok(); }));
}

TEST_F(DiskStoreWaitingFlush, EndsWhenTheStoreStops) {
  EXPECT_TRUE(absl::IsResourceExhausted(PlaceLost()));
  absl::Status checkpoint;
  std::thread checkpointer([&] { checkpoint = harness_.store().Checkpoint(); });
  harness_.store().BeginStop();
  checkpointer.join();
  EXPECT_FALSE(checkpoint.ok());
  EXPECT_FALSE(PlaceLost().ok());
  EXPECT_TRUE(absl::IsCancelled(BeginInstall()));
  EXPECT_TRUE(absl::IsCancelled(harness_.Persist({.hard_state = HardState{Epoch(2)}})));
}

// P6.
TEST_F(DiskStoreWaitingFlush, LeavesAnInstallUndone) {
  ASSERT_TRUE(BeginInstall().ok());
  ASSERT_TRUE(harness_.storage().LoadInstall({{"a", "1"}}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(FinishInstall()));
  harness_.CloseReplica();
  harness_.OpenReplica();
  EXPECT_TRUE(harness_.storage().recovered().installing);
  EXPECT_EQ(harness_.storage().recovered().base_index, LogIndex(0));
  ASSERT_TRUE(BeginInstall().ok());
  ASSERT_TRUE(harness_.storage().LoadInstall({{"b", "2"}}).ok());
  EXPECT_TRUE(absl::IsResourceExhausted(FinishInstall()));
  quota_.set_capacity_bytes(1 << 30);
  ASSERT_TRUE(Until([&] { return FinishInstall().ok(); }));
  PersistRequest request;
  request.entries.push_back(DiskStoreHarness::Entry(1, 2));
  ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  harness_.Crash();
  EXPECT_FALSE(harness_.storage().recovered().installing);
  EXPECT_EQ(harness_.storage().recovered().base_index, LogIndex(1));
  EXPECT_EQ(harness_.storage().recovered().epochs.size(), 1u);
  EXPECT_EQ(*harness_.storage().NewView()->Get("a"), std::nullopt);
  EXPECT_EQ(*harness_.storage().NewView()->Get("b"), "2");
}

// Records that follow a refused one of their replica count: replay shows them too.
TEST_F(DiskStoreFaults, OpensAfterRecordsThatFollowedARefusedOne) {
  const ReplicaOnDisk other = {.replica = ReplicaId::Draw(harness_.random()),
                               .partition = PartitionId::Draw(harness_.random()),
                               .container = ContainerId::Draw(harness_.random())};
  ASSERT_TRUE(harness_.store().CreateReplica(other, false).ok());
  std::unique_ptr<ReplicaStorage> good = *harness_.store().OpenReplica(other.replica);
  constexpr uint64_t kEntries = 100;
  size_t refused = 0, written = 0;
  auto persist = [](ReplicaStorage& storage, LogEntry entry, ReplicaStorage::Done done) {
    storage.Persist({.hard_state = {}, .entries = {std::move(entry)}}, std::move(done));
  };
  const std::string too_long(harness_.options().max_record_bytes, 'x');
  for (uint64_t index = 1; index <= kEntries; ++index) {
    persist(harness_.storage(), DiskStoreHarness::Entry(1, index, index == 1 ? too_long : "x"),
            [&](const absl::Status& status) { refused += !status.ok(); });
    persist(*good, DiskStoreHarness::Entry(1, index),
            [&](const absl::Status& status) { written += status.ok(); });
  }
  harness_.strand().RunUntil([&] { return refused == kEntries && written == kEntries; });
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  good.reset();
  harness_.Close();
  const absl::Status opened = harness_.TryOpen();
  ASSERT_TRUE(opened.ok()) << opened;
  good = *harness_.store().OpenReplica(other.replica);
  EXPECT_EQ(good->recovered().epochs.size(), kEntries);
  good.reset();
  harness_.OpenReplica();
  EXPECT_TRUE(harness_.storage().recovered().epochs.empty());
  EXPECT_TRUE(PersistEntry(1).ok());
}

// A strand that waited for such a disk would miss the heartbeats of all its groups.
TEST_F(DiskStoreFaults, TheStrandGoesOnWhileTheDiskReadsForPeers) {
  const RunId run = RunId::Draw(harness_.random());
  ASSERT_TRUE(harness_.WriteChunk({run, 0}, "a chunk").ok());
  for (uint64_t index = 1; index <= 5; ++index) ASSERT_TRUE(PersistEntry(index).ok());
  harness_.Crash();  // what was in memory has to come from the disk
  disk_.HoldReads("");
  std::optional<absl::StatusOr<std::vector<LogEntry>>> log;
  std::optional<absl::StatusOr<ReplicaStorage::StoredChunk>> chunk;
  harness_.storage().ReadLogLater(LogIndex(1), LogIndex(5), 1 << 20,
                                  [&](auto entries) { log = std::move(entries); });
  harness_.storage().ReadChunkLater({run, 0}, [&](auto stored) { chunk = std::move(stored); });
  ASSERT_TRUE(Until([&] { return disk_.held_reads() >= 2; }));
  EXPECT_TRUE(PersistEntry(6).ok());
  EXPECT_TRUE(Promise(7).ok());
  EXPECT_FALSE(log.has_value() || chunk.has_value());
  disk_.ReleaseReads();
  harness_.strand().RunUntil([&] { return log.has_value() && chunk.has_value(); });
  ASSERT_TRUE(log->ok()) << log->status();
  ASSERT_EQ((*log)->size(), 5u);
  EXPECT_EQ((**log)[4].index, LogIndex(5));
  ASSERT_TRUE(chunk->ok()) << chunk->status();
  EXPECT_EQ((*chunk)->ciphertext.view(), "a chunk");
  EXPECT_EQ((*chunk)->crc32c, Crc32c("a chunk"));
}

TEST_F(DiskStoreFaults, AReadOfTheLogThatATruncationOvertakesIsNotUsed) {
  for (uint64_t index = 1; index <= 5; ++index) ASSERT_TRUE(PersistEntry(index).ok());
  harness_.Crash();
  disk_.HoldReads("");
  std::optional<absl::Status> read;
  harness_.storage().ReadLogLater(LogIndex(1), LogIndex(5), 1 << 20,
                                  [&](const auto& entries) { read = entries.status(); });
  ASSERT_TRUE(Until([&] { return disk_.held_reads() >= 1; }));
  ASSERT_TRUE(harness_
                  .Persist({.hard_state = std::nullopt,
                            .truncate_from = LogIndex(3),
                            .entries = {DiskStoreHarness::Entry(2, 3)}})
                  .ok());
  disk_.ReleaseReads();
  harness_.strand().RunUntil([&] { return read.has_value(); });
  EXPECT_TRUE(absl::IsAborted(*read)) << *read;
}

TEST_F(DiskStoreFaults, AReadOfTheLogThatATrimOvertakesIsOutOfRangeWhateverItFinds) {
  for (uint64_t index = 1; index <= 5; ++index) ASSERT_TRUE(PersistEntry(index).ok());
  std::vector<std::string> names = Names("journal");
  harness_.Crash();
  disk_.HoldReads("");
  std::optional<absl::Status> read;
  harness_.storage().ReadLogLater(LogIndex(1), LogIndex(5), 1 << 20,
                                  [&](const auto& entries) { read = entries.status(); });
  ASSERT_TRUE(Until([&] { return disk_.held_reads() >= 1; }));
  ASSERT_TRUE(harness_.storage().Apply(KvBatch(), LogIndex(5), Timestamp(1005)).ok());
  ASSERT_TRUE(harness_.storage().TrimTo(LogIndex(5)).ok());
  for (const std::string& name : names) {
    const std::string path = "journal/" + name;
    disk_.Overwrite(path, 0, std::string(disk_.Contents(path).size(), 'x'));
  }
  disk_.ReleaseReads();
  harness_.strand().RunUntil([&] { return read.has_value(); });
  EXPECT_TRUE(absl::IsOutOfRange(*read)) << *read;
}

// An overload passes; the replica goes on.
TEST_F(DiskStoreFaults, HoldsPersistsBackWhileTheQueueIsFull) {
  harness_.Close();
  harness_.options().max_queued_log_bytes = 100 << 10;
  harness_.Open();
  constexpr uint64_t kEntries = 40;
  std::vector<absl::Status> answers;
  for (uint64_t index = 1; index <= kEntries; ++index) {
    PersistRequest request;
    request.entries.push_back(DiskStoreHarness::Entry(1, index, std::string(50 << 10, 'x')));
    harness_.storage().Persist(std::move(request),
                               [&](absl::Status status) { answers.push_back(std::move(status)); });
  }
  harness_.strand().RunUntil([&] { return answers.size() == kEntries; });
  for (const absl::Status& answer : answers) EXPECT_TRUE(answer.ok()) << answer;
  harness_.Crash();
  EXPECT_EQ(harness_.storage().recovered().epochs.size(), kEntries);
}

// A replica whose applied entry lost its body before the log was trimmed opens without that entry.
TEST_F(DiskStoreFaults, AnAppliedEntryWithoutItsBodyIsTrimmedAtOpening) {
  const RunId run = RunId::Draw(harness_.random());
  PersistRequest request;
  request.entries.push_back(
      DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, 1), run, "a small body"));
  request.entries.push_back(DiskStoreHarness::Entry(1, 2));
  ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  ASSERT_TRUE(harness_.storage().Apply(KvBatch(), LogIndex(2), Timestamp(1002)).ok());
  harness_.RollSegment();
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  ASSERT_TRUE(harness_.storage().DropRun(run).ok());
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  harness_.Crash();
  EXPECT_EQ(harness_.storage().recovered().base_index, LogIndex(1));
  EXPECT_EQ(harness_.storage().base_index(), LogIndex(1));
  EXPECT_EQ(harness_.storage().ReadLog(LogIndex(2), LogIndex(2), 1)->size(), 1u);
}

// P9: damage among what was acknowledged is never taken for a torn tail.
TEST_F(DiskStoreFaults, DamageInTheMiddleOfTheJournalIsDataLossAtOpening) {
  std::vector<std::string> before;
  const std::vector<std::string> names = Names("journal");
  for (const std::string& name : names) before.push_back(disk_.Contents("journal/" + name));
  for (uint64_t i = 1; i <= 20; ++i) ASSERT_TRUE(PersistEntry(i).ok());
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string after = disk_.Contents("journal/" + names[i]);
    if (after == before[i]) continue;
    const auto first = std::mismatch(after.begin(), after.end(), before[i].begin()).first;
    disk_.FlipBit("journal/" + names[i], static_cast<uint64_t>(first - after.begin()) + 40, 1);
  }
  harness_.Close();
  const absl::Status status = harness_.TryOpen();
  EXPECT_TRUE(absl::IsDataLoss(status)) << status;
}

}  // namespace
}  // namespace meridian::storage
