// A cluster whose nodes are exchanged for a build of the next version, and back, one by one under
// load, until its format version is raised. The next build (next_build/) writes versions' records
// with a field more, once it may.
#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/str_cat.h"
#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

constexpr char kThisBuild[] = "server/meridiand";
constexpr char kNextBuild[] = "tests/integration/meridiand_next";
constexpr char kAdded[] = "next-build";  // in the metadata of what is written in the next format

class RollingUpgrade : public ProcessCluster {
 protected:
  // Takes a node down, as an operator does, and starts it with another program.
  static absl::Status Exchange(const std::string& node, const std::string& program) {
    absl::Status done = cluster_->Stop(node);
    if (done.ok()) done = cluster_->SetProgram(node, program);
    if (done.ok()) done = cluster_->Start(node);
    for (const char* container : {kZonal, kLocal}) {
      if (done.ok()) done = AwaitHealthyLeader(*admin_, container).status();
    }
    return done;
  }
  static void ExchangeAll(const std::string& program, const Workload& load) {
    for (const std::string& node : NodeNames()) {
      const absl::Status exchanged = Exchange(node, program);
      ASSERT_TRUE(exchanged.ok()) << node << ": " << exchanged;
      ASSERT_TRUE(load.Advances()) << node;
    }
  }
  // Writes an object and reads what is kept of it.
  static absl::StatusOr<v1::Object> Put(const std::string& name) {
    v1::WriteSpec spec;
    spec.set_container(kZonal);
    spec.set_name(name);
    const auto written = client_->WriteObject(spec, name);
    if (!written.ok()) return written.status();
    v1::GetObjectRequest request;
    request.set_container(kZonal);
    request.set_name(name);
    return client_->GetObject(request);
  }
  static std::string LogOf(const std::string& node) {
    std::ifstream file(cluster_->LogFile(node));
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  static int64_t FormatVersion() {
    const auto topology = admin_->GetTopology();
    return topology.ok() ? topology->format_version() : -1;
  }
};

TEST_F(RollingUpgrade, NodesAreExchangedAndBackUnderLoadUntilTheFormatIsRaisedForGood) {
  Workload zonal(*profile_, {.container = kZonal, .writers = 6});
  Workload local(*profile_, {.container = kLocal, .writers = 4});
  ASSERT_TRUE(zonal.Advances(100) && local.Advances(100));
  EXPECT_EQ(FormatVersion(), 1);

  // Half of the way: both builds write what both read, and nothing can be raised.
  for (const char* node : {"east-1a", "east-2a"}) {
    ASSERT_EQ(Exchange(node, kNextBuild), absl::OkStatus());
    ASSERT_TRUE(zonal.Advances() && local.Advances()) << node;
  }
  const auto too_early = admin_->UpgradeFormat(/*check_only=*/false);
  EXPECT_TRUE(absl::IsFailedPrecondition(too_early.status())) << too_early.status();
  for (const char* behind : {"east-1b (1)", "east-1c (1)", "east-3a (1)"}) {
    EXPECT_NE(too_early.status().ToString().find(behind), std::string::npos) << behind;
  }
  EXPECT_TRUE(Until([] { return NodeNamed("east-1a").newest_format_version() == 2; }));

  // All the way, and back.
  ASSERT_NO_FATAL_FAILURE(ExchangeAll(kNextBuild, zonal));
  const auto before = Put("before");
  ASSERT_TRUE(before.ok()) << before.status();
  EXPECT_FALSE(before->metadata().contains(kAdded));
  EXPECT_EQ(FormatVersion(), 1);
  ASSERT_NO_FATAL_FAILURE(ExchangeAll(kThisBuild, zonal));
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZonal), absl::OkStatus());

  // For good.
  ASSERT_NO_FATAL_FAILURE(ExchangeAll(kNextBuild, local));
  const auto checked = admin_->UpgradeFormat(/*check_only=*/true);
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->to_version(), 2);
  EXPECT_EQ(FormatVersion(), 1);
  const auto raised = admin_->UpgradeFormat(/*check_only=*/false);
  ASSERT_TRUE(raised.ok()) << raised.status();
  EXPECT_EQ(raised->from_version(), 1);
  EXPECT_EQ(raised->to_version(), 2);
  EXPECT_TRUE(Until([] {
    const auto after = Put("after");
    return after.ok() && after->metadata().contains(kAdded);
  }));
  ASSERT_TRUE(zonal.Advances(100) && local.Advances(100));

  // The older build does not come back, and says why.
  ASSERT_TRUE(cluster_->Stop("east-3a").ok());
  ASSERT_TRUE(cluster_->SetProgram("east-3a", kThisBuild).ok());
  EXPECT_FALSE(cluster_->Start("east-3a").ok());
  EXPECT_NE(LogOf("east-3a").find("the cluster's format version is 2"), std::string::npos);
  ASSERT_TRUE(cluster_->SetProgram("east-3a", kNextBuild).ok());
  ASSERT_EQ(cluster_->Start("east-3a"), absl::OkStatus());
  ASSERT_TRUE(zonal.Advances());
  zonal.Stop();
  local.Stop();
  ExpectNoError(zonal);
  ExpectNoError(local);
  ExpectKept(zonal, kZonal);
  ExpectKept(local, kLocal);
}

}  // namespace
}  // namespace meridian
