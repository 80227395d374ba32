#include "server/telemetry/node_metrics.h"

#include <gtest/gtest.h>

#include "server/telemetry/disk_metrics.h"
#include "server/telemetry/group_metrics.h"
#include "tests/server/telemetry/exposition.h"

namespace meridian::server {
namespace {

using replication::Member;
using replication::ReplicaStatus;

const MetricLabels kNode = {{"node", "east-1a"}};

template <typename Id>
Id IdOf(char digit) {
  return *Id::FromHex(std::string(32, digit));
}

Exposition Parse(const MetricsBuilder& builder) {
  auto page = ParseExposition(builder.Text());
  EXPECT_TRUE(page.ok()) << page.status();
  return page.ok() ? *page : Exposition();
}

class ReplicaMetrics : public testing::Test {
 protected:
  ReplicaMetrics() {
    status_.epoch = Epoch(7);
    status_.commit_index = LogIndex(20);
    status_.applied_index = LogIndex(19);
    for (const char digit : {'1', '2', '3'}) {
      status_.config.members.push_back(
          {IdOf<ReplicaId>(digit), std::string("node-") + digit, IdOf<DiskId>(digit)});
    }
  }
  Exposition Page() const {
    MetricsBuilder builder;
    CollectReplicaMetrics(identity_, status_, kNode, builder);
    return Parse(builder);
  }

  const HostedReplica::Identity identity_{IdOf<PartitionId>('a'), IdOf<ReplicaId>('1'),
                                          IdOf<ContainerId>('c'), IdOf<DiskId>('d')};
  ReplicaStatus status_;
};

TEST_F(ReplicaMetrics, AFollowersAreWhatItIs) {
  const Exposition page = Page();
  const std::map<std::string, std::string> group = {{"group", std::string(32, 'a')}};
  EXPECT_EQ(page.Sum("meridian_group_epoch", group), 7);
  EXPECT_EQ(page.Sum("meridian_group_applied_index", group), 19);
  EXPECT_EQ(page.Sum("meridian_group_role", {{"role", "follower"}}), 1);
  EXPECT_EQ(page.Sum("meridian_group_role"), 1);
  EXPECT_EQ(page.Sum("meridian_group_serving"), 0);
  EXPECT_EQ(page.Sum("meridian_group_in_service"), 1);
  EXPECT_FALSE(page.families.contains("meridian_group_commit_seconds"));
  EXPECT_FALSE(page.families.contains("meridian_group_follower_lag_entries"));
}

TEST_F(ReplicaMetrics, ALeaderTellsOfItsCommitsAndItsFollowers) {
  status_.is_leader = status_.is_serving = true;
  status_.counters.leaderships_begun = 2;
  status_.proposals_waiting = 5;
  status_.commit_latency = {{500, 1000}, {1, 2, 3}, 9000};
  status_.lag = {{IdOf<ReplicaId>('2'), 4}, {IdOf<ReplicaId>('3'), 0}};
  status_.silence = {{IdOf<ReplicaId>('2'), absl::Seconds(3)},
                     {IdOf<ReplicaId>('3'), absl::ZeroDuration()}};
  const Exposition page = Page();
  EXPECT_EQ(page.Sum("meridian_group_role", {{"role", "leader"}}), 1);
  EXPECT_EQ(page.Sum("meridian_group_serving"), 1);
  EXPECT_EQ(page.Sum("meridian_group_leaderships_begun_total"), 2);
  EXPECT_EQ(page.Sum("meridian_group_proposals_waiting"), 5);
  EXPECT_EQ(page.Sum("meridian_group_commit_seconds_count"), 6);
  EXPECT_EQ(page.Sum("meridian_group_follower_lag_entries", {{"peer", "node-2"}}), 4);
  EXPECT_EQ(page.Sum("meridian_group_follower_silence_seconds", {{"peer", "node-2"}}), 3);
}

// Else the page would have one sample twice.
TEST_F(ReplicaMetrics, ANodeWithTwoMembersIsToldOnceByTheOneThatIsFurtherBehind) {
  status_.is_leader = true;
  status_.config.joint_old = status_.config.members;
  status_.config.members[1] = {IdOf<ReplicaId>('4'), "node-2", IdOf<DiskId>('4')};
  status_.lag = {{IdOf<ReplicaId>('2'), 4}, {IdOf<ReplicaId>('4'), 9}};
  status_.silence = {{IdOf<ReplicaId>('2'), absl::Seconds(3)},
                     {IdOf<ReplicaId>('4'), absl::Seconds(1)}};
  const Exposition page = Page();
  EXPECT_EQ(page.Sum("meridian_group_follower_lag_entries", {{"peer", "node-2"}}), 9);
  EXPECT_EQ(page.Sum("meridian_group_follower_silence_seconds", {{"peer", "node-2"}}), 3);
}

TEST_F(ReplicaMetrics, AReplicaThatTheConfigurationDoesNotNameIsALearner) {
  status_.config.members.erase(status_.config.members.begin());
  status_.health = absl::UnavailableError("broken");
  const Exposition page = Page();
  EXPECT_EQ(page.Sum("meridian_group_role", {{"role", "learner"}}), 1);
  EXPECT_EQ(page.Sum("meridian_group_in_service"), 0);
}

TEST(DiskMetrics, ADiskThatCannotBeOpenedIsToldToBeOutOfService) {
  MetricsBuilder builder;
  CollectDiskMetrics({nullptr, "/srv/disk1", absl::NotFoundError("not there")}, kNode, builder);
  const Exposition page = Parse(builder);
  ASSERT_TRUE(page.families.contains("meridian_disk_in_service"));
  const auto& samples = page.families.at("meridian_disk_in_service").samples;
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].value, 0);
  EXPECT_EQ(samples[0].labels.at("folder"), "/srv/disk1");
  EXPECT_EQ(samples[0].labels.at("disk"), "");
}

TEST(ScrubMetrics, TellTheLastPassAndTheOneBefore) {
  storage::ScrubStatus scrub;
  scrub.bytes_per_second = 8 << 20;
  scrub.verified_bytes = 1000;
  scrub.progress = 0.25;
  scrub.corrupt = 2;
  scrub.corrupt_before = 3;
  MetricsBuilder first;
  CollectScrubMetrics(scrub, kNode, first);
  Exposition page = Parse(first);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_progress"), 0.25);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_verified_bytes"), 1000);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_corrupt_records", {{"pass", "last"}}), 2);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_corrupt_records", {{"pass", "before"}}), 3);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_held"), 0);
  EXPECT_FALSE(page.families.contains("meridian_disk_scrub_end_timestamp_seconds"));

  scrub.last_pass_end = absl::FromUnixSeconds(1'700'000'000);
  scrub.problem = absl::UnavailableError("the journal does not answer");
  MetricsBuilder second;
  CollectScrubMetrics(scrub, kNode, second);
  page = Parse(second);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_end_timestamp_seconds"), 1'700'000'000);
  EXPECT_EQ(page.Sum("meridian_disk_scrub_held"), 1);
}

TEST(ScrubMetrics, ADiskThatIsNotVerifiedHasNone) {
  MetricsBuilder builder;
  CollectScrubMetrics({}, kNode, builder);
  EXPECT_EQ(builder.Text(), "");
}

TEST(ComparisonMetrics, CountReplicasThatDiffer) {
  GroupScrub scrub;
  MetricsBuilder first;
  CollectComparisonMetrics(IdOf<PartitionId>('a'), scrub, kNode, first);
  EXPECT_EQ(Parse(first).Sum("meridian_group_replicas_differing"), 0);
  EXPECT_FALSE(Parse(first).families.contains("meridian_group_compared_timestamp_seconds"));
  scrub.differing = {IdOf<ReplicaId>('1'), IdOf<ReplicaId>('2')};
  scrub.last_compared = absl::FromUnixSeconds(1'700'000'000);
  MetricsBuilder second;
  CollectComparisonMetrics(IdOf<PartitionId>('a'), scrub, kNode, second);
  const Exposition page = Parse(second);
  EXPECT_EQ(page.Sum("meridian_group_replicas_differing", {{"group", std::string(32, 'a')}}), 2);
  EXPECT_EQ(page.Sum("meridian_group_compared_timestamp_seconds"), 1'700'000'000);
}

TEST(CountConnections, CountsThoseThatAPortHasAccepted) {
  const std::string table =
      "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
      "   0: 0100007F:1D13 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0\n"
      "   1: 0100007F:1D13 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0\n"
      "   2: 0100007F:D431 0100007F:1D13 01 00000000:00000000 00:00000000 00000000     0\n"
      "   3: 0100007F:1D13 0100007F:D432 06 00000000:00000000 00:00000000 00000000     0\n"
      "   4: 0000000000000000FFFF00000100007F:1D13 0000000000000000FFFF00000100007F:D433 01 x\n";
  EXPECT_EQ(CountConnections(table, 0x1D13), 2u);
  EXPECT_EQ(CountConnections(table, 0xD431), 1u);
  EXPECT_EQ(CountConnections(table, 1), 0u);
  EXPECT_EQ(CountConnections("", 1), 0u);
  EXPECT_EQ(CountConnections("a b c 01\n: : : 01\n", 1), 0u);
}

}  // namespace
}  // namespace meridian::server
