// Who would take over a group that has lost its quorum, and when nobody may (P23).
#include "server/recovery_plan.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "base/random.h"

namespace meridian::server {
namespace {

using replication::GroupConfig;
using replication::Member;

class RecoveryPlanTest : public testing::Test {
 protected:
  RecoveryPlanTest() {
    config_.epoch = Epoch(7);
    for (const char* node : {"a", "b", "c"}) config_.members.push_back(NewMember(node));
  }
  Member NewMember(const NodeId& node) {
    return {ReplicaId::Draw(random_), node, DiskId::Draw(random_)};
  }
  // All that the configuration names; they are gone.
  void Lose() {
    members_.clear();
    for (const Member& member : AllMembers(config_))
      members_.push_back({member, std::nullopt, true});
  }
  SurvivorState& Answers(const NodeId& node, uint64_t epoch, uint64_t index) {
    for (RecoveryMemberInPlan& one : members_) {
      if (one.member.node != node) continue;
      one.is_gone = false;
      one.state.emplace();
      one.state->promised = Epoch(7);
      one.state->last_epoch = Epoch(epoch);
      one.state->last_index = LogIndex(index);
      return *one.state;
    }
    ADD_FAILURE() << node;
    return *members_.front().state;
  }
  RecoveryPlan Plan() { return PlanRecovery(config_, members_); }
  NodeId SurvivorOf(const RecoveryPlan& plan) {
    return plan.survivor ? members_[*plan.survivor].member.node : "";
  }
  void ExpectRefused(const std::string& why) {
    const RecoveryPlan plan = Plan();
    EXPECT_TRUE(absl::IsFailedPrecondition(plan.refusal)) << plan.refusal;
    EXPECT_TRUE(absl::StrContains(plan.refusal.message(), why)) << plan.refusal;
  }

  SystemRandom random_;
  GroupConfig config_;
  std::vector<RecoveryMemberInPlan> members_;
};

TEST_F(RecoveryPlanTest, OneOfThreeTakesOver) {
  Lose();
  Answers("b", 6, 100).commit_index = LogIndex(98);
  const RecoveryPlan plan = Plan();
  EXPECT_TRUE(plan.refusal.ok()) << plan.refusal;
  EXPECT_EQ(SurvivorOf(plan), "b");
  EXPECT_EQ(plan.lost_nodes, (std::vector<NodeId>{"a", "c"}));
  EXPECT_EQ(plan.known_missing_entries, 0u);
  const GroupConfig next = RecoveredConfig(config_, members_[*plan.survivor].member);
  EXPECT_EQ(next.epoch, Epoch(8));
  EXPECT_TRUE(next.leader.is_nil());
  EXPECT_EQ(next.members, std::vector{config_.members[1]});
  EXPECT_TRUE(next.joint_old.empty() && next.learners.empty());
}

TEST_F(RecoveryPlanTest, AQuorumLeavesNothingToRecover) {
  Lose();
  Answers("a", 6, 100);
  // It can promise, so that the other leads (P6).
  Answers("c", 0, 0).installing = true;
  ExpectRefused("a quorum of the members answers");
}

TEST_F(RecoveryPlanTest, WithoutAWholeReplicaThereIsNothingToRecoverFrom) {
  Lose();
  ExpectRefused("nothing to recover the group from");
  Answers("a", 0, 0).installing = true;
  EXPECT_FALSE(Plan().survivor);
  ExpectRefused("Unless b, c comes back");
}

// It would own names of others.
TEST_F(RecoveryPlanTest, AReplicaThatHasNoEntryYetIsNoSurvivor) {
  Lose();
  Answers("a", 0, 0);
  EXPECT_FALSE(Plan().survivor);
  ExpectRefused("nothing to recover the group from");
  EXPECT_TRUE(Plan().beginning_refusal.ok()) << Plan().beginning_refusal;
  Answers("b", 1, 1);
  EXPECT_EQ(SurvivorOf(Plan()), "b");
}

TEST_F(RecoveryPlanTest, APartitionBeginsAnewOnlyIfNobodyHasAnythingOrMayRun) {
  const auto refusal = [this] { return Plan().beginning_refusal; };
  Lose();
  EXPECT_TRUE(refusal().ok()) << refusal();
  members_[1].is_gone = false;
  EXPECT_TRUE(absl::StrContains(refusal().message(), "b may still run")) << refusal();
  Answers("b", 0, 0).installing = true;
  EXPECT_TRUE(refusal().ok()) << refusal();
  Answers("c", 0, 0).installing = true;
  EXPECT_TRUE(refusal().ok()) << refusal();
  Answers("b", 6, 1);
  EXPECT_TRUE(absl::StrContains(refusal().message(), "is whole")) << refusal();
  SurvivorState& ahead = Answers("b", 0, 0);
  ahead.installing = true;
  ahead.promised = Epoch(8);
  EXPECT_TRUE(absl::StrContains(refusal().message(), "of the past")) << refusal();
  for (const char* node : {"a", "b", "c"}) Answers(node, 0, 0).installing = true;
  EXPECT_TRUE(absl::StrContains(refusal().message(), "all members answer")) << refusal();
}

// P4: a quorum of the one set does not do.
TEST_F(RecoveryPlanTest, WhileMembersChangeTheHighestLogOfEitherSetIsTaken) {
  config_.joint_old = config_.members;
  config_.members = {NewMember("d"), NewMember("e"), config_.members[2]};
  Lose();
  Answers("a", 6, 100);
  Answers("b", 6, 101);
  Answers("c", 5, 500);
  EXPECT_TRUE(Plan().refusal.ok()) << Plan().refusal;
  EXPECT_EQ(SurvivorOf(Plan()), "b");
  EXPECT_EQ(Plan().lost_nodes, (std::vector<NodeId>{"d", "e"}));
  Answers("d", 0, 0);
  ExpectRefused("a quorum of the members answers");
}

// A leader has sent it what it has.
TEST_F(RecoveryPlanTest, ALearnerMayBeAllThatIsLeft) {
  config_.learners = {NewMember("l")};
  Lose();
  Answers("l", 6, 90);
  EXPECT_TRUE(Plan().refusal.ok());
  EXPECT_EQ(SurvivorOf(Plan()), "l");
  Answers("c", 6, 80);
  EXPECT_EQ(SurvivorOf(Plan()), "l");
  Answers("l", 6, 90).installing = true;
  EXPECT_EQ(SurvivorOf(Plan()), "c");
}

TEST_F(RecoveryPlanTest, OfEqualLogsTheOneThatLacksFewerChunksIsTaken) {
  config_.learners = {NewMember("l")};
  Lose();
  Answers("a", 6, 100).chunks_without_copy = 1;
  Answers("l", 6, 100);
  EXPECT_EQ(SurvivorOf(Plan()), "l");
  Answers("l", 6, 100).chunks_without_copy = 2;
  EXPECT_EQ(SurvivorOf(Plan()), "a");
}

TEST_F(RecoveryPlanTest, TellsWhatIsKnownToBeMissing) {
  Lose();
  SurvivorState& state = Answers("b", 6, 100);
  state.commit_index = LogIndex(100);
  state.freeable_index = LogIndex(107);
  EXPECT_EQ(Plan().known_missing_entries, 7u);
}

TEST_F(RecoveryPlanTest, AMemberThatMayStillRunIsNotGivenUp) {
  Lose();
  Answers("b", 6, 100);
  members_[2].is_gone = false;
  ExpectRefused("c may still run");
}

// P11: nothing may be decided by it, and the next epoch may be one that somebody has led.
TEST_F(RecoveryPlanTest, AStoreOfThePastIsFoundOut) {
  Lose();
  Answers("b", 6, 100).promised = Epoch(8);
  ExpectRefused("its data are of the past");
}

}  // namespace
}  // namespace meridian::server
