#include "server/balance_plan.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "base/random.h"

namespace meridian::server {
namespace {

class BalancePlanTest : public testing::Test {
 protected:
  // One disk a node, named after it.
  void AddNode(const std::string& node, const std::string& zone) {
    disks_.push_back({{node, zone, "east", DiskId::Draw(random_), 0}, true, false});
  }
  DiskInPlan& Disk(const std::string& node) {
    for (DiskInPlan& disk : disks_) {
      if (disk.disk.node == node) return disk;
    }
    ADD_FAILURE() << node;
    return disks_[0];
  }
  // Led by the first.
  void AddGroup(const std::vector<std::string>& nodes) {
    SettledGroup group{PartitionId::Draw(random_), {}, {}};
    for (const std::string& node : nodes) {
      group.members.push_back({ReplicaId::Draw(random_), node, Disk(node).disk.disk});
      ++Disk(node).disk.replica_count;
    }
    group.leader = group.members[0].replica;
    ++leaders_[nodes[0]];
    groups_.push_back(std::move(group));
  }
  void Carry(const BalanceMove& move) {
    for (SettledGroup& group : groups_) {
      if (group.partition != move.partition) continue;
      for (replication::Member& member : group.members) {
        if (member.replica != move.from) continue;
        --Disk(member.node).disk.replica_count;
        ++Disk(move.to.node).disk.replica_count;
        member = {ReplicaId::Draw(random_), move.to.node, move.to.disk};
      }
    }
  }

  SeededRandom random_{11};
  std::vector<DiskInPlan> disks_;
  std::vector<SettledGroup> groups_;
  std::map<NodeId, size_t> leaders_;
};

TEST_F(BalancePlanTest, ANewNodeGetsItsShareAndThenNothingMovesAnyMore) {
  for (const char* node : {"a", "b", "c", "d"}) AddNode(node, "1");
  for (int i = 0; i < 8; ++i) AddGroup({"a", "b", "c"});
  int moves = 0;
  while (const auto move = PlanBalanceMove(groups_, disks_)) {
    Carry(*move);
    ASSERT_LT(++moves, 20);
  }
  EXPECT_GE(Disk("d").disk.replica_count, 5u);
  // The leaders stay where they are: they are moved by an offer.
  EXPECT_EQ(Disk("a").disk.replica_count, 8u);
}

TEST_F(BalancePlanTest, AReplicaStaysInItsZoneAndApartFromItsGroup) {
  for (const char* node : {"1a", "1b"}) AddNode(node, "1");
  AddNode("2a", "2");
  AddNode("3a", "3");
  AddNode("4a", "4");  // empty, and of no use
  for (int i = 0; i < 6; ++i) AddGroup({"2a", "1a", "3a"});
  const auto move = PlanBalanceMove(groups_, disks_);
  ASSERT_TRUE(move.has_value());
  EXPECT_EQ(move->to.node, "1b");
  for (SettledGroup& group : groups_) {
    group.members.push_back({ReplicaId::Draw(random_), "1b", Disk("1b").disk.disk});
  }
  EXPECT_FALSE(PlanBalanceMove(groups_, disks_).has_value());
}

TEST_F(BalancePlanTest, NothingGoesToADiskThatDrainsOrIsAway) {
  for (const char* node : {"a", "b", "c", "d", "e"}) AddNode(node, "1");
  for (int i = 0; i < 4; ++i) AddGroup({"a", "b", "c"});
  Disk("d").draining = true;
  Disk("e").present = false;
  EXPECT_FALSE(PlanBalanceMove(groups_, disks_).has_value());
}

TEST_F(BalancePlanTest, ADifferenceOfOneIsEvenEnough) {
  for (const char* node : {"a", "b", "c", "d"}) AddNode(node, "1");
  AddGroup({"a", "b", "c"});
  EXPECT_FALSE(PlanBalanceMove(groups_, disks_).has_value());
  EXPECT_FALSE(PlanLeaderMove(groups_, disks_, "a", leaders_).has_value());
}

TEST_F(BalancePlanTest, LeadersGoToWhoLeadsLeast) {
  for (const char* node : {"a", "b", "c"}) AddNode(node, "1");
  for (int i = 0; i < 3; ++i) AddGroup({"a", "b", "c"});
  leaders_["b"] = 1;
  const auto move = PlanLeaderMove(groups_, disks_, "a", leaders_);
  ASSERT_TRUE(move.has_value());
  EXPECT_EQ(move->to, groups_[0].members[2].replica);
  Disk("c").draining = true;
  const auto other = PlanLeaderMove(groups_, disks_, "a", leaders_);
  ASSERT_TRUE(other.has_value());
  EXPECT_EQ(other->to, groups_[0].members[1].replica);
}

}  // namespace
}  // namespace meridian::server
