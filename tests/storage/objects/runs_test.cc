// P8: chunks are freed once nothing names them and nothing will.
#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

TEST(Runs, AreGarbageFromTheEntryThatDropsTheLastReference) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  partition.ApplyPut("a", run);
  partition.ApplyPut("b");
  partition.Apply(partition.Delete("a"));
  const LogIndex dropped = partition.last_index();
  EXPECT_TRUE(partition.CollectGarbage(dropped - 1).empty());
  EXPECT_TRUE(partition.KnowsRun(run));
  EXPECT_EQ(partition.CollectGarbage(dropped), std::vector{run});
  EXPECT_TRUE(partition.CollectGarbage(dropped).empty());
  EXPECT_FALSE(partition.KnowsRun(run));
}

TEST(Runs, ThatAReadHoldsAreNotCollectedNorInTheWayOfOthers) {
  Partition partition;
  const RunId held = RunId::Draw(partition.random());
  const RunId other = RunId::Draw(partition.random());
  partition.ApplyPut("a", held);
  partition.ApplyPut("b", other);
  partition.Apply(partition.Delete("a"));
  partition.Apply(partition.Delete("b"));
  const auto garbage = ObjectStateMachine().CollectGarbage(
      *partition.NewView(), partition.last_index(), 10, [held](RunId run) { return run == held; });
  ASSERT_TRUE(garbage.ok());
  ASSERT_EQ(garbage->size(), 1u);
  EXPECT_EQ(garbage->front().run, other);
}

TEST(Runs, ThatAreAbortedAreRefused) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  ASSERT_EQ(partition.Apply(partition.AbortRun(run)).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.ApplyPut("a", run).code(), pb::Outcome::RUN_REFUSED);
  EXPECT_FALSE(partition.Newest("a").has_value());
  EXPECT_EQ(partition.CollectGarbage(partition.last_index()), std::vector{run});
  // Forgetting the garbage does not forget the abort.
  EXPECT_EQ(partition.ApplyPut("a", run).code(), pb::Outcome::RUN_REFUSED);
}

TEST(Runs, ThatAreReferencedCannotBeAborted) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  partition.ApplyPut("a", run);
  EXPECT_EQ(partition.Apply(partition.AbortRun(run)).code(), pb::Outcome::RUN_REFERENCED);
  EXPECT_TRUE(partition.IsReferenced(run));
  EXPECT_TRUE(partition.CollectGarbage(partition.last_index()).empty());
}

TEST(Runs, BelongToOneObjectOnly) {
  Partition partition;
  const RunId run = RunId::Draw(partition.random());
  partition.ApplyPut("a", run);
  EXPECT_EQ(partition.ApplyPut("b", run).code(), pb::Outcome::RUN_REFUSED);
  EXPECT_TRUE(partition.IsReferenced(run));
}

TEST(Runs, ThatWereAbortedAreForgottenAfterTheRetention) {
  Partition partition;
  partition.Apply(partition.AbortRun(RunId::Draw(partition.random())));
  ASSERT_EQ(partition.CountRows('x'), 1u);
  partition.Advance(Limits().retention);
  partition.Apply(partition.Maintain());
  EXPECT_EQ(partition.CountRows('x'), 0u);
  EXPECT_EQ(partition.CountRows('e'), 0u);
}

// Replicas free at their own pace: what they have not freed yet must not show.
TEST(Digest, DoesNotDependOnWhatHasBeenFreed) {
  Partition partition;
  partition.ApplyPut("a");
  partition.ApplyPut("a");
  partition.Apply(partition.AbortRun(RunId::Draw(partition.random())));
  const std::string before = partition.Digest();
  EXPECT_EQ(partition.CollectGarbage(partition.last_index()).size(), 2u);
  EXPECT_EQ(partition.Digest(), before);
  partition.ApplyPut("a");
  EXPECT_NE(partition.Digest(), before);
}

TEST(VisitChunks, TellsEveryReferencedChunkOnce) {
  Partition partition;
  partition.keep_versions = true;
  const RunId large = RunId::Draw(partition.random());
  const std::string source = partition.ApplyPut("a", large, (5 << 20) + 1).version_id();
  partition.Apply(partition.Copy("a", source));
  EXPECT_EQ(partition.Chunks(),
            (std::vector<storage::ChunkRange>{{.run = large, .first = 0, .count = 6}}));
}

}  // namespace
}  // namespace meridian::objects
