// What the state and the installs of every ReplicaStorage do; see replica_storage_fixture.h.
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
class ReplicaStateConformance : public ReplicaStorageFixture<Subject> {};

TYPED_TEST_SUITE_P(ReplicaStateConformance);

TYPED_TEST_P(ReplicaStateConformance, ShowsAppliedEffectsAtOnceAndOldViewsTheirOwn) {
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

TYPED_TEST_P(ReplicaStateConformance, IteratesTheStateInByteOrderWithinBounds) {
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

TYPED_TEST_P(ReplicaStateConformance, RecoversAStateThatEqualsItsAppliedIndex) {
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

TYPED_TEST_P(ReplicaStateConformance, AnInstallReplacesStateAndLog) {
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

TYPED_TEST_P(ReplicaStateConformance, ACrashDuringAnInstallIsRecognised) {
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

REGISTER_TYPED_TEST_SUITE_P(ReplicaStateConformance, ShowsAppliedEffectsAtOnceAndOldViewsTheirOwn,
                            IteratesTheStateInByteOrderWithinBounds,
                            RecoversAStateThatEqualsItsAppliedIndex, AnInstallReplacesStateAndLog,
                            ACrashDuringAnInstallIsRecognised);

}  // namespace meridian::storage
