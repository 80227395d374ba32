// kill -9 under load: of a leader, of each node in turn, of all at once, and of etcd with them.
#include <gtest/gtest.h>

#include <iostream>
#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

class ProcessKills : public ProcessCluster {};

// I1, I2.
TEST_F(ProcessKills, WritesGoOnWithinFiveSecondsAfterTheLeaderWasKilledUnderThirtyTwoWriters) {
  Workload workload(*profile_, {.container = kZonal, .writers = 32, .readers = 4});
  ASSERT_TRUE(workload.Advances(200));
  const auto leader = AwaitHealthyLeader(*admin_, kZonal);
  ASSERT_TRUE(leader.ok()) << leader.status();
  const absl::Time killed = absl::Now();
  ASSERT_TRUE(cluster_->Kill(*leader).ok());
  ASSERT_TRUE(workload.Advances(200));
  const absl::Duration pause = workload.LongestPause(killed);
  std::cout << "no write for " << absl::FormatDuration(pause) << "\n";
  RecordProperty("pause_ms", static_cast<int>(absl::ToInt64Milliseconds(pause)));
  EXPECT_LT(pause, kMaxPause);
  const absl::Status started = cluster_->Start(*leader);
  ASSERT_TRUE(started.ok()) << started;
  ASSERT_TRUE(workload.Advances());
  workload.Stop();
  ExpectNoError(workload);
  ExpectKept(workload, kZonal);
}

TEST_F(ProcessKills, NothingIsLostWhenEachNodeIsKilledInTurn) {
  Workload zonal(*profile_, {.container = kZonal, .prefix = "turns/", .writers = 4});
  Workload local(*profile_, {.container = kLocal, .prefix = "turns/", .writers = 4});
  for (const std::string& node : NodeNames()) {
    ASSERT_TRUE(zonal.Advances() && local.Advances()) << node;
    ASSERT_TRUE(cluster_->Kill(node).ok());
    ASSERT_TRUE(zonal.Advances() && local.Advances()) << node;
    const absl::Status started = cluster_->Start(node);
    ASSERT_TRUE(started.ok()) << started;
    // The next one may only go when this one is back: else two of three are down.
    for (const char* container : {kZonal, kLocal}) {
      ASSERT_EQ(AwaitHealthyLeader(*admin_, container).status(), absl::OkStatus()) << node;
    }
  }
  zonal.Stop();
  local.Stop();
  ExpectNoError(zonal);
  ExpectNoError(local);
  ExpectKept(zonal, kZonal);
  ExpectKept(local, kLocal);
}

TEST_F(ProcessKills, NothingIsLostWhenAllNodesAreKilledAtOnceAndThenEtcdWithThem) {
  std::vector<std::string> all = NodeNames();
  Workload zonal(*profile_, {.container = kZonal, .prefix = "all/", .writers = 6});
  Workload local(*profile_, {.container = kLocal, .prefix = "all/", .writers = 6});
  for (const bool with_etcd : {false, true}) {
    ASSERT_TRUE(zonal.Advances(100) && local.Advances(100));
    if (with_etcd) all.push_back("etcd");
    ASSERT_TRUE(cluster_->Kill(all).ok());
    const absl::Status started = cluster_->Up();
    ASSERT_TRUE(started.ok()) << started;
  }
  ASSERT_TRUE(zonal.Advances(100) && local.Advances(100));
  zonal.Stop();
  local.Stop();
  // Calls go on when the cluster is back within their time.
  ExpectNoError(zonal);
  ExpectNoError(local);
  ExpectKept(zonal, kZonal);
  ExpectKept(local, kLocal);
}

}  // namespace
}  // namespace meridian
