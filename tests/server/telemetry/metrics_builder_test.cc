#include "server/telemetry/metrics_builder.h"

#include <gtest/gtest.h>

#include "tests/server/telemetry/exposition.h"

namespace meridian::server {
namespace {

constexpr Metric kCounter = {"things_total", "Things, \"all\" of them."};
constexpr Metric kGauge = {"level", "How high."};
constexpr Metric kTime = {"wait_seconds", "How long."};

Exposition Parse(const MetricsBuilder& builder) {
  auto page = ParseExposition(builder.Text());
  EXPECT_TRUE(page.ok()) << page.status() << "\n" << builder.Text();
  return page.ok() ? *page : Exposition();
}

TEST(MetricsBuilder, PutsSamplesOfAMetricTogetherInWhateverOrderTheyCome) {
  MetricsBuilder builder;
  builder.Counter(kCounter, {{"node", "a"}}, 3);
  builder.Gauge(kGauge, {{"node", "a"}}, -0.5);
  builder.Counter(kCounter, {{"node", "b"}}, 4);
  const Exposition page = Parse(builder);
  EXPECT_EQ(page.families.size(), 2u);
  EXPECT_EQ(page.Sum("things_total"), 7);
  EXPECT_EQ(page.Sum("things_total", {{"node", "b"}}), 4);
  EXPECT_EQ(page.Sum("level"), -0.5);
}

TEST(MetricsBuilder, EscapesWhatLabelsHold) {
  MetricsBuilder builder;
  const std::string odd = "a\\b\"c\nd";
  builder.Gauge(kGauge, {{"node", odd}}, 1);
  EXPECT_EQ(Parse(builder).Sum("level", {{"node", odd}}), 1);
}

TEST(MetricsBuilder, KeepsLargeCountsToTheLastDigit) {
  MetricsBuilder builder;
  builder.Counter(kCounter, {}, 9007199254740991.0);  // 2^53 - 1
  EXPECT_EQ(Parse(builder).Sum("things_total"), 9007199254740991.0);
}

TEST(MetricsBuilder, GivesHistogramsCumulativeBucketsInTheMetricsUnit) {
  MetricsBuilder builder;
  builder.Histogram(kTime, {{"node", "a"}}, {{1000, 2000}, {5, 0, 2}, 12'000}, kMicrosecond);
  const Exposition page = Parse(builder);
  EXPECT_EQ(page.Sum("wait_seconds_bucket", {{"le", "0.001"}}), 5);
  EXPECT_EQ(page.Sum("wait_seconds_bucket", {{"le", "0.002"}}), 5);
  EXPECT_EQ(page.Sum("wait_seconds_bucket", {{"le", "+Inf"}}), 7);
  EXPECT_EQ(page.Sum("wait_seconds_count"), 7);
  EXPECT_DOUBLE_EQ(page.Sum("wait_seconds_sum"), 0.012);
}

// The reader that the tests rely on refuses what it should.
TEST(Exposition, WrongPagesAreRefused) {
  const std::string good = "# HELP a_total h\n# TYPE a_total counter\na_total{x=\"1\"} 1\n";
  EXPECT_TRUE(ParseExposition(good).ok());
  for (const std::string& bad : {
           std::string("a_total 1\n"),
           std::string("# HELP a_total h\n# TYPE a_total counter\na_total 1"),
           good + good,
           good + "a_total{x=\"1\"} 2\n",
           good + "b_total 2\n",
           good + "a_total{x=1} 2\n",
           good + "a_total{x=\"2\"} two\n",
           good + "\n",
           std::string("# HELP a h\n# TYPE a counter\na 1\n"),
           std::string("# TYPE a gauge\na 1\n"),
           std::string(
               "# HELP h h\n# TYPE h histogram\nh_bucket{le=\"1\"} 1\nh_sum 1\nh_count 1\n"),
           std::string(
               "# HELP h h\n# TYPE h histogram\nh_bucket{le=\"1\"} 3\nh_bucket{le=\"+Inf\"} "
               "2\nh_sum 1\nh_count 2\n"),
       }) {
    EXPECT_FALSE(ParseExposition(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace meridian::server
