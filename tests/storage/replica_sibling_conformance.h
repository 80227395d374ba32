// How replicas of several partitions of one container share a disk; see replica_storage_fixture.h.
// Beside what is said there, the Subject has another replica of the container, of another
// partition:
//
//   // Makes the sibling; once.
//   void MakeSibling(bool installing);
//   // Closed by Crash() too. It is open between the two.
//   void OpenSibling();
//   void CloseSibling();
//   ReplicaStorage& sibling();
//   // While it is closed.
//   absl::Status RemoveSibling(const StateMachine& state_machine);
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "storage/run_needs.h"
#include "storage/state_machine.h"
#include "tests/storage/replica_storage_fixture.h"
#include "tests/storage/runs_are_keys.h"

namespace meridian::storage {

// What a test says.
struct SaidNeeds final : RunNeeds {
  bool MayNeedAny() const override { return any; }
  bool Holds(RunId run) const override { return held.contains(run); }
  absl::StatusOr<bool> Knows(RunId run) const override { return known.contains(run); }

  bool any = false;
  std::set<RunId> held;
  std::set<RunId> known;
};

template <typename Subject>
class ReplicaSiblingConformance : public ReplicaStorageFixture<Subject> {
 protected:
  ReplicaStorage& sibling() { return this->subject().sibling(); }
  absl::Status WriteBySibling(ChunkId chunk, const std::string& bytes) {
    return this->Await([&](ReplicaStorage::Done done) {
      sibling().WriteChunk(chunk, Buffer::FromString(bytes), Crc32c(bytes), std::move(done));
    });
  }
  // Its state references the runs.
  void ReferenceBySibling(const std::vector<RunId>& runs) {
    KvBatch batch;
    for (const RunId& run : runs) batch.Put(run.ToHex(), "");
    ASSERT_TRUE(sibling().Apply(batch, LogIndex(), Timestamp()).ok());
  }
  std::map<RunId, RunOwner> Owners(ReplicaStorage& storage) {
    std::map<RunId, RunOwner> owners;
    const auto runs = storage.ListRuns(RunId(), 100);
    EXPECT_TRUE(runs.ok()) << runs.status();
    for (const auto& run : *runs) owners[run.run] = run.owner;
    return owners;
  }
};

TYPED_TEST_SUITE_P(ReplicaSiblingConformance);

TYPED_TEST_P(ReplicaSiblingConformance, SiblingsShareTheirChunksAndNothingElse) {
  this->subject().MakeSibling(/*installing=*/false);
  this->subject().OpenSibling();
  const RunId run = this->DrawRun();
  const RunId body_run = this->DrawRun();
  const std::string body = "a small body";
  ASSERT_TRUE(this->WriteChunk({run, 0}, "chunk").ok());
  LogEntry entry = this->Entry(1, 1);
  entry.inline_run = body_run;
  entry.inline_body = Buffer::FromString(body);
  entry.inline_crc32c = Crc32c(body);
  ASSERT_TRUE(this->Persist({.hard_state = HardState{Epoch(1)}, .entries = {entry}}).ok());
  this->ApplyUpTo(1, 1);
  EXPECT_EQ(*this->sibling().NewView()->Get("applied"), std::nullopt);
  EXPECT_EQ(this->sibling().ReadChunk({run, 0}, 0, 5).value().view(), "chunk");
  EXPECT_EQ(this->sibling().ReadChunk({body_run, 0}, 0, body.size()).value().view(), body);
  EXPECT_TRUE(this->sibling().MissingChunks({run, 0, 1}).value().empty());
  ASSERT_TRUE(this->Await([&](auto done) { this->sibling().BeginInstall(std::move(done)); }).ok());
  ASSERT_TRUE(this->sibling().LoadInstall({{"applied", "by the sibling"}}).ok());
  ASSERT_TRUE(this->Await([&](auto done) {
                    this->sibling().FinishInstall(LogIndex(9), Epoch(4), Timestamp(9), done);
                  })
                  .ok());
  this->subject().Crash();
  this->subject().OpenSibling();
  EXPECT_EQ(this->sibling().recovered().applied_index, LogIndex(9));
  EXPECT_EQ(this->sibling().recovered().hard_state.promised, Epoch(0));
  EXPECT_EQ(*this->sibling().NewView()->Get("applied"), "by the sibling");
  EXPECT_EQ(this->storage().recovered().hard_state.promised, Epoch(1));
  EXPECT_EQ(this->RecoveredEpochs(), std::vector<uint64_t>{1});
  EXPECT_NE(this->Row("applied"), "by the sibling");
  ASSERT_TRUE(this->sibling().DropRun(run).ok());
  EXPECT_FALSE(this->storage().StatChunk({run, 0}).value().has_value());
}

TYPED_TEST_P(ReplicaSiblingConformance, TellsWhoLooksAfterARun) {
  this->subject().MakeSibling(/*installing=*/false);
  this->subject().OpenSibling();
  const RunId here = this->DrawRun();
  const RunId there = this->DrawRun();
  ASSERT_TRUE(this->WriteChunk({here, 0}, "x").ok());
  ASSERT_TRUE(this->WriteBySibling({there, 0}, "y").ok());
  ASSERT_TRUE(this->WriteBySibling({here, 1}, "z").ok());
  ASSERT_TRUE(this->WriteBySibling({here, 0}, "x").ok());
  for (const bool crashed : {false, true}) {
    if (crashed) {
      this->subject().Crash();
      this->subject().OpenSibling();
    }
    EXPECT_EQ(this->Owners(this->storage()),
              (std::map<RunId, RunOwner>{{here, RunOwner::kSelf}, {there, RunOwner::kSibling}}));
    EXPECT_EQ(this->Owners(this->sibling()),
              (std::map<RunId, RunOwner>{{here, RunOwner::kSibling}, {there, RunOwner::kSelf}}));
  }
}

TYPED_TEST_P(ReplicaSiblingConformance,
             ARemovedReplicaLeavesItsRunsToNobodyAndThoseOfOthersToThem) {
  this->subject().MakeSibling(/*installing=*/false);
  this->subject().OpenSibling();
  const RunId mine = this->DrawRun();
  const RunId its_own = this->DrawRun();
  const RunId written_here = this->DrawRun();  // for the sibling, before the split
  for (const RunId& run : {mine, written_here}) ASSERT_TRUE(this->WriteChunk({run, 0}, "x").ok());
  ASSERT_TRUE(this->WriteBySibling({its_own, 0}, "x").ok());
  this->ReferenceBySibling({written_here, this->DrawRun()});
  this->subject().CloseSibling();
  ASSERT_TRUE(this->subject().RemoveSibling(RunsAreKeys()).ok());
  const std::map<RunId, RunOwner> left = {
      {mine, RunOwner::kSelf}, {its_own, RunOwner::kNobody}, {written_here, RunOwner::kNobody}};
  EXPECT_EQ(this->Owners(this->storage()), left);
  EXPECT_EQ(this->storage().siblings(), nullptr);
  for (const auto& [run, owner] : left) {
    EXPECT_EQ(this->storage().ReadChunk({run, 0}, 0, 1).value().view(), "x");
  }
}

TYPED_TEST_P(ReplicaSiblingConformance, TellsWhatTheSiblingsNeed) {
  EXPECT_EQ(this->storage().siblings(), nullptr);
  this->subject().MakeSibling(/*installing=*/false);
  ASSERT_NE(this->storage().siblings(), nullptr);
  EXPECT_TRUE(this->storage().siblings()->MayNeedAny()) << "it is not open";
  this->subject().OpenSibling();
  EXPECT_TRUE(this->storage().siblings()->MayNeedAny()) << "it has told nothing";
  const RunId held = this->DrawRun();
  const RunId known = this->DrawRun();
  SaidNeeds needs;
  needs.held = {held};
  needs.known = {known};
  this->sibling().TellNeeds(needs);
  const RunNeeds* siblings = this->storage().siblings();
  EXPECT_FALSE(siblings->MayNeedAny());
  EXPECT_TRUE(siblings->Holds(held));
  EXPECT_FALSE(siblings->Holds(known));
  EXPECT_TRUE(*siblings->Knows(known));
  EXPECT_FALSE(*siblings->Knows(held));
  needs.any = true;
  EXPECT_TRUE(siblings->MayNeedAny());
  EXPECT_TRUE(this->sibling().siblings()->MayNeedAny()) << "this one has told nothing";
  needs.any = false;
  this->subject().CloseSibling();
  siblings = this->storage().siblings();
  EXPECT_TRUE(siblings->MayNeedAny());
  EXPECT_FALSE(siblings->Holds(held));
}

// P6.
TYPED_TEST_P(ReplicaSiblingConformance, AReplicaThatBeginsAsInstallingIsNeverTakenForAnEmptyOne) {
  this->subject().MakeSibling(/*installing=*/true);
  EXPECT_FALSE(this->storage().recovered().installing);
  this->subject().Crash();
  this->subject().OpenSibling();
  EXPECT_TRUE(this->sibling().recovered().installing);
  EXPECT_EQ(this->sibling().recovered().applied_index, LogIndex());
  ASSERT_TRUE(this->Await([&](auto done) {
                    this->sibling().Persist({.hard_state = HardState{Epoch(3)}}, done);
                  })
                  .ok());
  this->subject().Crash();
  this->subject().OpenSibling();
  EXPECT_TRUE(this->sibling().recovered().installing);
  EXPECT_EQ(this->sibling().recovered().hard_state.promised, Epoch(3));
  ASSERT_TRUE(this->Await([&](auto done) { this->sibling().BeginInstall(std::move(done)); }).ok());
  ASSERT_TRUE(this->sibling().LoadInstall({{"row", "copied"}}).ok());
  ASSERT_TRUE(this->Await([&](auto done) {
                    this->sibling().FinishInstall(LogIndex(7), Epoch(2), Timestamp(9), done);
                  })
                  .ok());
  this->subject().Crash();
  this->subject().OpenSibling();
  EXPECT_FALSE(this->sibling().recovered().installing);
  EXPECT_EQ(this->sibling().recovered().hard_state.promised, Epoch(3));
  EXPECT_EQ(this->sibling().recovered().base_index, LogIndex(7));
  EXPECT_EQ(*this->sibling().NewView()->Get("row"), "copied");
}

REGISTER_TYPED_TEST_SUITE_P(ReplicaSiblingConformance, SiblingsShareTheirChunksAndNothingElse,
                            TellsWhoLooksAfterARun,
                            ARemovedReplicaLeavesItsRunsToNobodyAndThoseOfOthersToThem,
                            TellsWhatTheSiblingsNeed,
                            AReplicaThatBeginsAsInstallingIsNeverTakenForAnEmptyOne);

}  // namespace meridian::storage
