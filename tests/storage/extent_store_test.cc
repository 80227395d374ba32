#include "storage/extents/extent_store.h"

#include <functional>
#include <string>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "storage/extents/format.h"
#include "tests/storage/extent_harness.h"

namespace meridian::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

TEST(ExtentStore, ReadsBackAnyRangeOfAChunk) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 10000).ok());
  const auto& chunk = h.index[1];
  for (const auto& [offset, size] :
       std::vector<std::pair<size_t, size_t>>{{0, 10000}, {0, 1}, {9999, 1}, {4000, 200}, {5, 0}}) {
    const auto read = h.store->Read(chunk.location, chunk.identity, offset, size);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->view(), chunk.bytes.substr(offset, size));
  }
  for (const auto& [offset, size] :
       std::vector<std::pair<size_t, size_t>>{{0, 10001}, {10001, 0}, {1, ~size_t{0}}}) {
    EXPECT_TRUE(
        absl::IsOutOfRange(h.store->Read(chunk.location, chunk.identity, offset, size).status()));
  }
}

TEST(ExtentStore, KeepsChunksOfAllSizesOverManyExtents) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 60; ++i) ASSERT_TRUE(h.Put(i, 1 + h.random().Uniform(16 << 10)).ok());
  EXPECT_GT(h.FileCount(), 5u);
  EXPECT_EQ(h.Damage(), "");
  ASSERT_TRUE(h.Open().ok());
  EXPECT_EQ(h.Damage(), "");
}

TEST(ExtentStore, AppendsThatWaitShareOneSync) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(0, 100).ok());
  absl::Notification started;
  absl::Notification go_on;
  h.store->Append(h.IdentityOf(1, ""), Buffer(), [&](const absl::StatusOr<ChunkLocation>&) {
    started.Notify();
    go_on.WaitForNotification();
  });
  started.WaitForNotification();
  const uint64_t before = h.fault().operations();
  absl::BlockingCounter all(5);
  const std::string bytes = "bytes";
  for (uint32_t i = 0; i < 5; ++i) {
    h.store->Append(h.IdentityOf(i, bytes), Buffer::FromString(bytes),
                    [&](const absl::StatusOr<ChunkLocation>& location) {
                      EXPECT_TRUE(location.ok());
                      EXPECT_EQ(h.fault().operations(), before + 6) << "5 writes and the sync";
                      all.DecrementCount();
                    });
  }
  go_on.Notify();
  all.Wait();
}

TEST(ExtentStore, RefusesWhatIsNoChunkAndGoesOn) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  EXPECT_TRUE(absl::IsInvalidArgument(h.Put(1, 0)));
  EXPECT_TRUE(absl::IsInvalidArgument(h.Put(1, (16 << 10) + 1)));
  ChunkIdentity wrong = h.IdentityOf(1, "bytes");
  wrong.crc32c ^= 1;
  EXPECT_TRUE(absl::IsInvalidArgument(h.Append(wrong, "bytes").status()));
  EXPECT_TRUE(h.store->health().ok());
  EXPECT_TRUE(h.Put(1, 16 << 10).ok());
}

TEST(ExtentStore, RefusesWhatWouldWaitBeyondTheBound) {
  ExtentHarness h;
  h.options.max_queued_bytes = 1000;
  ASSERT_TRUE(h.Open().ok());
  EXPECT_TRUE(absl::IsResourceExhausted(h.Put(1, 1001)));
  EXPECT_TRUE(h.Put(1, 1000).ok());
  EXPECT_TRUE(h.Put(2, 1000).ok());
}

// I10
TEST(ExtentStore, EveryFlippedBitIsDetectedAndOnlyThatChunkIsLost) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(h.Put(i, 3000).ok());
  const auto& chunk = h.index[1];
  const size_t size = extent_format::kRecordHeaderBytes + chunk.bytes.size();
  for (size_t i = 0; i < size; i += 1 + h.random().Uniform(20)) {
    const int bit = static_cast<int>(h.random().Uniform(8));
    h.fault().FlipBit(h.PathOf(chunk.location), chunk.location.offset + i, bit);
    EXPECT_TRUE(absl::IsDataLoss(h.Read(chunk).status())) << "byte " << i;
    EXPECT_EQ(h.Read(h.index[0])->view(), h.index[0].bytes);
    EXPECT_EQ(h.Read(h.index[2])->view(), h.index[2].bytes);
    h.fault().FlipBit(h.PathOf(chunk.location), chunk.location.offset + i, bit);
  }
  EXPECT_EQ(h.Damage(), "");
}

// I10, P19
TEST(ExtentStore, AnotherChunkThanTheOneAskedForIsDataLoss) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 3000).ok());
  const ExtentHarness::Chunk good = h.index[1];
  for (const auto& change : std::vector<std::function<void(ExtentHarness::Chunk&)>>{
           [&](auto& c) { c.identity.container = ContainerId::Draw(h.random()); },
           [&](auto& c) { c.identity.chunk.run = RunId::Draw(h.random()); },
           [&](auto& c) { c.identity.chunk.number += 1; }, [&](auto& c) { c.identity.crc32c += 1; },
           [&](auto& c) { c.location.offset += 4096; }, [&](auto& c) { c.location.extent += 1; },
           [&](auto& c) { c.location.generation += 1; }, [&](auto& c) { c.location.length -= 1; },
           [&](auto& c) { c.location.offset = uint64_t{1} << 50; }}) {
    ExtentHarness::Chunk bad = good;
    change(bad);
    const auto read = h.store->Read(bad.location, bad.identity, 0, 1);
    EXPECT_TRUE(absl::IsDataLoss(read.status())) << read.status();
  }
}

TEST(ExtentStore, AMisdirectedOrLostWriteIsDataLoss) {
  for (const int64_t delta : {int64_t{0}, int64_t{4096}, int64_t{-4096}}) {
    ExtentHarness h;
    ASSERT_TRUE(h.Open().ok());
    for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(h.Put(i, 3000).ok());
    h.fault().MisdirectNextWrite("extents/", delta);
    ASSERT_TRUE(h.Put(3, 3000).ok());
    EXPECT_TRUE(absl::IsDataLoss(h.Read(h.index[3]).status()));
    EXPECT_EQ(absl::IsDataLoss(h.Read(h.index[2]).status()), delta < 0);
  }
}

TEST(ExtentStore, ARecordOfAnEarlierGenerationIsNeverAccepted) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 3000).ok());
  const ExtentHarness::Chunk old = h.index[1];
  const std::string old_bytes = h.fault().Contents(h.PathOf(old.location));
  h.Free(1);
  for (uint32_t i = 2;
       h.index.count(i - 1) == 0 || h.index[i - 1].location.extent != old.location.extent ||
       h.index[i - 1].location.generation == old.location.generation;
       ++i) {
    if (i > 2) h.Free(i - 1);
    ASSERT_TRUE(h.Put(i, 3000).ok());
    ASSERT_LT(i, 200u);
  }
  EXPECT_TRUE(absl::IsNotFound(h.Read(old).status())) << "the reader looks up its location again";
  // The stale block comes back where the new chunk is.
  const auto& now = h.index.rbegin()->second;
  ASSERT_EQ(now.location.offset, old.location.offset);
  h.fault().Overwrite(h.PathOf(now.location), now.location.offset,
                      old_bytes.substr(old.location.offset, 4096));
  EXPECT_TRUE(absl::IsDataLoss(h.Read(now).status()));
}

TEST(ExtentStore, SpaceOfFreedChunksComesBack) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 500; ++i) {
    ASSERT_TRUE(h.Put(i, 10000).ok());
    if (i >= 5) h.Free(i - 5);
  }
  EXPECT_LE(h.FileCount(), 3u);
  EXPECT_EQ(h.Damage(), "");
}

TEST(ExtentStore, AfterARestartWhatIsNotReferencedIsFree) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 40; ++i) ASSERT_TRUE(h.Put(i, 10000).ok());
  const size_t files = h.FileCount();
  for (uint32_t i = 0; i < 40; ++i) {
    if (i % 20 != 0) h.index.erase(i);
  }
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 100; i < 120; ++i) ASSERT_TRUE(h.Put(i, 10000).ok());
  EXPECT_EQ(h.FileCount(), files) << "recycled, not made anew";
  EXPECT_EQ(h.Damage(), "");
}

TEST(ExtentStore, ARestartGoesOnInAPartlyFilledExtentBehindEverythingWritten) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 3; ++i) ASSERT_TRUE(h.Put(i, 5000).ok());
  const ChunkLocation unreferenced = h.index[2].location;
  h.index.erase(2);
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(3, 5000).ok());
  EXPECT_EQ(h.FileCount(), 1u);
  EXPECT_EQ(h.index[3].location.generation, unreferenced.generation);
  EXPECT_GT(h.index[3].location.offset, unreferenced.offset);
}

TEST(ExtentStore, AReferenceIntoNothingIsDataLoss) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 5000).ok());
  const ExtentHarness::Chunk good = h.index[1];
  for (const auto& change : std::vector<std::function<void(ChunkLocation&)>>{
           [](auto& l) { l.extent = 77; }, [](auto& l) { l.generation += 1; },
           [](auto& l) { l.offset = 64 << 10; }, [](auto& l) { l.offset += 1; },
           [](auto& l) { l.offset = 0; }, [](auto& l) { l.length = 64 << 10; }}) {
    h.index[1] = good;
    change(h.index[1].location);
    EXPECT_TRUE(absl::IsDataLoss(h.Open()));
  }
}

TEST(ExtentStore, RefusesAnotherDisksExtentsAndDamagedHeaders) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 5000).ok());
  h.Close();
  const DiskId mine = h.options.disk_id;
  h.options.disk_id = DiskId::Draw(h.random());
  EXPECT_TRUE(absl::IsFailedPrecondition(h.Open()));
  h.options.disk_id = mine;
  EXPECT_TRUE(h.Open().ok());
  h.Close();
  h.fault().FlipBit(h.PathOf(h.index[1].location), 40, 1);
  EXPECT_TRUE(absl::IsDataLoss(h.Open()));
}

TEST(ExtentStore, AFailedSyncAcknowledgesNothingAndTakesTheDiskOutOfService) {
  for (const FaultDisk::Op op : {FaultDisk::Op::kSync, FaultDisk::Op::kWrite}) {
    ExtentHarness h;
    ASSERT_TRUE(h.Open().ok());
    ASSERT_TRUE(h.Put(1, 5000).ok());
    h.fault().FailOnce(op, "extents/");
    const absl::Status failed = h.Put(2, 5000);
    EXPECT_TRUE(absl::IsUnavailable(failed)) << failed;
    EXPECT_EQ(h.Put(3, 5000), failed) << "never retried";
    EXPECT_EQ(h.store->health(), failed);
    EXPECT_EQ(h.Damage(), "") << "reads go on";
  }
}

TEST(ExtentStore, AReadErrorIsUnavailableAndTheDiskGoesOn) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 5000).ok());
  h.fault().FailOnce(FaultDisk::Op::kRead, "extents/");
  EXPECT_TRUE(absl::IsUnavailable(h.Read(h.index[1]).status()));
  EXPECT_EQ(h.Damage(), "");
  EXPECT_TRUE(h.Put(2, 5000).ok());
}

TEST(ExtentStore, AFullDiskRefusesChunksUntilSpaceIsBack) {
  ExtentHarness h;
  h.fault().set_capacity_bytes((264 << 10) + h.options.reserve_bytes);
  ASSERT_TRUE(h.Open().ok());
  uint32_t last = 0;
  absl::Status status;
  while ((status = h.Put(last, 10000)).ok()) ++last;
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_EQ(h.FileCount(), 2u) << "the space of two more is left";
  EXPECT_TRUE(h.store->health().ok());
  EXPECT_EQ(h.Damage(), "") << "reads go on";
  EXPECT_GE(*h.disk().FreeBytes(), h.options.reserve_bytes);
  for (uint32_t i = 0; i < 8; ++i) h.Free(i);
  EXPECT_TRUE(h.Put(last, 10000).ok()) << "service resumes";
  EXPECT_EQ(h.Damage(), "");
}

// An evacuation as the user does it: its index decides what is live, and is told where it went.
ExtentStore::Evacuation Evacuate(ExtentHarness& h, std::vector<uint32_t>& damaged) {
  return {
      .is_live = [&h](const ChunkIdentity& identity,
                      const ChunkLocation& at) -> absl::StatusOr<bool> {
        const auto found = h.index.find(identity.chunk.number);
        return found != h.index.end() && found->second.location == at;
      },
      .moved =
          [&h](const ChunkIdentity& identity, const ChunkLocation& from, const ChunkLocation& to) {
            h.index.at(identity.chunk.number).location = to;
            h.store->MarkFree(from);
            return absl::OkStatus();
          },
      .damaged =
          [&damaged](const ChunkIdentity& identity, const ChunkLocation&) {
            damaged.push_back(identity.chunk.number);
            return absl::OkStatus();
          },
  };
}

TEST(ExtentStore, EvacuationWinsTheSpaceOfFragmentedExtents) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 100; ++i) ASSERT_TRUE(h.Put(i, 10000).ok());
  const size_t files = h.FileCount();
  for (uint32_t i = 0; i < 100; ++i) {
    if (i % 5 != 0) h.Free(i);
  }
  const std::vector<uint32_t> candidates = EvacuationCandidates(h.store->Extents(), 0.5);
  EXPECT_GT(candidates.size(), files / 2);
  std::vector<uint32_t> damaged;
  for (const uint32_t extent : candidates) {
    ASSERT_TRUE(h.store->Evacuate(extent, Evacuate(h, damaged)).ok());
  }
  EXPECT_THAT(damaged, IsEmpty());
  EXPECT_EQ(h.index.size(), 20u);
  EXPECT_EQ(h.Damage(), "");
  size_t empty = 0;
  for (const ExtentInfo& info : h.store->Extents()) empty += info.live_bytes == 0;
  EXPECT_GE(empty, files / 2);
  for (uint32_t i = 200; i < 240; ++i) ASSERT_TRUE(h.Put(i, 10000).ok());
  EXPECT_LE(h.FileCount(), files + 1) << "the space is used again";
  ASSERT_TRUE(h.Open().ok());
  EXPECT_EQ(h.Damage(), "");
}

TEST(ExtentStore, AFullDiskHasTheSpaceToCatchUpAndStillToBeCompacted) {
  ExtentHarness h;
  h.fault().set_capacity_bytes((264 << 10) + h.options.reserve_bytes);
  ASSERT_TRUE(h.Open().ok());
  uint32_t last = 0;
  while (h.Put(last, 10000).ok()) ++last;
  absl::Status status;
  uint32_t restored = 0;
  for (; status.ok(); ++restored) status = h.Restore(last + restored, 10000);
  EXPECT_TRUE(absl::IsResourceExhausted(status)) << status;
  EXPECT_GT(restored, 4u);
  EXPECT_EQ(h.FileCount(), 3u);
  h.Free(0);
  std::vector<uint32_t> damaged;
  ASSERT_TRUE(h.store->Evacuate(h.index[1].location.extent, Evacuate(h, damaged)).ok());
  EXPECT_EQ(h.FileCount(), 4u);
  EXPECT_EQ(h.Damage(), "");
}

TEST(ExtentStore, AFullDiskHasTheSpaceToBeCompacted) {
  ExtentHarness h;
  h.fault().set_capacity_bytes((264 << 10) + h.options.reserve_bytes);
  ASSERT_TRUE(h.Open().ok());
  uint32_t last = 0;
  while (h.Put(last, 10000).ok()) ++last;
  h.Free(0);
  EXPECT_TRUE(absl::IsResourceExhausted(h.Put(last, 10000)));
  std::vector<uint32_t> damaged;
  ASSERT_TRUE(h.store->Evacuate(h.index[1].location.extent, Evacuate(h, damaged)).ok());
  EXPECT_EQ(h.FileCount(), 3u);
  EXPECT_TRUE(h.Put(last, 10000).ok());
  EXPECT_EQ(h.Damage(), "");
  EXPECT_THAT(damaged, IsEmpty());
}

TEST(ExtentStore, EvacuationCopiesNoDamageAndGoesOnBehindIt) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(h.Put(i, 10000).ok());
  const uint32_t extent = h.index[0].location.extent;
  // Chunk 1's bytes, and chunk 2's header.
  h.fault().FlipBit(h.PathOf(h.index[1].location), h.index[1].location.offset + 5000, 0);
  h.fault().FlipBit(h.PathOf(h.index[2].location), h.index[2].location.offset + 70, 0);
  std::vector<uint32_t> damaged;
  ASSERT_TRUE(h.store->Evacuate(extent, Evacuate(h, damaged)).ok());
  EXPECT_THAT(damaged, ElementsAre(1u));
  for (const auto& [number, chunk] : h.index) {
    const bool bad = number == 1 || number == 2;
    EXPECT_EQ(absl::IsDataLoss(h.Read(chunk).status()), bad) << number;
    if (number == 0 || number == 3) {
      EXPECT_NE(chunk.location.extent, extent);
    }
  }
}

// Else it would be the first candidate for ever, and no extent be compacted any more.
TEST(ExtentStore, EvacuationStepsOverASectorThatCannotBeRead) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (uint32_t i = 0; i < 10; ++i) ASSERT_TRUE(h.Put(i, 10000).ok());
  const uint32_t extent = h.index[0].location.extent;
  const ChunkLocation broken = h.index[2].location;
  h.fault().BreakSectors(h.PathOf(broken), broken.offset, FaultDisk::kSectorBytes);
  std::vector<uint32_t> damaged;
  const absl::Status evacuated = h.store->Evacuate(extent, Evacuate(h, damaged));
  EXPECT_TRUE(evacuated.ok()) << evacuated;
  EXPECT_TRUE(h.store->health().ok());
  for (const auto& [number, chunk] : h.index) {
    EXPECT_EQ(h.Read(chunk).ok(), number != 2) << number;
    if (number == 0 || number == 3) {
      EXPECT_NE(chunk.location.extent, extent);
    }
  }
}

TEST(ExtentStore, AnOpenOrFreeExtentIsNotEvacuated) {
  ExtentHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Put(1, 10000).ok());
  std::vector<uint32_t> damaged;
  EXPECT_TRUE(absl::IsFailedPrecondition(
      h.store->Evacuate(h.index[1].location.extent, Evacuate(h, damaged))));
  EXPECT_TRUE(absl::IsFailedPrecondition(h.store->Evacuate(99, Evacuate(h, damaged))));
}

// Kill points: every chunk acknowledged and indexed is there after each power cut.
int RoundsUntilLoss(uint64_t seed, int rounds, bool syncs_work) {
  ExtentHarness h(seed);
  SeededRandom random(seed * 104729);
  uint32_t next = 0;
  for (int round = 0; round < rounds; ++round) {
    if (!h.Open().ok() && !h.fault().power_is_off()) return round;
    if (!h.fault().power_is_off() && !h.Damage().empty()) return round;
    h.fault().set_syncs_work(syncs_work);
    h.fault().CutPowerAfter(1 + random.Uniform(30));
    while (!h.fault().power_is_off()) {
      if (!h.Put(next++, 1 + random.Uniform(16 << 10)).ok()) break;
      while (h.index.size() > 12) h.Free(h.index.begin()->first);
    }
    h.fault().CutPower();
    h.Close();
  }
  return rounds;
}

TEST(ExtentStore, KeepsWhatItAcknowledgedThroughPowerCuts) {
  for (uint64_t seed = 1; seed <= 40; ++seed) {
    EXPECT_EQ(RoundsUntilLoss(seed, 10, true), 10) << "seed " << seed;
  }
}

TEST(ExtentStore, ThePowerCutTestSeesADiskThatLies) {
  int detected = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) detected += RoundsUntilLoss(seed, 10, false) < 10;
  EXPECT_GT(detected, 10);
}

}  // namespace
}  // namespace meridian::storage
