#include "replication/placement/placement.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/random.h"

namespace meridian::replication {
namespace {

class PlacementTest : public testing::Test {
 protected:
  void Add(const std::string& region, const std::string& zone, const NodeId& node) {
    disks_.push_back({node, zone, region, DiskId::Draw(random_), 0});
  }
  void AddDefaultRegion(const std::string& region) {
    for (const char* node : {"-1a", "-1b", "-1c", "-2a", "-3a"}) {
      Add(region, region + std::string(node).substr(0, 2), region + node);
    }
  }
  std::string ZoneOf(const NodeId& node) const { return Disk(node).zone; }
  const PlacementDisk& Disk(const NodeId& node) const {
    return *std::find_if(disks_.begin(), disks_.end(),
                         [&](const PlacementDisk& disk) { return disk.node == node; });
  }
  // Places, and counts the new replicas.
  std::vector<PlacedReplica> Place(PlacementPolicy policy, const std::string& region) {
    auto placed = PlaceGroup(policy, region, disks_);
    EXPECT_TRUE(placed.ok()) << placed.status();
    for (const PlacedReplica& replica : *placed) {
      for (PlacementDisk& disk : disks_) disk.replica_count += disk.disk == replica.disk;
    }
    return *placed;
  }

  SeededRandom random_{7};
  std::vector<PlacementDisk> disks_;
};

TEST_F(PlacementTest, PutsLrsOnThreeNodesOfOneZone) {
  AddDefaultRegion("east");
  AddDefaultRegion("west");
  std::set<NodeId> nodes;
  for (const PlacedReplica& replica : Place(PlacementPolicy::kOneZone, "west")) {
    nodes.insert(replica.node);
  }
  EXPECT_EQ(nodes, (std::set<NodeId>{"west-1a", "west-1b", "west-1c"}));
}

TEST_F(PlacementTest, PutsZrsIntoThreeZonesAndEvensOutTheNodes) {
  AddDefaultRegion("east");
  std::map<NodeId, int> count;
  for (int i = 0; i < 30; ++i) {
    std::set<std::string> zones;
    for (const PlacedReplica& replica : Place(PlacementPolicy::kThreeZones, "east")) {
      zones.insert(ZoneOf(replica.node));
      ++count[replica.node];
    }
    EXPECT_EQ(zones.size(), 3u);
  }
  EXPECT_EQ(count["east-1a"], 10);
  EXPECT_EQ(count["east-1b"], 10);
  EXPECT_EQ(count["east-1c"], 10);
  EXPECT_EQ(count["east-2a"], 30);
}

TEST_F(PlacementTest, ChoosesTheLeastLoadedOfSeveralZones) {
  for (const char* zone : {"z1", "z2"}) {
    for (const char* node : {"a", "b", "c", "d"}) Add("r", zone, std::string(zone) + node);
  }
  std::map<std::string, int> count;
  for (int i = 0; i < 8; ++i) {
    const auto placed = Place(PlacementPolicy::kOneZone, "r");
    ++count[ZoneOf(placed[0].node)];
  }
  EXPECT_EQ(count["z1"], 4);
  EXPECT_EQ(count["z2"], 4);
  for (const PlacementDisk& disk : disks_) EXPECT_EQ(disk.replica_count, 3u) << disk.node;
}

// What stays where it is need not be copied.
TEST_F(PlacementTest, KeepsTheReplicasThatThePolicyAllows) {
  AddDefaultRegion("east");
  const auto lrs = Place(PlacementPolicy::kOneZone, "east");
  for (PlacementDisk& disk : disks_) disk.replica_count += disk.zone == "east-1" ? 5 : 0;
  const auto again = PlaceGroup(PlacementPolicy::kOneZone, "east", disks_, {lrs, {}});
  ASSERT_TRUE(again.ok());
  EXPECT_EQ(*again, lrs);
  // LRS to ZRS: one of the zone stays.
  const auto zrs = PlaceGroup(PlacementPolicy::kThreeZones, "east", disks_, {lrs, {}});
  ASSERT_TRUE(zrs.ok());
  size_t kept = 0;
  for (const PlacedReplica& replica : *zrs) {
    kept += std::find(lrs.begin(), lrs.end(), replica) != lrs.end();
  }
  EXPECT_EQ(kept, 1u);
}

TEST_F(PlacementTest, ReplacesWhatIsOnADiskThatIsGone) {
  AddDefaultRegion("east");
  Add("east", "east-1", "east-1d");
  const auto before = Place(PlacementPolicy::kOneZone, "east");
  std::erase_if(disks_, [&](const PlacementDisk& disk) { return disk.disk == before[1].disk; });
  const auto after = PlaceGroup(PlacementPolicy::kOneZone, "east", disks_, {before, {}});
  ASSERT_TRUE(after.ok());
  for (const PlacedReplica& replica : {before[0], before[2]}) {
    EXPECT_EQ(std::count(after->begin(), after->end(), replica), 1);
  }
  EXPECT_EQ(std::count(after->begin(), after->end(), before[1]), 0);
}

// Else each look at the loads, to which a copy that is being made adds, would begin it elsewhere.
TEST_F(PlacementTest, GoesOnWithTheCopiesThatAreBegunWhateverTheLoads) {
  AddDefaultRegion("east");
  Add("east", "east-1", "east-1d");
  Add("east", "east-1", "east-1e");
  const auto before = Place(PlacementPolicy::kOneZone, "east");
  std::erase_if(disks_, [&](const PlacementDisk& disk) { return disk.disk == before[1].disk; });
  for (int i = 0; i < 3; ++i) {
    const auto first = PlaceGroup(PlacementPolicy::kOneZone, "east", disks_, {before, {}});
    ASSERT_TRUE(first.ok());
    const PlacedReplica& made = first->back();
    for (PlacementDisk& disk : disks_) disk.replica_count += disk.disk == made.disk;
    const auto again = PlaceGroup(PlacementPolicy::kOneZone, "east", disks_, {before, {made}});
    ASSERT_TRUE(again.ok());
    EXPECT_EQ(*again, *first);
  }
  // A whole copy goes before one that is begun.
  const PlacedReplica begun{"east-1e", Disk("east-1e").disk};
  const auto whole =
      PlaceGroup(PlacementPolicy::kOneZone, "east", disks_,
                 {{before[0], before[2], {"east-1d", Disk("east-1d").disk}}, {begun}});
  ASSERT_TRUE(whole.ok());
  EXPECT_EQ(std::count(whole->begin(), whole->end(), begun), 0);
}

TEST_F(PlacementTest, DoesNotDependOnTheOrderOfTheDisks) {
  AddDefaultRegion("east");
  const auto first = PlaceGroup(PlacementPolicy::kThreeZones, "east", disks_);
  std::reverse(disks_.begin(), disks_.end());
  const auto second = PlaceGroup(PlacementPolicy::kThreeZones, "east", disks_);
  ASSERT_TRUE(first.ok() && second.ok());
  EXPECT_EQ(*first, *second);
}

TEST_F(PlacementTest, CountsTwoDisksOfANodeAsOneFailureDomain) {
  for (const char* node : {"a", "a", "a", "b"}) Add("r", "z", node);
  const auto placed = PlaceGroup(PlacementPolicy::kOneZone, "r", disks_);
  EXPECT_EQ(placed.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(placed.status().message(),
            "LRS needs a zone with 3 nodes, and no zone of region r has more than 2");
}

TEST_F(PlacementTest, SaysWhatIsMissing) {
  for (const char* node : {"a", "b", "c"}) Add("r", "z1", node);
  Add("r", "z2", "d");
  const auto zrs = PlaceGroup(PlacementPolicy::kThreeZones, "r", disks_);
  EXPECT_EQ(zrs.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(zrs.status().message(), "ZRS needs 3 zones with a node each, and region r has 2");
  const auto nowhere = PlaceGroup(PlacementPolicy::kOneZone, "moon", disks_);
  EXPECT_EQ(nowhere.status().message(), "region moon has no node that replicas can be placed on");
}

}  // namespace
}  // namespace meridian::replication
