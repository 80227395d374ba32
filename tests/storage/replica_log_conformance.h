// What the log of every ReplicaStorage does; see replica_storage_fixture.h.
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
class ReplicaLogConformance : public ReplicaStorageFixture<Subject> {};

TYPED_TEST_SUITE_P(ReplicaLogConformance);

TYPED_TEST_P(ReplicaLogConformance, BeginsWithNothing) {
  const RecoveredReplica& recovered = this->storage().recovered();
  EXPECT_EQ(recovered.hard_state, HardState());
  EXPECT_EQ(recovered.base_index, LogIndex());
  EXPECT_TRUE(recovered.epochs.empty());
  EXPECT_EQ(recovered.applied_index, LogIndex());
  EXPECT_FALSE(recovered.installing);
}

TYPED_TEST_P(ReplicaLogConformance, ReadsBackEveryFieldOfAnEntryAfterACrash) {
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

TYPED_TEST_P(ReplicaLogConformance, ShowsEntriesBeforeTheyAreDurable) {
  bool done = false;
  this->storage().Persist({.entries = {this->Entry(1, 1)}}, [&](absl::Status status) {
    EXPECT_TRUE(status.ok()) << status;
    done = true;
  });
  EXPECT_FALSE(done);  // never inside the call
  EXPECT_EQ(this->Log(1, 1).size(), 1u);
  this->subject().RunUntil([&] { return done; });
}

TYPED_TEST_P(ReplicaLogConformance, CompletesPersistsInOrder) {
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

TYPED_TEST_P(ReplicaLogConformance, KeepsAcknowledgedEntriesAcrossACrash) {
  this->Append(1, 1, 3);
  this->Append(2, 4, 5);
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1, 1, 2, 2}));
  this->Append(3, 6, 6);
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1, 1, 2, 2, 3}));
}

TYPED_TEST_P(ReplicaLogConformance, KeepsAPrefixOfUnacknowledgedEntries) {
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

TYPED_TEST_P(ReplicaLogConformance, KeepsPromisesAcrossACrash) {
  ASSERT_TRUE(this->Persist({.hard_state = HardState{Epoch(7)}}).ok());
  this->subject().Crash();
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(7));
  ASSERT_TRUE(
      this->Persist({.hard_state = HardState{Epoch(9)}, .entries = {this->Entry(9, 1)}}).ok());
  this->subject().Crash();
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(9));
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{9}));
}

TYPED_TEST_P(ReplicaLogConformance, TruncatesBeforeItAppends) {
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

TYPED_TEST_P(ReplicaLogConformance, KeepsATruncationAcrossACrash) {
  this->Append(1, 1, 5);
  ASSERT_TRUE(this->Persist({.truncate_from = LogIndex(3)}).ok());
  this->subject().Crash();
  EXPECT_EQ(this->RecoveredEpochs(), (std::vector<uint64_t>{1, 1}));
}

TYPED_TEST_P(ReplicaLogConformance, ReadsAtLeastOneEntryWhateverTheLimit) {
  this->Append(1, 1, 5);
  EXPECT_EQ(this->Log(2, 5, 1).size(), 1u);
  EXPECT_EQ(this->Log(2, 5, 1).at(0).index, LogIndex(2));
  EXPECT_EQ(this->Log(2, 5).size(), 4u);
}

TYPED_TEST_P(ReplicaLogConformance, TrimsTheLogNotTheStateAndOnlyAsFarAsAllowed) {
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

TYPED_TEST_P(ReplicaLogConformance, TrimsAtOnce) {
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

REGISTER_TYPED_TEST_SUITE_P(ReplicaLogConformance, BeginsWithNothing,
                            ReadsBackEveryFieldOfAnEntryAfterACrash,
                            ShowsEntriesBeforeTheyAreDurable, CompletesPersistsInOrder,
                            KeepsAcknowledgedEntriesAcrossACrash,
                            KeepsAPrefixOfUnacknowledgedEntries, KeepsPromisesAcrossACrash,
                            TruncatesBeforeItAppends, KeepsATruncationAcrossACrash,
                            ReadsAtLeastOneEntryWhateverTheLimit,
                            TrimsTheLogNotTheStateAndOnlyAsFarAsAllowed, TrimsAtOnce);

}  // namespace meridian::storage
