#include <filesystem>
#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "storage/store/codec.h"
#include "storage/store/identity.h"
#include "tests/storage/runs_are_keys.h"
#include "tests/storage/store/disk_store_harness.h"
#include "tests/until.h"

namespace meridian::storage {
namespace {

namespace fs = std::filesystem;

bool Mentions(const absl::Status& status, std::string_view text) {
  return std::string(status.message()).find(text) != std::string::npos;
}

class DiskStoreTest : public testing::Test {
 protected:
  std::string ReadIdentity() {
    std::ifstream in(harness_.path() + "/identity", std::ios::binary);
    return {std::istreambuf_iterator<char>(in), {}};
  }
  void WriteIdentityFile(const std::string& bytes) {
    std::ofstream(harness_.path() + "/identity", std::ios::binary) << bytes;
  }
  std::string Body(char c, size_t size = 8000) { return std::string(size, c); }

  DiskStoreHarness harness_;
};

// P11.
TEST_F(DiskStoreTest, KeepsItsIdentityAndCountsItsOpenings) {
  harness_.Open();
  const DiskId disk = harness_.store().disk_id();
  EXPECT_FALSE(disk.is_nil());
  EXPECT_EQ(harness_.store().incarnation(), 1u);
  harness_.Crash();
  EXPECT_EQ(harness_.store().disk_id(), disk);
  EXPECT_EQ(harness_.store().incarnation(), 2u);
}

TEST_F(DiskStoreTest, CountsItsSyncsAndWhatEachCarried) {
  harness_.Open();
  const DiskStats before = *harness_.store().Stats();
  const std::string chunk(9000, 'c');
  ASSERT_TRUE(
      harness_.WriteChunk({.run = RunId::Draw(harness_.random()), .number = 0}, chunk).ok());
  const DiskStats after = *harness_.store().Stats();
  EXPECT_EQ(after.extent_syncs.time.total(), before.extent_syncs.time.total() + 1);
  EXPECT_EQ(after.extent_syncs.records.sum, before.extent_syncs.records.sum + 1);
  EXPECT_GE(after.extent_syncs.bytes.sum, before.extent_syncs.bytes.sum + chunk.size());
  // The record that says where the chunk is.
  EXPECT_GT(after.journal_syncs.time.total(), before.journal_syncs.time.total());
  EXPECT_GT(after.journal_syncs.records.sum, before.journal_syncs.records.sum);
  EXPECT_GT(after.journal_syncs.bytes.sum, before.journal_syncs.bytes.sum);
  EXPECT_TRUE(Until([&] { return harness_.store().Stats()->journal_waiting_bytes == 0; }));
  EXPECT_EQ(after.extents, 1u);
}

// P11: each opening follows the one that was recorded last.
TEST_F(DiskStoreTest, EveryOpeningIsRecordedBeforeTheDiskIsUsed) {
  std::vector<DiskOpening> recorded;
  harness_.options().record_opening = [&](const DiskOpening& opening) {
    recorded.push_back(opening);
    return absl::OkStatus();
  };
  harness_.Open();
  ASSERT_TRUE(harness_.store().RecordOpening().ok());
  harness_.Crash();
  ASSERT_EQ(recorded.size(), 3u);
  EXPECT_TRUE(recorded[0].last.is_nil());
  for (size_t i = 0; i < recorded.size(); ++i) {
    EXPECT_EQ(recorded[i].disk, harness_.store().disk_id());
    EXPECT_EQ(recorded[i].incarnation, i);
    if (i == 0) continue;
    EXPECT_EQ(recorded[i].last, recorded[i - 1].next);
  }
}

TEST_F(DiskStoreTest, AnOpeningThatMayHaveBeenRecordedIsNotFollowedByAnother) {
  harness_.Open();
  harness_.Close();
  std::vector<DiskOpening> asked;
  absl::Status answer = absl::UnavailableError("no answer");
  harness_.options().record_opening = [&](const DiskOpening& opening) {
    asked.push_back(opening);
    return answer;
  };
  EXPECT_TRUE(absl::IsUnavailable(harness_.TryOpen()));
  harness_.Close();
  EXPECT_TRUE(absl::IsUnavailable(harness_.TryOpen()));
  harness_.Close();
  answer = absl::OkStatus();
  EXPECT_TRUE(harness_.TryOpen().ok());
  ASSERT_EQ(asked.size(), 3u);
  for (const DiskOpening& opening : asked) {
    EXPECT_EQ(opening.last, asked[0].last);
    EXPECT_EQ(opening.incarnation, 1u);
    EXPECT_EQ(opening.next, asked[0].next);
  }
}

// A full disk cannot note an opening: then none is recorded that the folder does not know, or the
// disk would be taken for a copy of its past.
TEST_F(DiskStoreTest, OnAFullDiskNoOpeningIsRecordedThatTheFolderDoesNotKnow) {
  FaultDisk disk(1);
  harness_.UseFaultDisk(&disk);
  OpeningId last;
  harness_.options().record_opening = [&](const DiskOpening& opening) {
    if (opening.next == last) return absl::OkStatus();  // recorded already
    if (opening.last != last) return absl::FailedPreconditionError("a copy");
    last = opening.next;
    return absl::OkStatus();
  };
  harness_.Open();
  disk.set_capacity_bytes(0);
  for (int i = 0; i < 3; ++i) EXPECT_FALSE(harness_.store().RecordOpening().ok());
  EXPECT_TRUE(harness_.store().health().ok());
  harness_.Close();
  disk.set_capacity_bytes(uint64_t{1} << 40);
  EXPECT_TRUE(harness_.TryOpen().ok());
  harness_.Close();  // before the disk goes
}

TEST_F(DiskStoreTest, ADiskOfWhichACopyWasOpenedGoesOutOfService) {
  absl::Status told;
  harness_.options().on_out_of_service = [&](const absl::Status& status) { told = status; };
  absl::Status answer;
  harness_.options().record_opening = [&](const DiskOpening&) { return answer; };
  harness_.Open();
  answer = absl::UnavailableError("no answer");
  EXPECT_FALSE(harness_.store().RecordOpening().ok());
  EXPECT_TRUE(harness_.store().health().ok());
  answer = absl::FailedPreconditionError("a copy");
  EXPECT_TRUE(absl::IsFailedPrecondition(harness_.store().RecordOpening()));
  EXPECT_FALSE(harness_.store().health().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(told)) << told;
}

TEST_F(DiskStoreTest, RefusesAnotherClustersFolderAndLeavesItAlone) {
  harness_.Open();
  harness_.Close();
  const ClusterId own = harness_.options().cluster;
  const std::string identity = ReadIdentity();
  harness_.options().cluster = ClusterId::Draw(harness_.random());
  const absl::Status status = harness_.TryOpen();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(Mentions(status, "belongs to cluster " + own.ToHex())) << status;
  EXPECT_EQ(ReadIdentity(), identity);
  harness_.Close();
  harness_.options().cluster = own;
  EXPECT_TRUE(harness_.TryOpen().ok());
}

TEST_F(DiskStoreTest, RefusesAnotherNodesFolder) {
  harness_.Open();
  harness_.Close();
  harness_.options().node = "east-2";
  const absl::Status status = harness_.TryOpen();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_TRUE(Mentions(status, "belongs to node 'east-1a'")) << status;
}

TEST_F(DiskStoreTest, RefusesAnotherVersionsFolder) {
  harness_.Open();
  harness_.Close();
  const std::string good = ReadIdentity();
  for (const auto& [step, told] :
       {std::pair(-2, "older version"), std::pair(+1, "newer version")}) {
    std::string identity = good.substr(0, good.size() - 4);
    identity[8] = static_cast<char>(identity[8] + step);
    Encoder crc;
    crc.U32(Crc32c(identity));
    identity += crc.Take();
    WriteIdentityFile(identity);
    const absl::Status status = harness_.TryOpen();
    EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
    EXPECT_TRUE(Mentions(status, told)) << status;
    EXPECT_EQ(ReadIdentity(), identity) << "the folder was changed";
  }
}

TEST_F(DiskStoreTest, RefusesASecondOpening) {
  harness_.Open();
  DiskStoreOptions options = harness_.options();
  auto disk = OpenPosixDisk(harness_.path());
  ASSERT_TRUE(disk.ok());
  const absl::Status status = DiskStore::Open(**disk, options).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

TEST_F(DiskStoreTest, NeverTakesAFolderThatHoldsDataButNoIdentity) {
  harness_.Open();
  harness_.Close();
  fs::remove(harness_.path() + "/identity");
  const absl::Status status = harness_.TryOpen();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
}

// P9: what is missing is never made anew, empty.
TEST_F(DiskStoreTest, AMissingPartIsDataLoss) {
  for (const char* part : {"journal", "extents", "rocks"}) {
    DiskStoreHarness harness;
    harness.Open();
    harness.Close();
    fs::remove_all(harness.path() + "/" + part);
    const absl::Status status = harness.TryOpen();
    EXPECT_TRUE(absl::IsDataLoss(status)) << part << ": " << status;
  }
}

TEST_F(DiskStoreTest, AFirstOpeningThatWasCutOffIsBegunAgain) {
  ASSERT_TRUE(harness_.TryOpen().ok());
  harness_.Close();
  DiskIdentity identity = *DecodeIdentity(ReadIdentity());
  identity.initialised = false;
  WriteIdentityFile(EncodeIdentity(identity));
  fs::remove_all(harness_.path() + "/journal");
  fs::remove_all(harness_.path() + "/extents");
  const absl::Status status = harness_.TryOpen();
  EXPECT_TRUE(status.ok()) << status;
}

// P11: whether a replica may be removed is asked without opening it.
TEST_F(DiskStoreTest, TellsWhatAReplicaHasPromisedOpenOrNot) {
  harness_.Open();
  const ReplicaId replica = harness_.replica().replica;
  auto promised = [&] { return harness_.store().DurablePromise(replica); };
  EXPECT_EQ(promised().value(), Epoch(0));
  ASSERT_TRUE(harness_.Persist({.hard_state = HardState{Epoch(7)}}).ok());
  EXPECT_EQ(promised().value(), Epoch(7));
  harness_.CloseReplica();
  EXPECT_EQ(promised().value(), Epoch(7));
  EXPECT_TRUE(harness_.store().OpenReplica(replica).ok()) << "the question has opened it";
  harness_.Close();
  ASSERT_TRUE(harness_.TryOpen().ok());
  EXPECT_EQ(promised().value(), Epoch(7));
  EXPECT_TRUE(absl::IsNotFound(
      harness_.store().DurablePromise(ReplicaId::Draw(harness_.random())).status()));
  ASSERT_TRUE(harness_.store().RemoveReplica(replica, RunsAreKeys()).ok());
  EXPECT_TRUE(absl::IsNotFound(promised().status()));
}

// P6.
TEST_F(DiskStoreTest, APartitionHasOneOwner) {
  harness_.Open();
  ReplicaOnDisk second = harness_.replica();
  second.replica = ReplicaId::Draw(harness_.random());
  EXPECT_TRUE(absl::IsAlreadyExists(harness_.store().CreateReplica(second, false)));
  EXPECT_TRUE(absl::IsAlreadyExists(harness_.store().CreateReplica(harness_.replica(), false)));
  harness_.Crash();
  EXPECT_EQ(harness_.store().ListReplicas(), (std::vector<ReplicaOnDisk>{harness_.replica()}));
}

TEST_F(DiskStoreTest, PartitionsOfAContainerHaveStatesAndLogsOfTheirOwnAndShareTheChunks) {
  harness_.Open();
  ReplicaOnDisk sibling = harness_.replica();
  sibling.replica = ReplicaId::Draw(harness_.random());
  sibling.partition = PartitionId::Draw(harness_.random());
  ASSERT_TRUE(harness_.store().CreateReplica(sibling, false).ok());
  const RunId run = RunId::Draw(harness_.random());
  ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, "chunk").ok());
  ASSERT_TRUE(harness_
                  .Persist({.hard_state = HardState{Epoch(4)},
                            .truncate_from = std::nullopt,
                            .entries = {harness_.Entry(4, 1)}})
                  .ok());
  KvBatch batch;
  batch.Put("row", "value");
  ASSERT_TRUE(harness_.storage().Apply(batch, LogIndex(1), Timestamp(1)).ok());
  auto storage = *harness_.store().OpenReplica(sibling.replica);
  EXPECT_EQ(*storage->NewView()->Get("row"), std::nullopt);
  EXPECT_EQ(storage->ReadChunk({.run = run, .number = 0}, 0, 5)->view(), "chunk");
  batch.Put("row", "another");
  ASSERT_TRUE(storage->Apply(batch, LogIndex(0), Timestamp(0)).ok());
  EXPECT_EQ(*harness_.storage().NewView()->Get("row"), "value");
  std::optional<absl::Status> begun;
  storage->BeginInstall([&](absl::Status status) { begun = status; });
  harness_.strand().RunUntil([&] { return begun.has_value(); });
  EXPECT_EQ(*storage->NewView()->Get("row"), std::nullopt);
  storage.reset();
  EXPECT_EQ(*harness_.storage().NewView()->Get("row"), "value");

  harness_.Crash();
  EXPECT_EQ(harness_.storage().recovered().epochs, std::vector<Epoch>{Epoch(4)});
  EXPECT_FALSE(harness_.storage().recovered().installing);
  ASSERT_TRUE(harness_.store().RemoveReplica(sibling.replica, RunsAreKeys()).ok());
  EXPECT_EQ(harness_.storage().ReadLog(LogIndex(1), LogIndex(1), 100)->size(), 1u);
  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 5)->view(), "chunk");
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  harness_.Crash();
  EXPECT_EQ(harness_.store().ListReplicas(), std::vector<ReplicaOnDisk>{harness_.replica()});
  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 5)->view(), "chunk");
}

// P6.
TEST_F(DiskStoreTest, AReplicaThatBeginsAsInstallingIsNeverTakenForAnEmptyOne) {
  harness_.Open();
  ReplicaOnDisk child = harness_.replica();
  child.replica = ReplicaId::Draw(harness_.random());
  child.partition = PartitionId::Draw(harness_.random());
  ASSERT_TRUE(harness_.store().CreateReplica(child, /*installing=*/true).ok());
  EXPECT_FALSE(harness_.storage().recovered().installing);
  for (const bool flushed : {false, true}) {
    if (flushed) {
      ASSERT_TRUE(harness_.store().Checkpoint().ok());
    }
    harness_.Crash();
    auto storage = harness_.store().OpenReplica(child.replica);
    ASSERT_TRUE(storage.ok()) << storage.status();
    EXPECT_TRUE((*storage)->recovered().installing);
    EXPECT_EQ((*storage)->recovered().applied_index, LogIndex(0));
  }
  auto storage = *harness_.store().OpenReplica(child.replica);
  auto await = [&](const std::function<void(ReplicaStorage::Done)>& start) {
    EXPECT_TRUE(harness_.Await(start).ok());
  };
  await([&](auto done) { storage->Persist({.hard_state = HardState{Epoch(3)}}, done); });
  await([&](auto done) { storage->BeginInstall(done); });
  ASSERT_TRUE(storage->LoadInstall({{"row", "copied"}}).ok());
  await([&](auto done) {
    storage->FinishInstall(LogIndex(7), Epoch(2), Timestamp(9), std::move(done));
  });
  storage.reset();
  harness_.Crash();
  storage = *harness_.store().OpenReplica(child.replica);
  EXPECT_FALSE(storage->recovered().installing);
  EXPECT_EQ(storage->recovered().hard_state.promised, Epoch(3));
  EXPECT_EQ(storage->recovered().base_index, LogIndex(7));
  EXPECT_EQ(*storage->NewView()->Get("row"), "copied");
}

// The leader of the install knew less than one before it.
TEST_F(DiskStoreTest, ABodyThatComesAgainAfterAnInstallTakesOnePlace) {
  harness_.Open();
  const RunId run = RunId::Draw(harness_.random());
  const std::string body(20'000, 'b');
  const auto write = [&] {
    PersistRequest request;
    request.entries.push_back(harness_.WithBody(harness_.Entry(1, 2), run, body));
    ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
    harness_.RollSegment();
    ASSERT_TRUE(harness_.store().Checkpoint().ok());
  };
  ASSERT_TRUE(harness_.Persist({.entries = {harness_.Entry(1, 1)}}).ok());
  write();
  const uint64_t live_bytes = harness_.store().Stats()->chunk_live_bytes;
  EXPECT_GE(live_bytes, body.size());
  ASSERT_TRUE(
      harness_.Await([&](auto done) { harness_.storage().BeginInstall(std::move(done)); }).ok());
  ASSERT_TRUE(harness_
                  .Await([&](auto done) {
                    harness_.storage().FinishInstall(LogIndex(1), Epoch(1), Timestamp(1001),
                                                     std::move(done));
                  })
                  .ok());
  write();
  EXPECT_EQ(harness_.store().Stats()->chunk_live_bytes, live_bytes);
  EXPECT_EQ(harness_.storage().StoredBytes(), body.size());
  EXPECT_EQ(harness_.storage().ReadChunk({.run = run, .number = 0}, 0, body.size())->view(), body);
}

TEST_F(DiskStoreTest, AReplicaIsOpenOnce) {
  harness_.Open();
  const ReplicaId replica = harness_.replica().replica;
  EXPECT_TRUE(absl::IsFailedPrecondition(harness_.store().OpenReplica(replica).status()));
  EXPECT_TRUE(absl::IsFailedPrecondition(harness_.store().RemoveReplica(replica, RunsAreKeys())));
  harness_.CloseReplica();
  EXPECT_TRUE(harness_.store().OpenReplica(replica).ok());
  EXPECT_TRUE(
      absl::IsNotFound(harness_.store().OpenReplica(ReplicaId::Draw(harness_.random())).status()));
}

// P6: nothing of a removed replica comes back, nothing of another one goes.
TEST_F(DiskStoreTest, ARemovedReplicaIsGoneAndOthersStay) {
  harness_.Open();
  const RunId run = RunId::Draw(harness_.random());
  ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, "chunk").ok());
  ASSERT_TRUE(harness_
                  .Persist({.hard_state = HardState{Epoch(4)},
                            .truncate_from = std::nullopt,
                            .entries = {harness_.Entry(4, 1)}})
                  .ok());
  KvBatch batch;
  batch.Put("row", "value");
  ASSERT_TRUE(harness_.storage().Apply(batch, LogIndex(1), Timestamp(1)).ok());

  ReplicaOnDisk other = {.replica = ReplicaId::Draw(harness_.random()),
                         .partition = PartitionId::Draw(harness_.random()),
                         .container = ContainerId::Draw(harness_.random())};
  ASSERT_TRUE(harness_.store().CreateReplica(other, false).ok());
  {
    auto storage = *harness_.store().OpenReplica(other.replica);
    EXPECT_EQ(*storage->NewView()->Get("row"), std::nullopt);
    ASSERT_TRUE(storage->Apply(batch, LogIndex(0), Timestamp(0)).ok());
  }
  harness_.CloseReplica();
  ASSERT_TRUE(harness_.store().RemoveReplica(harness_.replica().replica, RunsAreKeys()).ok());
  EXPECT_TRUE(harness_.store().RemoveReplica(harness_.replica().replica, RunsAreKeys()).ok());
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  EXPECT_EQ(harness_.store().Stats()->chunk_live_bytes, 0u);

  harness_.Close();
  ASSERT_TRUE(harness_.TryOpen().ok());
  EXPECT_EQ(harness_.store().ListReplicas(), (std::vector<ReplicaOnDisk>{other}));
  EXPECT_EQ(*(*harness_.store().OpenReplica(other.replica))->NewView()->Get("row"), "value");

  ReplicaOnDisk successor = harness_.replica();
  successor.replica = ReplicaId::Draw(harness_.random());
  ASSERT_TRUE(harness_.store().CreateReplica(successor, false).ok());
  auto storage = *harness_.store().OpenReplica(successor.replica);
  EXPECT_EQ(storage->recovered().hard_state.promised, Epoch(0));
  EXPECT_TRUE(storage->recovered().epochs.empty());
  EXPECT_EQ(*storage->NewView()->Get("row"), std::nullopt);
  EXPECT_FALSE(storage->StatChunk({.run = run, .number = 0})->has_value());
}

// P10: many times its size goes through the journal, none of it trimmed.
TEST_F(DiskStoreTest, RecyclingUnderLoadKeepsEverythingReadable) {
  harness_.options().max_segments = 6;
  harness_.Open();
  std::vector<RunId> runs;
  constexpr uint64_t kEntries = 400;
  uint64_t persisted = 0;
  for (uint64_t i = 1; i <= kEntries; ++i) {
    runs.push_back(RunId::Draw(harness_.random()));
    LogEntry entry =
        DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, i, absl::StrCat("command ", i)),
                                   runs.back(), Body(static_cast<char>('a' + i % 26)));
    PersistRequest request;
    request.entries.push_back(std::move(entry));
    harness_.storage().Persist(std::move(request), [&](const absl::Status& status) {
      EXPECT_TRUE(status.ok()) << status;
      ++persisted;
    });
  }
  harness_.strand().RunUntil([&] { return persisted == kEntries; });
  EXPECT_LE(harness_.store().Stats()->segments_in_use, 6u);
  EXPECT_GT(harness_.store().Stats()->checkpoints, 3u);
  EXPECT_EQ(harness_.storage().base_index(), LogIndex(0));
  for (const bool crashed : {false, true}) {
    if (crashed) harness_.Crash();
    for (uint64_t i = 1; i <= kEntries; ++i) {
      const std::string body = Body(static_cast<char>('a' + i % 26));
      const auto log = harness_.storage().ReadLog(LogIndex(i), LogIndex(i), 1);
      ASSERT_TRUE(log.ok()) << log.status();
      EXPECT_EQ(log->front().command, absl::StrCat("command ", i));
      EXPECT_EQ(log->front().inline_body.view(), body);
      const auto chunk =
          harness_.storage().ReadChunk({.run = runs[i - 1], .number = 0}, 0, body.size());
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      EXPECT_EQ(chunk->view(), body);
    }
  }
}

TEST_F(DiskStoreTest, ManyCrashesDoNotUseTheJournalUp) {
  harness_.Open();
  for (uint64_t i = 1; i <= 30; ++i) {
    PersistRequest request;
    request.entries.push_back(DiskStoreHarness::Entry(1, i));
    ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
    harness_.Crash();
    ASSERT_EQ(harness_.storage().recovered().epochs.size(), i);
  }
}

TEST_F(DiskStoreTest, TheSpaceOfDroppedRunsIsUsedAgain) {
  harness_.Open();
  uint64_t space_after_first_round = 0;
  for (int round = 0; round < 6; ++round) {
    std::vector<RunId> runs;
    for (int i = 0; i < 12; ++i) {
      runs.push_back(RunId::Draw(harness_.random()));
      ASSERT_TRUE(
          harness_.WriteChunk({.run = runs.back(), .number = 0}, Body('x', 200 << 10)).ok());
    }
    for (const RunId& run : runs) ASSERT_TRUE(harness_.storage().DropRun(run).ok());
    ASSERT_TRUE(harness_.store().Checkpoint().ok());
    EXPECT_EQ(harness_.store().Stats()->chunk_live_bytes, 0u);
    if (round == 0) space_after_first_round = harness_.store().Stats()->chunk_space_bytes;
  }
  EXPECT_LE(harness_.store().Stats()->chunk_space_bytes,
            space_after_first_round + harness_.options().extent_bytes);
}

TEST_F(DiskStoreTest, CompactsExtentsThatAreMostlyGarbage) {
  harness_.Open();
  std::vector<RunId> kept;
  for (int i = 0; i < 40; ++i) {
    const RunId run = RunId::Draw(harness_.random());
    ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, Body('x', 100 << 10)).ok());
    if (i % 4 == 0) {
      kept.push_back(run);
    } else {
      ASSERT_TRUE(harness_.storage().DropRun(run).ok());
    }
  }
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(harness_.store().Checkpoint().ok());
  // Ten chunks fill one extent; what is left lies in two.
  const uint64_t space = harness_.store().Stats()->chunk_space_bytes;
  for (int i = 0; i < 10; ++i) {
    const RunId run = RunId::Draw(harness_.random());
    kept.push_back(run);
    ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, Body('x', 100 << 10)).ok());
  }
  EXPECT_EQ(harness_.store().Stats()->chunk_space_bytes, space);
  for (const bool crashed : {false, true}) {
    if (crashed) harness_.Crash();
    for (const RunId& run : kept) {
      const auto chunk = harness_.storage().ReadChunk({.run = run, .number = 0}, 0, 100 << 10);
      ASSERT_TRUE(chunk.ok()) << chunk.status();
      EXPECT_EQ(chunk->view(), Body('x', 100 << 10));
    }
  }
}

TEST_F(DiskStoreTest, NoCallbackOfADestroyedReplicaRuns) {
  harness_.Open();
  bool called = false;
  PersistRequest request;
  request.entries.push_back(DiskStoreHarness::Entry(1, 1));
  harness_.storage().Persist(std::move(request), [&](const absl::Status&) { called = true; });
  harness_.CloseReplica();
  harness_.OpenReplica();
  ASSERT_TRUE(harness_.WriteChunk({.run = RunId::Draw(harness_.random()), .number = 0}, "x").ok());
  EXPECT_FALSE(called);
}

}  // namespace
}  // namespace meridian::storage
