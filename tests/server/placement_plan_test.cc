#include "server/placement_plan.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>

namespace meridian::server {
namespace {

using replication::Member;
using replication::PlacementPolicy;

constexpr absl::Duration kPatience = absl::Minutes(10);

class PlacementPlanTest : public testing::Test {
 protected:
  // A region as that of the default topology: zone 1 with three nodes, zones 2 and 3 with one.
  PlacementPlanTest() {
    for (const char* node : {"1a", "1b", "1c", "2a", "3a"}) AddDisk(node);
    group_.region = "east";
  }

  void AddDisk(const std::string& node) {
    disks_.push_back({{node, node.substr(0, 1), "east", DiskId::Draw(random_), 0}, true, false});
  }
  DiskInPlan& DiskOf(const std::string& node) {
    return *std::find_if(disks_.begin(), disks_.end(),
                         [&](const DiskInPlan& disk) { return disk.disk.node == node; });
  }
  void Place(const std::vector<std::string>& nodes) {
    for (const std::string& node : nodes) {
      group_.config.members.push_back({ReplicaId::Draw(random_), node, DiskOf(node).disk.disk});
    }
  }
  absl::StatusOr<std::vector<Member>> Plan() {
    return PlanMembers(group_, disks_, kPatience, random_);
  }
  static std::set<std::string> Nodes(const std::vector<Member>& members) {
    std::set<std::string> nodes;
    for (const Member& member : members) nodes.insert(member.node);
    return nodes;
  }
  size_t Kept(const std::vector<Member>& planned) const {
    return static_cast<size_t>(std::count_if(planned.begin(), planned.end(), [&](const Member& m) {
      return std::find(group_.config.members.begin(), group_.config.members.end(), m) !=
             group_.config.members.end();
    }));
  }

  SeededRandom random_{11};
  std::vector<DiskInPlan> disks_;
  GroupInPlan group_;
};

TEST_F(PlacementPlanTest, LeavesAGroupAloneThatIsAsItShouldBe) {
  Place({"1c", "1a", "1b"});
  // Not present is no reason to move what is there: its leader hears it.
  DiskOf("1a").present = false;
  group_.silence[group_.config.members[0].replica] = kPatience - absl::Seconds(1);
  EXPECT_EQ(*Plan(), group_.config.members);
}

TEST_F(PlacementPlanTest, ReplacesAReplicaThatIsSilentForTooLong) {
  AddDisk("1d");
  Place({"1a", "1b", "1c"});
  group_.silence[group_.config.members[1].replica] = kPatience;
  const auto planned = Plan();
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(Nodes(*planned), (std::set<std::string>{"1a", "1c", "1d"}));
  EXPECT_EQ(Kept(*planned), 2u);
  EXPECT_EQ(CountCopies(group_, kPatience), 2u);
}

TEST_F(PlacementPlanTest, ADiskThatIsGoneAndGivenUpIsNotWaitedFor) {
  Place({"1a", "1b", "1c"});
  const DiskId gone = DiskOf("1a").disk.disk;
  // It was wiped: the node has another one.
  DiskOf("1a").disk.disk = DiskId::Draw(random_);
  GiveUp({}, disks_, group_);
  EXPECT_EQ(*Plan(), group_.config.members);
  GiveUp({gone, DiskOf("1b").disk.disk}, disks_, group_);
  EXPECT_EQ(CountCopies(group_, kPatience), 2u) << "1b's is not gone";
  const auto planned = Plan();
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(Nodes(*planned), (std::set<std::string>{"1a", "1b", "1c"}));
  EXPECT_EQ(planned->back().disk, DiskOf("1a").disk.disk);
  EXPECT_EQ(Kept(*planned), 2u);
}

TEST_F(PlacementPlanTest, GoesOnWithWhatWasBegun) {
  AddDisk("1d");
  Place({"1a", "1b", "1c"});
  group_.silence[group_.config.members[1].replica] = kPatience;
  const auto first = Plan();
  ASSERT_TRUE(first.ok());
  group_.last_plan = *first;
  EXPECT_EQ(*Plan(), *first);
  // Another leader knows the learner from the configuration.
  group_.last_plan.clear();
  group_.config.learners = {first->back()};
  EXPECT_EQ(*Plan(), *first);
}

// The copy that is being made counts as load on its disk, and so do those of other groups.
TEST_F(PlacementPlanTest, StaysWithWhatWasBegunWhateverTheLoads) {
  AddDisk("1d");
  AddDisk("1e");
  Place({"1a", "1b", "1c"});
  DiskOf("1b").draining = true;
  const auto first = Plan();
  ASSERT_TRUE(first.ok());
  group_.config.learners = {first->back()};
  DiskOf(first->back().node).disk.replica_count += 7;
  EXPECT_EQ(*Plan(), *first);
}

TEST_F(PlacementPlanTest, ANewReplicaThatIsSilentForTooLongIsMadeElsewhere) {
  AddDisk("1d");
  AddDisk("1e");
  Place({"1a", "1b", "1c"});
  DiskOf("1b").draining = true;
  const auto first = Plan();
  ASSERT_TRUE(first.ok());
  group_.config.learners = {first->back()};
  group_.last_plan = *first;
  group_.silence[first->back().replica] = kPatience;
  const auto second = Plan();
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_NE(second->back().node, first->back().node);
}

TEST_F(PlacementPlanTest, SaysWhyAReplicaCannotBeReplaced) {
  Place({"1a", "1b", "1c"});
  group_.silence[group_.config.members[1].replica] = kPatience;
  const auto planned = Plan();
  EXPECT_EQ(planned.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(planned.status().message(),
            "LRS needs a zone with 3 nodes, and no zone of region east has more than 2");
}

TEST_F(PlacementPlanTest, EmptiesADiskThatDrains) {
  AddDisk("2b");
  Place({"1a", "2a", "3a"});
  group_.policy = PlacementPolicy::kThreeZones;
  DiskOf("2a").draining = true;
  const auto planned = Plan();
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(Nodes(*planned), (std::set<std::string>{"1a", "2b", "3a"}));
}

// P4: what was on a disk that is gone does not come back under its old identity.
TEST_F(PlacementPlanTest, GivesAFreshIdToAReplicaOfAReplacedDisk) {
  Place({"1a", "2a", "3a"});
  group_.policy = PlacementPolicy::kThreeZones;
  DiskOf("2a").disk.disk = DiskId::Draw(random_);
  // What nodes publish may be late: not before it was silent for long.
  EXPECT_EQ(*Plan(), group_.config.members);
  group_.silence[group_.config.members[1].replica] = kPatience;
  const auto planned = Plan();
  ASSERT_TRUE(planned.ok()) << planned.status();
  EXPECT_EQ(Nodes(*planned), (std::set<std::string>{"1a", "2a", "3a"}));
  EXPECT_EQ(Kept(*planned), 2u);
  EXPECT_EQ(planned->back().disk, DiskOf("2a").disk.disk);
  EXPECT_NE(planned->back().replica, group_.config.members[1].replica);
}

TEST_F(PlacementPlanTest, ConvertsByMovingAsLittleAsPossible) {
  Place({"1a", "1b", "1c"});
  group_.policy = PlacementPolicy::kThreeZones;
  const auto zrs = Plan();
  ASSERT_TRUE(zrs.ok());
  EXPECT_EQ(Kept(*zrs), 1u);
  group_.config.members = *zrs;
  group_.policy = PlacementPolicy::kOneZone;
  const auto lrs = Plan();
  ASSERT_TRUE(lrs.ok());
  EXPECT_EQ(Nodes(*lrs), (std::set<std::string>{"1a", "1b", "1c"}));
  EXPECT_EQ(Kept(*lrs), 1u);
}

TEST_F(PlacementPlanTest, PutsNothingNewOnANodeThatIsNotThere) {
  AddDisk("1d");
  AddDisk("1e");
  Place({"1a", "1b", "1c"});
  DiskOf("1d").present = false;
  DiskOf("1b").draining = true;
  EXPECT_EQ(Nodes(*Plan()), (std::set<std::string>{"1a", "1c", "1e"}));
}

}  // namespace
}  // namespace meridian::server
