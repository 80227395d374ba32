// Groups of two partitions of one container whose replicas lie on the same disks, as after a split:
// they share the chunks, and none frees what another needs (P8).
#include <gtest/gtest.h>

#include <string>

#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

class ReplicaSiblingsTest : public testing::Test {
 protected:
  // What the child's state has got from the parent's by a split.
  void ReferenceByChild(RunId run) {
    const auto applied = child_.Propose(child_.Leader(), "ref " + run.ToHex() + " 1");
    ASSERT_TRUE(applied.ok()) << applied.status();
    child_.RunFor(absl::Seconds(1));
  }
  void Drop(ReplicaGroup& group, RunId run) {
    const auto applied = group.Propose(group.Leader(), "drop " + run.ToHex());
    ASSERT_TRUE(applied.ok()) << applied.status();
  }
  // On how many disks it lies.
  int Copies(RunId run) {
    int copies = 0;
    for (int n = 1; n <= 3; ++n) {
      for (const storage::ChunkId& chunk : parent_.disk(n).Chunks()) copies += chunk.run == run;
    }
    return copies;
  }

  ReplicaGroup parent_{3};
  ReplicaGroup child_{parent_, *PartitionId::FromHex(std::string(32, '8'))};
};

TEST_F(ReplicaSiblingsTest, WhatTheParentDropsStaysForTheChildThatReferencesIt) {
  const int leader = parent_.Leader();
  const RunId shared = parent_.NewRun();
  const RunId parents = parent_.NewRun();
  for (const RunId& run : {shared, parents}) {
    ASSERT_TRUE(parent_.PutRun(leader, run, 1, "bytes").ok());
  }
  ReferenceByChild(shared);
  Drop(parent_, shared);
  Drop(parent_, parents);
  parent_.RunUntil([&] { return Copies(parents) == 0; });
  parent_.RunFor(3 * ReplicaGroup::Options().orphan_age);
  EXPECT_EQ(Copies(shared), 3);
  EXPECT_EQ(parent_.Status(leader).counters.orphans_aborted, 0u);
  Drop(child_, shared);
  child_.RunUntil([&] { return Copies(shared) == 0; });
}

TEST_F(ReplicaSiblingsTest, NothingIsFreedOnADiskWhereTheChildIsNotUp) {
  const int leader = parent_.Leader();
  const RunId run = parent_.NewRun();
  ASSERT_TRUE(parent_.PutRun(leader, run, 1, "bytes").ok());
  child_.Leader();
  const int down = 2;
  child_.Crash(down);
  Drop(parent_, run);
  parent_.RunUntil([&] { return Copies(run) == 1; });
  parent_.RunFor(absl::Seconds(30));
  EXPECT_EQ(Copies(run), 1);
  child_.Start(down);
  parent_.RunUntil([&] { return Copies(run) == 0; });
}

// An entry of the child's log that is not applied everywhere: its runs are pinned for all.
TEST_F(ReplicaSiblingsTest, WhatAnEntryOfTheChildNamesIsNotFreedByTheParent) {
  const int leader = parent_.Leader();
  const RunId run = parent_.NewRun();
  ASSERT_TRUE(parent_.PutRun(leader, run, 1, "bytes").ok());
  const int child_leader = child_.Leader();
  const int away = child_leader == 3 ? 1 : 3;
  child_.Isolate(away);
  Proposal proposal;
  proposal.command = "put some value";  // its state will not know the run
  proposal.chunks.push_back({run, 0, 1});
  ASSERT_TRUE(child_.Propose(child_leader, std::move(proposal)).ok());
  Drop(parent_, run);
  parent_.RunUntil([&] { return Copies(run) < 3; });
  parent_.RunFor(absl::Seconds(10));
  EXPECT_EQ(Copies(run), 2) << "but on the disk of the member that has not heard of the entry";
  child_.Heal();
  child_.RunFor(absl::Seconds(30));
  // It has fetched the chunk: the entry could not be acknowledged without it (I4).
  child_.RunUntil([&] { return Copies(run) == 0; });
}

TEST_F(ReplicaSiblingsTest, OrphansOfEachPartitionGoByItsOwnLog) {
  const RunId parents = parent_.NewRun();
  const RunId childs = child_.NewRun();
  const RunId shared = parent_.NewRun();
  const int leader = parent_.Leader();
  const int child_leader = child_.Leader();
  for (const RunId& run : {parents, shared}) {
    ASSERT_TRUE(parent_.WriteChunk(leader, {run, 0}, "bytes").ok());
    parent_.replica(leader).EndRun(run);
  }
  ASSERT_TRUE(child_.WriteChunk(child_leader, {childs, 0}, "bytes").ok());
  child_.replica(child_leader).EndRun(childs);
  ReferenceByChild(shared);
  parent_.RunUntil([&] { return Copies(parents) == 0 && Copies(childs) == 0; });
  parent_.RunFor(2 * ReplicaGroup::Options().orphan_age);
  EXPECT_EQ(Copies(shared), 3);
  auto refuses = [](ReplicaGroup& group, RunId run) {
    return group.Propose(group.Leader(), "ref " + run.ToHex() + " 1")->outcome == "refused";
  };
  EXPECT_TRUE(refuses(parent_, parents));
  EXPECT_TRUE(refuses(child_, childs));
  EXPECT_FALSE(refuses(parent_, childs));
  EXPECT_FALSE(refuses(child_, parents));
  EXPECT_FALSE(refuses(parent_, shared));
}

}  // namespace
}  // namespace meridian::replication
