// A container's redundancy is changed, there and back, while clients write, read and list, and a
// node dies and comes back: nothing is lost, nothing waits, and what is shown holds.
#include <gtest/gtest.h>

#include <iostream>
#include <set>
#include <string>

#include "absl/time/clock.h"
#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

class ProcessConversion : public ProcessCluster {
 protected:
  static v1::Container Container() {
    const auto container = client_->GetContainer(kLocal);
    EXPECT_TRUE(container.ok()) << container.status();
    return container.value_or(v1::Container());
  }
  // A node's name begins with its zone's.
  static std::set<std::string> ZonesOf(const v1::Group& group) {
    std::set<std::string> zones;
    for (const v1::Replica& member : group.members()) {
      zones.insert(member.node().substr(0, member.node().size() - 1));
    }
    return zones;
  }
  static void Begin(v1::Redundancy before, v1::Redundancy after) {
    const auto begun = client_->ConvertContainer(kLocal, after);
    ASSERT_TRUE(begun.ok()) << begun.status();
    EXPECT_EQ(begun->redundancy(), before);
    EXPECT_EQ(begun->conversion().target(), after);
  }
  // What is shown is `before` until the end; then `after`, and all replicas are where that wants
  // them.
  static void ExpectEnds(v1::Redundancy before, v1::Redundancy after) {
    ASSERT_TRUE(Until(
        [&] {
          const v1::Container container = Container();
          EXPECT_EQ(container.redundancy(), container.has_conversion() ? before : after);
          return !container.has_conversion();
        },
        absl::Minutes(3)))
        << Container().ShortDebugString() << GroupOf(*admin_, kLocal).ShortDebugString();
    const auto groups = GroupsOf(*admin_, kLocal);
    ASSERT_TRUE(groups.ok()) << groups.status();
    for (const v1::Group& group : *groups) {
      EXPECT_EQ(ZonesOf(group).size(), after == v1::LRS ? 1u : 3u) << group.ShortDebugString();
      EXPECT_EQ(group.members_size(), 3) << group.ShortDebugString();
      EXPECT_EQ(group.learners_size(), 0) << group.ShortDebugString();
    }
  }
};

// I1, I2, P4.
TEST_F(ProcessConversion, LrsToZrsAndBackUnderLoadLosesNothingAlsoWhenItsLeaderIsKilled) {
  Workload workload(*profile_, {.container = kLocal, .writers = 6, .readers = 2, .listers = 1});
  ASSERT_TRUE(workload.Advances(300));
  const auto leader = AwaitHealthyLeader(*admin_, kLocal);
  ASSERT_TRUE(leader.ok()) << leader.status();
  const absl::Time begin = absl::Now();
  Begin(v1::LRS, v1::ZRS);
  ASSERT_TRUE(cluster_->Kill(*leader).ok());
  EXPECT_TRUE(Container().has_conversion());
  ASSERT_TRUE(workload.Advances(100));
  const absl::Status started = cluster_->Start(*leader);
  ASSERT_TRUE(started.ok()) << started;
  ExpectEnds(v1::LRS, v1::ZRS);
  ASSERT_TRUE(workload.Advances(100));

  Begin(v1::ZRS, v1::LRS);
  ExpectEnds(v1::ZRS, v1::LRS);
  ASSERT_TRUE(workload.Advances(100));
  workload.Stop();
  const absl::Duration pause = workload.LongestPause(begin);
  std::cout << "no write for " << absl::FormatDuration(pause) << " at most\n";
  EXPECT_LT(pause, kMaxPause);
  ExpectNoError(workload);
  ExpectKept(workload, kLocal);
}

}  // namespace
}  // namespace meridian
