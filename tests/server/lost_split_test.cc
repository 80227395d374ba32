// A log that an operator went on with may end before splits that are in the container's map (P23).
#include "server/lost_split.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "tests/storage/objects/partition.h"

namespace meridian::server {
namespace {

class LostSplitTest : public testing::Test {
 protected:
  LostSplitTest() {
    for (const char* name : {"a", "b", "g", "h", "n", "p", "z"}) parent_.ApplyPut(name);
  }
  std::optional<LostSplit> Find(const std::vector<tenancy::PartitionRange>& map) {
    const auto lost = FindLostSplit(*parent_.NewView(), id_, map);
    EXPECT_TRUE(lost.ok()) << lost.status();
    return lost.ok() ? *lost : std::nullopt;
  }

  SystemRandom random_;
  objects::Partition parent_;
  const PartitionId id_ = PartitionId::Draw(random_);
  const PartitionId first_ = PartitionId::Draw(random_);
  const PartitionId second_ = PartitionId::Draw(random_);
};

TEST_F(LostSplitTest, AStateThatOwnsWhatTheMapGivesItHasLostNone) {
  EXPECT_FALSE(Find({{id_, "", ""}}));
  parent_.Apply(parent_.Split("m", first_));
  EXPECT_FALSE(Find({{id_, "", "m"}, {first_, "m", ""}}));
  // The split is in the state before it is in the map.
  EXPECT_FALSE(Find({{id_, "", ""}}));
  // Others' splits.
  EXPECT_FALSE(Find({{id_, "", "m"}, {first_, "m", "t"}, {second_, "t", ""}}));
}

TEST_F(LostSplitTest, APartitionThatIsNotInTheMapYetHasLostNone) {
  EXPECT_FALSE(Find({}));
  EXPECT_FALSE(Find({{first_, "", "m"}, {second_, "m", ""}}));
}

TEST_F(LostSplitTest, WhatTheMapGivesToAnotherIsToBeSplitOffAgain) {
  const auto lost = Find({{id_, "", "m"}, {first_, "m", ""}});
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->child, first_);
  EXPECT_EQ(lost->point.key, "m");
  EXPECT_EQ(lost->point.moved_count, 3u);
  EXPECT_GT(lost->point.moved_bytes, 0u);
}

TEST_F(LostSplitTest, OfSeveralTheLastIsMadeFirst) {
  const std::vector<tenancy::PartitionRange> map{
      {id_, "", "c"}, {second_, "c", "m"}, {first_, "m", ""}};
  auto lost = Find(map);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->child, first_);
  parent_.Apply(parent_.Split("m", first_));
  parent_.Apply(parent_.FinishSplit(first_));
  lost = Find(map);
  ASSERT_TRUE(lost);
  EXPECT_EQ(lost->child, second_);
  EXPECT_EQ(lost->point.key, "c");
  EXPECT_EQ(lost->point.moved_count, 2u);
  parent_.Apply(parent_.Split("c", second_));
  EXPECT_FALSE(Find(map));
}

class LostSplitStepTest : public testing::Test {
 protected:
  LostSplitStepTest() {
    child_.epoch = Epoch(1);
    record_.parent = parent_;
  }
  void IsLed() {
    child_.epoch = Epoch(2);
    child_.leader = ReplicaId::Draw(random_);
  }
  LostSplitStep Next(bool was_recovered = false) {
    return NextStepOf(child_, record_, parent_, was_recovered, taken_);
  }

  SystemRandom random_;
  const PartitionId parent_ = PartitionId::Draw(random_);
  replication::GroupConfig child_;
  PartitionRecord record_;
  LostSplitSteps taken_;
};

TEST_F(LostSplitStepTest, AChildThatNobodyHasLedIsMadeAnew) {
  EXPECT_EQ(Next(), LostSplitStep::kMakeAnew);
  // Whoever led the parent has done that, and not come to propose the split.
  child_.epoch = Epoch(2);
  EXPECT_EQ(Next(), LostSplitStep::kMakeAnew);
}

TEST_F(LostSplitStepTest, NothingIsBuiltForAChildThatWasLed) {
  IsLed();
  EXPECT_EQ(Next(), LostSplitStep::kWait);
  taken_.asked = true;
  EXPECT_EQ(Next(), LostSplitStep::kWait);
  record_.serves = true;
  EXPECT_EQ(Next(), LostSplitStep::kForgetParent);
  record_.parent.reset();
  record_.serves = false;
  taken_.serves_alone = true;
  EXPECT_EQ(Next(), LostSplitStep::kTakeNames);
}

// It may have been lost since, with the members that the parent has lost.
TEST_F(LostSplitStepTest, WhatAChildNotedBeforeSaysNothing) {
  IsLed();
  record_.serves = true;
  EXPECT_EQ(Next(), LostSplitStep::kAskWhetherItServes);
}

// Its split was over long ago; or the leader that knew that it serves is not the leader any more.
TEST_F(LostSplitStepTest, AChildWithoutAParentIsAskedFirstWhetherItServes) {
  IsLed();
  record_.parent.reset();
  EXPECT_EQ(Next(), LostSplitStep::kAskWhetherItServes);
}

TEST_F(LostSplitStepTest, AChildThatWasRecoveredIsNotMadeAnew) {
  EXPECT_EQ(Next(/*was_recovered=*/true), LostSplitStep::kWait);
}

TEST_F(LostSplitStepTest, AnothersSplitIsWaitedFor) {
  record_.parent = PartitionId::Draw(random_);
  EXPECT_EQ(Next(), LostSplitStep::kWaitForOther);
}

TEST(SplitIsOver, OnceTheChildServesOrHasServedAlone) {
  SystemRandom random;
  const PartitionId parent = PartitionId::Draw(random);
  PartitionRecord child;
  EXPECT_TRUE(IsOver(child, parent));
  child.parent = parent;
  EXPECT_FALSE(IsOver(child, parent));
  child.serves = true;
  EXPECT_TRUE(IsOver(child, parent));
  // It begins with what another one has.
  child.parent = PartitionId::Draw(random);
  EXPECT_FALSE(IsOver(child, parent));
}

}  // namespace
}  // namespace meridian::server
