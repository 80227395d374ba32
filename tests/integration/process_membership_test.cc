// Nodes that join, are emptied, and leave, while clients write: nothing is lost, and nothing waits.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <string>

#include "absl/time/clock.h"
#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

class ProcessMembership : public ProcessCluster {
 protected:
  static std::set<std::string> NodesOf(const std::string& container) {
    std::set<std::string> nodes;
    const v1::Group group = GroupOf(*admin_, container);
    for (const v1::Replica& member : group.members()) nodes.insert(member.node());
    return nodes;
  }
};

// P4, P6.
TEST_F(ProcessMembership, ANodeTakesTheOverOfAnotherThatIsDrainedAndRemoved) {
  Workload zonal(*profile_, {.container = kZonal, .writers = 6});
  Workload local(*profile_, {.container = kLocal, .writers = 6});
  ASSERT_TRUE(zonal.Advances(100) && local.Advances(100));
  const auto leaving = AwaitHealthyLeader(*admin_, kLocal);
  ASSERT_TRUE(leaving.ok()) << leaving.status();
  const absl::Time begin = absl::Now();
  const absl::Status added = cluster_->Add("east-1d", /*disks=*/2);
  ASSERT_TRUE(added.ok()) << added;
  EXPECT_TRUE(Until([] { return DisksInService("east-1d") == 2; }));

  EXPECT_EQ(admin_->RemoveNode(*leaving).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(admin_->DrainNode(*leaving, /*cancel=*/false).ok());
  EXPECT_TRUE(Until([&] { return NodeNamed(*leaving).assigned_replica_count() == 0; }))
      << NodeNamed(*leaving).ShortDebugString();
  ASSERT_TRUE(zonal.Advances() && local.Advances());
  EXPECT_FALSE(NodesOf(kZonal).contains(*leaving));
  EXPECT_EQ(NodesOf(kLocal).count(*leaving), 0u);
  EXPECT_TRUE(NodesOf(kLocal).contains("east-1d"));

  EXPECT_EQ(admin_->RemoveNode(*leaving).code(), absl::StatusCode::kFailedPrecondition);
  const absl::Status stopped = cluster_->Stop(*leaving);
  ASSERT_TRUE(stopped.ok()) << stopped;
  EXPECT_TRUE(Until([&] { return admin_->RemoveNode(*leaving).ok(); }));
  EXPECT_TRUE(Until([&] { return NodeNamed(*leaving).name().empty(); }));
  ASSERT_TRUE(zonal.Advances() && local.Advances());
  zonal.Stop();
  local.Stop();
  for (const Workload* workload : {&zonal, &local}) {
    const absl::Duration pause = workload->LongestPause(begin);
    std::cout << "no write for " << absl::FormatDuration(pause) << " at most\n";
    EXPECT_LT(pause, kMaxPause);
    ExpectNoError(*workload);
  }
  ExpectKept(zonal, kZonal);
  ExpectKept(local, kLocal);
}

}  // namespace
}  // namespace meridian
