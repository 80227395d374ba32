// I12 on processes: without etcd groups with a leader go on, and nothing has to be restarted after
// it.
//
// For the minute of an outage that operators know, instead of a few seconds:
//   bazel test //tests/integration:process_etcd_test --test_env=MERIDIAN_ETCD_OUTAGE_S=60
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

// Writes go on for that long, and until each writer has written many times.
absl::Duration OutageFromEnvironment() {
  const char* value = std::getenv("MERIDIAN_ETCD_OUTAGE_S");
  int seconds = 0;
  return value != nullptr && absl::SimpleAtoi(value, &seconds) ? absl::Seconds(seconds)
                                                               : absl::Seconds(8);
}

class ProcessEtcd : public ProcessCluster {
 protected:
  static absl::Status CreateContainer(const std::string& name) {
    return client_->CreateContainer(ContainerRequest(name, v1::ZRS), {.timeout = absl::Seconds(8)})
        .status();
  }
};

TEST_F(ProcessEtcd, SixteenWritersGoOnWithoutIt) {
  const std::vector<std::string> pids = Pids();
  const absl::Duration timeout = absl::Seconds(20);
  Workload zonal(*profile_, {.container = kZonal, .writers = 8, .timeout = timeout});
  Workload local(*profile_, {.container = kLocal, .writers = 8, .timeout = timeout});
  ASSERT_TRUE(zonal.Advances() && local.Advances());
  const absl::Time killed = absl::Now();
  ASSERT_TRUE(cluster_->Kill("etcd").ok());
  const absl::Status refused = CreateContainer("dark");
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_TRUE(absl::StrContains(refused.message(), "store")) << refused;
  const absl::Duration outage = OutageFromEnvironment();
  do {
    ASSERT_TRUE(zonal.Advances(200) && local.Advances(200));
  } while (absl::Now() < killed + outage);
  EXPECT_LT(zonal.LongestPause(killed), kMaxPause);
  EXPECT_LT(local.LongestPause(killed), kMaxPause);

  ASSERT_TRUE(cluster_->Start("etcd").ok());
  EXPECT_TRUE(Until([] { return CreateContainer("light").ok(); }));
  ASSERT_TRUE(zonal.Advances() && local.Advances());
  zonal.Stop();
  local.Stop();
  ExpectNoError(zonal);
  ExpectNoError(local);
  ExpectKept(zonal, kZonal);
  ExpectKept(local, kLocal);
  Workload light(*profile_, {.container = "tenants/acme/containers/light", .writers = 1});
  EXPECT_TRUE(light.Advances(5));
  light.Stop();
  ExpectNoError(light);
  // Leaders can be changed again, too.
  const auto leader = AwaitHealthyLeader(*admin_, kZonal);
  ASSERT_TRUE(leader.ok()) << leader.status();
  EXPECT_EQ(Pids(), pids);
}

}  // namespace
}  // namespace meridian
