// What the chunks of every ReplicaStorage do; see replica_storage_fixture.h.
#pragma once

#include <algorithm>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "tests/storage/replica_storage_fixture.h"

namespace meridian::storage {

template <typename Subject>
class ReplicaChunkConformance : public ReplicaStorageFixture<Subject> {};

TYPED_TEST_SUITE_P(ReplicaChunkConformance);

TYPED_TEST_P(ReplicaChunkConformance, ACrashUndoesATrimOnlyWithTheDropsAfterIt) {
  const RunId run = this->DrawRun();
  LogEntry entry = this->Entry(1, 1);
  entry.inline_body = Buffer::FromString("a small body");
  entry.inline_run = run;
  entry.inline_crc32c = Crc32c("a small body");
  ASSERT_TRUE(this->Persist({.entries = {entry}}).ok());
  this->Append(1, 2, 40);
  this->ApplyUpTo(1, 40);
  ASSERT_TRUE(this->storage().TrimTo(LogIndex(30)).ok());
  ASSERT_TRUE(this->storage().DropRun(run).ok());
  this->subject().Crash();
  const RecoveredReplica& recovered = this->storage().recovered();
  EXPECT_GE(recovered.applied_index, recovered.base_index);
  if (recovered.base_index < LogIndex(1)) {
    EXPECT_EQ(this->Log(1, 1).at(0).inline_body.view(), "a small body");
    EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 12).value().view(), "a small body");
  }
  EXPECT_EQ(recovered.base_index + recovered.epochs.size(), LogIndex(40));
}

TYPED_TEST_P(ReplicaChunkConformance, ServesAnInlineBodyAsChunkZeroWhateverIsTrimmed) {
  const RunId run = this->DrawRun();
  LogEntry entry = this->Entry(1, 1);
  entry.inline_body = Buffer::FromString("a small body");
  entry.inline_run = run;
  entry.inline_crc32c = Crc32c("a small body");
  ASSERT_TRUE(this->Persist({.entries = {entry}}).ok());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 2, 5).value().view(), "small");
  this->Append(1, 2, 300);
  this->ApplyUpTo(1, 300);
  this->subject().TrimLog(LogIndex(300));
  ASSERT_GT(this->storage().base_index(), LogIndex(1));
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 12).value().view(), "a small body");
  EXPECT_TRUE(this->storage().MissingChunks({run, 0, 1}).value().empty());
  this->subject().Crash();
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 12).value().view(), "a small body");
}

TYPED_TEST_P(ReplicaChunkConformance, KeepsAcknowledgedChunksAcrossACrash) {
  const RunId run = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({run, 0}, "chunk zero").ok());
  ASSERT_TRUE(this->WriteChunk({run, 1}, "chunk one").ok());
  this->subject().Crash();
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 10).value().view(), "chunk zero");
  EXPECT_EQ(this->storage().ReadChunk({run, 1}, 6, 3).value().view(), "one");
  const auto info = this->storage().StatChunk({run, 1});
  ASSERT_TRUE(info.ok() && info->has_value());
  EXPECT_EQ((*info)->size_bytes, 9u);
  EXPECT_EQ((*info)->crc32c, Crc32c("chunk one"));
  const std::vector<ChunkId> missing = {{run, 2}, {run, 3}};
  EXPECT_EQ(this->storage().MissingChunks({run, 0, 4}).value(), missing);
}

TYPED_TEST_P(ReplicaChunkConformance, TellsAMissingChunkFromARangeBeyondItsEnd) {
  const RunId run = this->DrawRun();
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(this->storage().StatChunk({run, 0}).value().has_value());
  ASSERT_TRUE(this->WriteChunk({run, 0}, "chunk").ok());
  EXPECT_FALSE(this->storage().ReadChunk({run, 0}, 3, 3).ok());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 5, 0).value().size(), 0u);
}

TYPED_TEST_P(ReplicaChunkConformance, WritingAChunkAgainChangesNothing) {
  const RunId run = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({run, 0}, "first").ok());
  ASSERT_TRUE(this->WriteChunk({run, 0}, "first").ok());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 5).value().view(), "first");
}

TYPED_TEST_P(ReplicaChunkConformance, ReportsACorruptChunkUntilItIsRepaired) {
  const RunId run = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({run, 0}, "chunk zero").ok());
  this->subject().Corrupt({run, 0});
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 1).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_TRUE(this->storage().MissingChunks({run, 0, 1}).value().empty());
  ASSERT_TRUE(this->RepairChunk({run, 0}, "chunk zero").ok());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 10).value().view(), "chunk zero");
  this->subject().Crash();
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 10).value().view(), "chunk zero");
}

TYPED_TEST_P(ReplicaChunkConformance, DropsARunAndNoOther) {
  const RunId dropped = this->DrawRun();
  const RunId kept = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({dropped, 0}, "x").ok());
  ASSERT_TRUE(this->WriteChunk({dropped, 7}, "y").ok());
  ASSERT_TRUE(this->WriteChunk({kept, 0}, "z").ok());
  EXPECT_EQ(this->storage().ListRuns(RunId(), 10).value().size(), 2u);
  ASSERT_TRUE(this->storage().DropRun(dropped).ok());
  EXPECT_EQ(this->storage().ReadChunk({dropped, 7}, 0, 1).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(this->storage().ListRuns(RunId(), 10).value(),
            (std::vector<ReplicaStorage::StoredRun>{{kept, RunOwner::kSelf}}));
  EXPECT_EQ(this->storage().ReadChunk({kept, 0}, 0, 1).value().view(), "z");
}

TYPED_TEST_P(ReplicaChunkConformance, ListsRunsInOrderAPartAtATime) {
  std::vector<RunId> runs;
  for (int i = 0; i < 5; ++i) {
    runs.push_back(this->DrawRun());
    ASSERT_TRUE(this->WriteChunk({runs.back(), 0}, "x").ok());
    ASSERT_TRUE(this->WriteChunk({runs.back(), 1}, "y").ok());
  }
  std::sort(runs.begin(), runs.end());
  std::vector<RunId> listed;
  for (RunId after;;) {
    const auto part = this->storage().ListRuns(after, 2);
    ASSERT_TRUE(part.ok()) << part.status();
    for (const auto& stored : *part) listed.push_back(stored.run);
    if (part->size() < 2) break;
    after = part->back().run;
  }
  EXPECT_EQ(listed, runs);
  EXPECT_TRUE(this->storage().ListRuns(runs.back(), 2)->empty());
}

// I10, I4: lost is neither absent nor here.
TYPED_TEST_P(ReplicaChunkConformance, AChunkRecordedAsLostIsDamagedUntilItIsWritten) {
  const RunId run = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({run, 0}, "here").ok());
  for (const uint32_t number : {0u, 1u, 2u}) {
    ASSERT_TRUE(this->PlaceLost({run, number}).ok());
  }
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 4).value().view(), "here");
  this->subject().Crash();
  EXPECT_EQ(this->storage().ReadChunk({run, 1}, 0, 4).status().code(), absl::StatusCode::kDataLoss);
  const std::vector<ChunkId> missing = {{run, 1}, {run, 2}};
  EXPECT_EQ(this->storage().MissingChunks({run, 0, 3}).value(), missing);
  EXPECT_TRUE(this->storage().StatChunk({run, 1}).value().has_value());
  EXPECT_EQ(this->storage().lost_chunks(), 2u);
  EXPECT_EQ(this->storage().ListLost(std::nullopt, 1), (std::vector<ChunkId>{{run, 1}}));
  EXPECT_EQ(this->storage().ListLost(ChunkId{run, 1}, 9), (std::vector<ChunkId>{{run, 2}}));
  EXPECT_TRUE(this->storage().ListLost(ChunkId{run, 2}, 9).empty());
  ASSERT_TRUE(this->WriteChunk({run, 1}, "written").ok());
  EXPECT_EQ(this->storage().lost_chunks(), 1u);
  ASSERT_TRUE(this->RepairChunk({run, 2}, "repaired").ok());
  EXPECT_EQ(this->storage().lost_chunks(), 0u);
  this->subject().Crash();
  EXPECT_EQ(this->storage().ReadChunk({run, 1}, 0, 7).value().view(), "written");
  EXPECT_EQ(this->storage().ReadChunk({run, 2}, 0, 8).value().view(), "repaired");
  EXPECT_TRUE(this->storage().MissingChunks({run, 0, 3}).value().empty());
  EXPECT_EQ(this->storage().lost_chunks(), 0u);
  const RunId dropped = this->DrawRun();
  ASSERT_TRUE(this->PlaceLost({dropped, 7}).ok());
  EXPECT_EQ(this->storage().lost_chunks(), 1u);
  ASSERT_TRUE(this->storage().DropRun(dropped).ok());
  EXPECT_EQ(this->storage().lost_chunks(), 0u);
}

// I4: what is acknowledged is here.
TYPED_TEST_P(ReplicaChunkConformance, AWriteUnderWayMakesALostChunkGood) {
  const RunId run = this->DrawRun();
  std::optional<absl::Status> written;
  this->storage().WriteChunk({run, 0}, Buffer::FromString("bytes"), Crc32c("bytes"),
                             [&](absl::Status status) { written = status; });
  ASSERT_TRUE(this->PlaceLost({run, 0}).ok());
  this->subject().RunUntil([&] { return written.has_value(); });
  ASSERT_TRUE(written->ok()) << *written;
  EXPECT_TRUE(this->storage().MissingChunks({run, 0, 1}).value().empty());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 5).value().view(), "bytes");
}

TYPED_TEST_P(ReplicaChunkConformance, TellsTheBytesOfAllChunks) {
  EXPECT_EQ(this->storage().StoredBytes(), 0u);
  const RunId run = this->DrawRun();
  const RunId other = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({run, 0}, "12345").ok());
  ASSERT_TRUE(this->WriteChunk({run, 1}, "678").ok());
  ASSERT_TRUE(this->WriteChunk({other, 0}, "9").ok());
  EXPECT_EQ(this->storage().StoredBytes(), 9u);
  this->subject().Crash();
  EXPECT_EQ(this->storage().StoredBytes(), 9u);
  ASSERT_TRUE(this->storage().DropRun(run).ok());
  EXPECT_EQ(this->storage().StoredBytes(), 1u);
}

REGISTER_TYPED_TEST_SUITE_P(ReplicaChunkConformance, ACrashUndoesATrimOnlyWithTheDropsAfterIt,
                            ServesAnInlineBodyAsChunkZeroWhateverIsTrimmed,
                            KeepsAcknowledgedChunksAcrossACrash,
                            TellsAMissingChunkFromARangeBeyondItsEnd,
                            WritingAChunkAgainChangesNothing, ReportsACorruptChunkUntilItIsRepaired,
                            DropsARunAndNoOther, ListsRunsInOrderAPartAtATime,
                            AChunkRecordedAsLostIsDamagedUntilItIsWritten,
                            AWriteUnderWayMakesALostChunkGood, TellsTheBytesOfAllChunks);

}  // namespace meridian::storage
