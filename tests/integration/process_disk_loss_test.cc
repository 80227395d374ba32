// A disk whose folder is emptied, while its node is down or while it runs: the node goes on with a
// new disk in its place, and what the old one held is rebuilt from the others (P4).
#include <gtest/gtest.h>

#include <filesystem>
#include <optional>
#include <string>

#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

class ProcessDiskLoss : public ProcessCluster {
 protected:
  static void SetUpTestSuite() { StartCluster({"--rebuild-after", "5"}); }

  // A disk, and where it is.
  struct Place {
    std::string node, disk_id, folder;
  };
  // Of the replica that leads.
  static std::optional<Place> LeaderPlace(const std::string& container) {
    const auto leader = AwaitHealthyLeader(*admin_, container);
    EXPECT_TRUE(leader.ok()) << leader.status();
    if (!leader.ok()) return std::nullopt;
    Place place{*leader, "", ""};
    const v1::Group group = GroupOf(*admin_, container);
    for (const v1::Replica& member : group.members()) {
      if (member.node() == *leader) place.disk_id = member.disk_id();
    }
    const v1::Node node = NodeNamed(*leader);
    for (int i = 0; i < node.disks_size(); ++i) {
      if (node.disks(i).id() == place.disk_id) {
        place.folder = cluster_->DataFolder(*leader, i + 1);
      }
    }
    EXPECT_FALSE(place.folder.empty()) << node.ShortDebugString();
    return place;
  }
  // As a new disk is mounted where the old one was.
  static void Empty(const std::string& folder) {
    for (const auto& entry : std::filesystem::directory_iterator(folder)) {
      std::filesystem::remove_all(entry);
    }
  }
  // The node has two disks in service, and that one is not among them; nor has the group a replica
  // there.
  static void ExpectReplaced(const Place& lost, const std::string& container) {
    EXPECT_TRUE(Until([&] { return DisksInService(lost.node) == 2; }));
    const v1::Node node = NodeNamed(lost.node);
    for (const v1::Disk& disk : node.disks()) EXPECT_NE(disk.id(), lost.disk_id);
    EXPECT_TRUE(Until([&] {
      const v1::Group group = GroupOf(*admin_, container);
      bool has_lost = false;
      for (const v1::Replica& member : group.members()) {
        has_lost |= member.disk_id() == lost.disk_id;
      }
      return group.members_size() == 3 && !has_lost;
    })) << GroupOf(*admin_, container).ShortDebugString();
    EXPECT_EQ(AwaitHealthyLeader(*admin_, container).status(), absl::OkStatus());
  }
};

TEST_F(ProcessDiskLoss, OfANodeThatIsDown) {
  Workload workload(*profile_, {.container = kLocal});
  ASSERT_TRUE(workload.Advances(200));
  const auto lost = LeaderPlace(kLocal);
  ASSERT_TRUE(lost);
  ASSERT_TRUE(cluster_->Kill(lost->node).ok());
  Empty(lost->folder);
  ASSERT_TRUE(workload.Advances());
  const absl::Status started = cluster_->Start(lost->node);
  ASSERT_TRUE(started.ok()) << started;
  ExpectReplaced(*lost, kLocal);
  ASSERT_TRUE(workload.Advances());
  workload.Stop();
  ExpectNoError(workload);
  ExpectKept(workload, kLocal);
}

TEST_F(ProcessDiskLoss, OfANodeThatRuns) {
  Workload workload(*profile_, {.container = kZonal});
  ASSERT_TRUE(workload.Advances(200));
  const auto lost = LeaderPlace(kZonal);
  ASSERT_TRUE(lost);
  Empty(lost->folder);
  ASSERT_TRUE(workload.Advances(200));
  ASSERT_TRUE(cluster_->Kill(lost->node).ok());
  const absl::Status started = cluster_->Start(lost->node);
  ASSERT_TRUE(started.ok()) << started;
  ExpectReplaced(*lost, kZonal);
  ASSERT_TRUE(workload.Advances());
  workload.Stop();
  ExpectNoError(workload);
  ExpectKept(workload, kZonal);
}

}  // namespace
}  // namespace meridian
