// What every ReplicaStorage does. Instantiate the suite with a Subject, default constructible:
//
//   struct Subject {
//     ReplicaStorage& storage();  // the calling thread is its strand
//     // Runs the strand's tasks and lets the disk work until `done()`.
//     void RunUntil(const std::function<bool()>& done);
//     // Destroys the storage without a flush, loses what a power failure may lose, opens it again.
//     void Crash();
//     // TrimTo(index), and makes it durable.
//     void TrimLog(LogIndex index);
//     void Corrupt(ChunkId chunk);  // flips a stored bit of a chunk written by WriteChunk
//   };
//   INSTANTIATE_TYPED_TEST_SUITE_P(Memory, ReplicaStorageConformance, Subject);
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/replica_storage.h"

namespace meridian::storage {

template <typename Subject>
class ReplicaStorageConformance : public testing::Test {
 protected:
  ReplicaStorage& storage() { return subject_.storage(); }
  Subject& subject() { return subject_; }

  static LogEntry Entry(uint64_t epoch, uint64_t index, std::string command = "command") {
    LogEntry entry;
    entry.epoch = Epoch(epoch);
    entry.index = LogIndex(index);
    entry.timestamp = Timestamp(1000 + index);
    entry.command = std::move(command);
    return entry;
  }

  RunId DrawRun() { return RunId::Draw(random_); }

  // Waits for a write that `start` begins.
  absl::Status Await(const std::function<void(ReplicaStorage::Done)>& start) {
    std::optional<absl::Status> answer;
    start([&answer](absl::Status status) { answer = std::move(status); });
    subject_.RunUntil([&answer] { return answer.has_value(); });
    return *answer;
  }
  absl::Status Persist(PersistRequest request) {
    return Await(
        [&](ReplicaStorage::Done done) { storage().Persist(std::move(request), std::move(done)); });
  }
  absl::Status WriteChunk(ChunkId chunk, const std::string& bytes) {
    return Await([&](ReplicaStorage::Done done) {
      storage().WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  absl::Status RepairChunk(ChunkId chunk, const std::string& bytes) {
    return Await([&](ReplicaStorage::Done done) {
      storage().RepairChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  absl::Status BeginInstall() {
    return Await([&](ReplicaStorage::Done done) { storage().BeginInstall(std::move(done)); });
  }
  absl::Status FinishInstall(uint64_t index, uint64_t epoch) {
    return Await([&](ReplicaStorage::Done done) {
      storage().FinishInstall(LogIndex(index), Epoch(epoch), Timestamp(1000 + index),
                              std::move(done));
    });
  }

  // Persists entries [first, last] of one epoch.
  void Append(uint64_t epoch, uint64_t first, uint64_t last) {
    PersistRequest request;
    for (uint64_t index = first; index <= last; ++index) {
      request.entries.push_back(Entry(epoch, index));
    }
    ASSERT_TRUE(Persist(std::move(request)).ok());
  }
  // Each entry's effect: row "applied" holds its index.
  void ApplyUpTo(uint64_t first, uint64_t last) {
    for (uint64_t index = first; index <= last; ++index) {
      KvBatch batch;
      batch.Put("applied", absl::StrCat(index));
      ASSERT_TRUE(storage().Apply(batch, LogIndex(index), Timestamp(1000 + index)).ok());
    }
  }
  std::optional<std::string> Row(std::string_view key) {
    auto value = storage().NewView()->Get(key);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::nullopt;
  }
  std::vector<LogEntry> Log(uint64_t first, uint64_t last, size_t max_bytes = 1 << 20) {
    auto entries = storage().ReadLog(LogIndex(first), LogIndex(last), max_bytes);
    EXPECT_TRUE(entries.ok()) << entries.status();
    return entries.ok() ? *std::move(entries) : std::vector<LogEntry>();
  }
  std::vector<uint64_t> RecoveredEpochs() {
    std::vector<uint64_t> epochs;
    for (const Epoch epoch : storage().recovered().epochs) epochs.push_back(epoch.value());
    return epochs;
  }

 private:
  SeededRandom random_{1};
  Subject subject_;
};

TYPED_TEST_SUITE_P(ReplicaStorageConformance);

TYPED_TEST_P(ReplicaStorageConformance, BeginsWithNothing) {
  const RecoveredReplica& recovered = this->storage().recovered();
  EXPECT_EQ(recovered.hard_state, HardState());
  EXPECT_EQ(recovered.base_index, LogIndex());
  EXPECT_TRUE(recovered.epochs.empty());
  EXPECT_EQ(recovered.applied_index, LogIndex());
  EXPECT_FALSE(recovered.installing);
}

TYPED_TEST_P(ReplicaStorageConformance, ReadsBackEveryFieldOfAnEntryAfterACrash) {
  const RunId inline_run = this->DrawRun();
  const RunId run = this->DrawRun();
  LogEntry entry = this->Entry(3, 1, std::string("com\0mand", 8));
  entry.inline_body = Buffer::FromString("a small body");
  entry.inline_run = inline_run;
  entry.inline_crc32c = Crc32c("a small body");
  entry.chunks = {{.run = run, .first = 2, .count = 3}};
  LogEntry start = this->Entry(3, 2, "");
  start.kind = LogEntry::Kind::kEpochStart;
  ASSERT_TRUE(this->Persist({.entries = {entry, start}}).ok());
  this->subject().Crash();
  const std::vector<LogEntry> log = this->Log(1, 2);
  ASSERT_EQ(log.size(), 2u);
  EXPECT_EQ(log[0].epoch, Epoch(3));
  EXPECT_EQ(log[0].index, LogIndex(1));
  EXPECT_EQ(log[0].timestamp, entry.timestamp);
  EXPECT_EQ(log[0].kind, LogEntry::Kind::kCommand);
  EXPECT_EQ(log[0].command, entry.command);
  EXPECT_EQ(log[0].inline_body.view(), "a small body");
  EXPECT_EQ(log[0].inline_run, inline_run);
  EXPECT_EQ(log[0].inline_crc32c, entry.inline_crc32c);
  EXPECT_EQ(log[0].chunks, entry.chunks);
  EXPECT_EQ(log[1].kind, LogEntry::Kind::kEpochStart);
  EXPECT_TRUE(log[1].inline_body.empty());
}

TYPED_TEST_P(ReplicaStorageConformance, ShowsEntriesBeforeTheyAreDurable) {
  bool done = false;
  this->storage().Persist({.entries = {this->Entry(1, 1)}}, [&](absl::Status status) {
    EXPECT_TRUE(status.ok()) << status;
    done = true;
  });
  EXPECT_FALSE(done);  // never inside the call
  EXPECT_EQ(this->Log(1, 1).size(), 1u);
  this->subject().RunUntil([&] { return done; });
}

TYPED_TEST_P(ReplicaStorageConformance, CompletesPersistsInOrder) {
  std::vector<uint64_t> completed;
  for (uint64_t index = 1; index <= 20; ++index) {
    this->storage().Persist({.entries = {this->Entry(1, index)}}, [&, index](absl::Status status) {
      EXPECT_TRUE(status.ok()) << status;
      completed.push_back(index);
    });
  }
  this->subject().RunUntil([&] { return completed.size() == 20; });
  for (uint64_t i = 0; i < 20; ++i) EXPECT_EQ(completed[i], i + 1);
}

// I1, I4: what was acknowledged is there after any crash.
TYPED_TEST_P(ReplicaStorageConformance, KeepsAcknowledgedEntriesAcrossACrash) {
  this->Append(1, 1, 3);
  this->Append(2, 4, 5);
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1, 1, 2, 2}));
  this->Append(3, 6, 6);
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1, 1, 2, 2, 3}));
}

TYPED_TEST_P(ReplicaStorageConformance, KeepsAPrefixOfUnacknowledgedEntries) {
  this->Append(1, 1, 3);
  for (uint64_t index = 4; index <= 12; ++index) {
    this->storage().Persist({.entries = {this->Entry(1, index)}}, [](absl::Status) {});
  }
  this->subject().Crash();
  const size_t kept = this->storage().recovered().epochs.size();
  EXPECT_GE(kept, 3u);
  EXPECT_LE(kept, 12u);
  if (kept > 0) {
    EXPECT_EQ(this->Log(1, kept).size(), kept);
  }
}

// I3: a promise once answered is never taken back.
TYPED_TEST_P(ReplicaStorageConformance, KeepsPromisesAcrossACrash) {
  ASSERT_TRUE(this->Persist({.hard_state = HardState{Epoch(7)}}).ok());
  this->subject().Crash();
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(7));
  ASSERT_TRUE(
      this->Persist({.hard_state = HardState{Epoch(9)}, .entries = {this->Entry(9, 1)}}).ok());
  this->subject().Crash();
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(9));
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{9}));
}

TYPED_TEST_P(ReplicaStorageConformance, TruncatesBeforeItAppends) {
  this->Append(1, 1, 5);
  ASSERT_TRUE(this->Persist({.truncate_from = LogIndex(3),
                             .entries = {this->Entry(2, 3, "new"), this->Entry(2, 4, "new")}})
                  .ok());
  EXPECT_EQ(this->Log(1, 9).size(), 4u);
  EXPECT_EQ(this->Log(3, 3).at(0).command, "new");
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1, 2, 2}));
  EXPECT_EQ(this->Log(3, 3).at(0).command, "new");
}

TYPED_TEST_P(ReplicaStorageConformance, KeepsATruncationAcrossACrash) {
  this->Append(1, 1, 5);
  ASSERT_TRUE(this->Persist({.truncate_from = LogIndex(3)}).ok());
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1}));
}

TYPED_TEST_P(ReplicaStorageConformance, ReadsAtLeastOneEntryWhateverTheLimit) {
  this->Append(1, 1, 5);
  EXPECT_EQ(this->Log(2, 5, 1).size(), 1u);
  EXPECT_EQ(this->Log(2, 5, 1).at(0).index, LogIndex(2));
  EXPECT_EQ(this->Log(2, 5).size(), 4u);
}

TYPED_TEST_P(ReplicaStorageConformance, ShowsAppliedEffectsAtOnceAndOldViewsTheirOwn) {
  this->Append(1, 1, 2);
  KvBatch first;
  first.Put("a", "1");
  first.Put("b", "1");
  ASSERT_TRUE(this->storage().Apply(first, LogIndex(1), Timestamp(1001)).ok());
  const std::unique_ptr<KvReader> old_view = this->storage().NewView();
  KvBatch second;
  second.Put("a", "2");
  second.DeleteRange("b", "c");
  ASSERT_TRUE(this->storage().Apply(second, LogIndex(2), Timestamp(1002)).ok());
  EXPECT_EQ(this->Row("a"), "2");
  EXPECT_EQ(this->Row("b"), std::nullopt);
  EXPECT_EQ(old_view->Get("a").value(), "1");
  EXPECT_EQ(old_view->Get("b").value(), "1");
}

TYPED_TEST_P(ReplicaStorageConformance, IteratesTheStateInByteOrderWithinBounds) {
  this->Append(1, 1, 1);
  KvBatch batch;
  for (const char* key : {"a", "b", "ba", "c", "d"}) batch.Put(key, std::string("v-") + key);
  ASSERT_TRUE(this->storage().Apply(batch, LogIndex(1), Timestamp(1001)).ok());
  const std::unique_ptr<KvReader> view = this->storage().NewView();
  const std::unique_ptr<KvIterator> row = view->NewIterator("b", "d");
  std::vector<std::string> keys;
  for (row->Seek("a"); row->Valid(); row->Next()) {
    keys.emplace_back(row->key());
    EXPECT_EQ(std::string(row->value()), "v-" + keys.back());
  }
  EXPECT_TRUE(row->status().ok());
  EXPECT_EQ(keys, (std::vector<std::string>{"b", "ba", "c"}));
}

TYPED_TEST_P(ReplicaStorageConformance, RecoversAStateThatEqualsItsAppliedIndex) {
  this->Append(1, 1, 40);
  this->ApplyUpTo(1, 40);
  this->subject().Crash();
  const RecoveredReplica& recovered = this->storage().recovered();
  EXPECT_LE(recovered.applied_index, LogIndex(40));
  const uint64_t applied = recovered.applied_index.value();
  if (applied == 0) {
    EXPECT_EQ(this->Row("applied"), std::nullopt);
  } else {
    EXPECT_EQ(this->Row("applied"), absl::StrCat(applied));
    EXPECT_EQ(recovered.applied_timestamp, Timestamp(1000 + applied));
  }
  this->ApplyUpTo(applied + 1, 40);
  EXPECT_EQ(this->Row("applied"), "40");
}

TYPED_TEST_P(ReplicaStorageConformance, TrimsTheLogNotTheStateAndOnlyAsFarAsAllowed) {
  this->Append(1, 1, 100);
  this->Append(2, 101, 400);
  this->ApplyUpTo(1, 300);
  this->subject().TrimLog(LogIndex(300));
  const LogIndex base = this->storage().base_index();
  ASSERT_GT(base, LogIndex());
  EXPECT_LE(base, LogIndex(300));
  EXPECT_EQ(this->storage().ReadLog(base, LogIndex(400), 1 << 20).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(this->Log(base.value() + 1, 400).size(), 400 - base.value());

  this->subject().Crash();
  const RecoveredReplica& recovered = this->storage().recovered();
  ASSERT_GE(recovered.base_index, base);
  EXPECT_EQ(recovered.base_epoch, Epoch(recovered.base_index > LogIndex(100) ? 2 : 1));
  EXPECT_EQ(recovered.base_index + recovered.epochs.size(), LogIndex(400));
  EXPECT_GE(recovered.applied_index, recovered.base_index);
  EXPECT_EQ(this->Row("applied"), absl::StrCat(recovered.applied_index.value()));
}

TYPED_TEST_P(ReplicaStorageConformance, TrimsAtOnce) {
  this->Append(1, 1, 4);
  this->Append(2, 5, 8);
  this->ApplyUpTo(1, 6);
  ASSERT_TRUE(this->storage().TrimTo(LogIndex(5)).ok());
  EXPECT_EQ(this->storage().base_index(), LogIndex(5));
  EXPECT_EQ(this->storage().ReadLog(LogIndex(5), LogIndex(8), 1 << 20).status().code(),
            absl::StatusCode::kOutOfRange);
  EXPECT_EQ(this->Log(6, 8).size(), 3u);
  ASSERT_TRUE(this->storage().TrimTo(LogIndex(3)).ok());  // is trimmed already
  EXPECT_EQ(this->storage().base_index(), LogIndex(5));
  this->Append(2, 9, 9);
  EXPECT_EQ(this->Log(6, 9).size(), 4u);
}

// P8: a run that is dropped after a trim is never missed by an entry that the crash brought back.
TYPED_TEST_P(ReplicaStorageConformance, ACrashUndoesATrimOnlyWithTheDropsAfterIt) {
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

TYPED_TEST_P(ReplicaStorageConformance, ServesAnInlineBodyAsChunkZeroWhateverIsTrimmed) {
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

// P2, I4.
TYPED_TEST_P(ReplicaStorageConformance, KeepsAcknowledgedChunksAcrossACrash) {
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

TYPED_TEST_P(ReplicaStorageConformance, TellsAMissingChunkFromARangeBeyondItsEnd) {
  const RunId run = this->DrawRun();
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 1).status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(this->storage().StatChunk({run, 0}).value().has_value());
  ASSERT_TRUE(this->WriteChunk({run, 0}, "chunk").ok());
  EXPECT_FALSE(this->storage().ReadChunk({run, 0}, 3, 3).ok());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 5, 0).value().size(), 0u);
}

TYPED_TEST_P(ReplicaStorageConformance, WritingAChunkAgainChangesNothing) {
  const RunId run = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({run, 0}, "first").ok());
  ASSERT_TRUE(this->WriteChunk({run, 0}, "first").ok());
  EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 5).value().view(), "first");
}

// I10: corrupt is neither served nor taken for absent, and is superseded by good bytes.
TYPED_TEST_P(ReplicaStorageConformance, ReportsACorruptChunkUntilItIsRepaired) {
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

TYPED_TEST_P(ReplicaStorageConformance, DropsARunAndNoOther) {
  const RunId dropped = this->DrawRun();
  const RunId kept = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({dropped, 0}, "x").ok());
  ASSERT_TRUE(this->WriteChunk({dropped, 7}, "y").ok());
  ASSERT_TRUE(this->WriteChunk({kept, 0}, "z").ok());
  EXPECT_EQ(this->storage().ListRuns().value().size(), 2u);
  ASSERT_TRUE(this->storage().DropRun(dropped).ok());
  EXPECT_EQ(this->storage().ReadChunk({dropped, 7}, 0, 1).status().code(),
            absl::StatusCode::kNotFound);
  EXPECT_EQ(this->storage().ListRuns().value(), (std::vector<RunId>{kept}));
  EXPECT_EQ(this->storage().ReadChunk({kept, 0}, 0, 1).value().view(), "z");
}

TYPED_TEST_P(ReplicaStorageConformance, AnInstallReplacesStateAndLog) {
  const RunId run = this->DrawRun();
  this->Append(1, 1, 5);
  this->ApplyUpTo(1, 5);
  ASSERT_TRUE(this->BeginInstall().ok());
  EXPECT_EQ(this->Row("applied"), std::nullopt);
  ASSERT_TRUE(this->storage().LoadInstall({{"a", "1"}}).ok());
  ASSERT_TRUE(this->storage().LoadInstall({{"b", "2"}}).ok());
  ASSERT_TRUE(this->WriteChunk({run, 0}, "chunk").ok());
  ASSERT_TRUE(this->FinishInstall(50, 4).ok());
  EXPECT_EQ(this->storage().base_index(), LogIndex(50));
  this->Append(5, 51, 52);
  for (const bool crashed : {false, true}) {
    if (crashed) this->subject().Crash();
    EXPECT_EQ(this->Row("a"), "1");
    EXPECT_EQ(this->Row("b"), "2");
    EXPECT_EQ(this->Row("applied"), std::nullopt);
    EXPECT_EQ(this->Log(51, 52).size(), 2u);
    EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 5).value().view(), "chunk");
  }
  const RecoveredReplica& recovered = this->storage().recovered();
  EXPECT_FALSE(recovered.installing);
  EXPECT_EQ(recovered.base_index, LogIndex(50));
  EXPECT_EQ(recovered.base_epoch, Epoch(4));
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{5, 5}));
  EXPECT_EQ(recovered.applied_index, LogIndex(50));
  EXPECT_EQ(recovered.applied_timestamp, Timestamp(1050));
}

// P6: half a snapshot is known to be half a snapshot.
TYPED_TEST_P(ReplicaStorageConformance, ACrashDuringAnInstallIsRecognised) {
  ASSERT_TRUE(this->Persist({.hard_state = HardState{Epoch(3)}}).ok());
  this->Append(3, 1, 5);
  this->ApplyUpTo(1, 5);
  ASSERT_TRUE(this->BeginInstall().ok());
  ASSERT_TRUE(this->storage().LoadInstall({{"a", "1"}}).ok());
  ASSERT_TRUE(this->Persist({.hard_state = HardState{Epoch(6)}}).ok());
  this->subject().Crash();
  EXPECT_TRUE(this->storage().recovered().installing);
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(6));

  ASSERT_TRUE(this->BeginInstall().ok());
  EXPECT_EQ(this->Row("a"), std::nullopt);
  ASSERT_TRUE(this->storage().LoadInstall({{"b", "2"}}).ok());
  ASSERT_TRUE(this->FinishInstall(60, 6).ok());
  this->subject().Crash();
  EXPECT_FALSE(this->storage().recovered().installing);
  EXPECT_EQ(this->storage().recovered().base_index, LogIndex(60));
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(6));
  EXPECT_EQ(this->Row("a"), std::nullopt);
  EXPECT_EQ(this->Row("b"), "2");
}

REGISTER_TYPED_TEST_SUITE_P(
    ReplicaStorageConformance, BeginsWithNothing, ReadsBackEveryFieldOfAnEntryAfterACrash,
    ShowsEntriesBeforeTheyAreDurable, CompletesPersistsInOrder,
    KeepsAcknowledgedEntriesAcrossACrash, KeepsAPrefixOfUnacknowledgedEntries,
    KeepsPromisesAcrossACrash, TruncatesBeforeItAppends, KeepsATruncationAcrossACrash,
    ReadsAtLeastOneEntryWhateverTheLimit, ShowsAppliedEffectsAtOnceAndOldViewsTheirOwn,
    IteratesTheStateInByteOrderWithinBounds, RecoversAStateThatEqualsItsAppliedIndex,
    TrimsTheLogNotTheStateAndOnlyAsFarAsAllowed, TrimsAtOnce,
    ACrashUndoesATrimOnlyWithTheDropsAfterIt, ServesAnInlineBodyAsChunkZeroWhateverIsTrimmed,
    KeepsAcknowledgedChunksAcrossACrash, TellsAMissingChunkFromARangeBeyondItsEnd,
    WritingAChunkAgainChangesNothing, ReportsACorruptChunkUntilItIsRepaired, DropsARunAndNoOther,
    AnInstallReplacesStateAndLog, ACrashDuringAnInstallIsRecognised);

}  // namespace meridian::storage
