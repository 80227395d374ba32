#include "server/cluster_format.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "base/random.h"
#include "server/cluster_records.h"
#include "server/node_publisher.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

class ClusterFormatTest : public testing::Test {
 protected:
  // A node starts with a build of that version.
  absl::Status Start(const NodeId& node, uint64_t newest) {
    NodePublisher process(store_, node, {disk_}, absl::Milliseconds(50));
    return process.Publish(
        {"public:1", "internal:1", {disk_}, "east", "east-1", ClusterFormat(newest)});
  }
  ClusterFormat Stored() {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == kFormatKey) return *DecodeClusterFormat(row);
    }
    return *DecodeClusterFormat(std::nullopt);
  }
  absl::Status Upgrade() { return UpgradeClusterFormat(store_, false).status(); }

  SystemRandom random_;
  tenancy::TestStore store_;
  const DiskId disk_ = DiskId::Draw(random_);
};

TEST_F(ClusterFormatTest, IsRaisedToWhatEveryNodeCan) {
  ASSERT_TRUE(Start("a", 3).ok());
  ASSERT_TRUE(Start("b", 3).ok());
  const auto checked = UpgradeClusterFormat(store_, /*check_only=*/true);
  ASSERT_TRUE(checked.ok()) << checked.status();
  EXPECT_EQ(checked->to, ClusterFormat(3));
  EXPECT_EQ(Stored(), kFirstClusterFormat);
  ASSERT_TRUE(Upgrade().ok());
  EXPECT_EQ(Stored(), ClusterFormat(3));
  const auto again = UpgradeClusterFormat(store_, false);
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->from, again->to);
}

TEST_F(ClusterFormatTest, ANodeThatCannotKeepsItFromBeingRaisedAndIsNamed) {
  ASSERT_TRUE(Start("a", 2).ok());
  ASSERT_TRUE(Start("old", 1).ok());
  const absl::Status refused = Upgrade();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.ToString().find("old (1)"), std::string::npos) << refused;
  EXPECT_EQ(Stored(), kFirstClusterFormat);
  ASSERT_TRUE(Start("old", 2).ok());
  EXPECT_TRUE(Upgrade().ok());
}

TEST_F(ClusterFormatTest, AnOlderBuildDoesNotBecomeANodeAfterwards) {
  ASSERT_TRUE(Start("a", 2).ok());
  ASSERT_TRUE(Upgrade().ok());
  const absl::Status refused = Start("a", 1);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_TRUE(absl::IsFailedPrecondition(Start("b", 1)));
  EXPECT_TRUE(Start("b", 2).ok());
}

// Of a start and a raise at once, one takes effect.
TEST_F(ClusterFormatTest, ANodeThatStartsWhileItIsRaisedIsNotOverlooked) {
  ASSERT_TRUE(Start("a", 2).ok());
  store_.before_commit = [this] { EXPECT_TRUE(Start("b", 1).ok()); };
  EXPECT_TRUE(absl::IsAborted(Upgrade()));
  EXPECT_EQ(Stored(), kFirstClusterFormat);
  EXPECT_TRUE(absl::IsFailedPrecondition(Upgrade()));
}

TEST_F(ClusterFormatTest, ARaiseWhileANodeStartsIsNotOverlooked) {
  ASSERT_TRUE(Start("a", 2).ok());
  store_.before_commit = [this] { EXPECT_TRUE(Upgrade().ok()); };
  EXPECT_TRUE(absl::IsFailedPrecondition(Start("b", 1)));
  EXPECT_EQ(Stored(), ClusterFormat(2));
}

// It opens its disks before it publishes.
TEST_F(ClusterFormatTest, ABuildThatIsPutBackKeepsItFromBeingRaisedAsSoonAsItStarts) {
  ASSERT_TRUE(Start("a", 2).ok());
  ASSERT_TRUE(Start("b", 2).ok());
  store_.before_commit = [this] {
    EXPECT_TRUE(ReserveClusterFormat(store_, "b", ClusterFormat(1)).ok());
  };
  EXPECT_TRUE(absl::IsAborted(Upgrade()));
  const absl::Status refused = Upgrade();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_NE(refused.ToString().find("b (1)"), std::string::npos) << refused;
  ASSERT_TRUE(Start("b", 2).ok());
  store_.before_commit = [this] { EXPECT_TRUE(Upgrade().ok()); };
  EXPECT_TRUE(absl::IsFailedPrecondition(ReserveClusterFormat(store_, "b", ClusterFormat(1))));
  EXPECT_EQ(Stored(), ClusterFormat(2));
}

TEST_F(ClusterFormatTest, ARecordThatIsNoneIsDamage) {
  store_.Overwrite(kFormatKey, "\xff\xff");
  EXPECT_TRUE(absl::IsDataLoss(Start("a", 1)));
  store_.Overwrite(kFormatKey, "");
  EXPECT_TRUE(absl::IsDataLoss(Upgrade()));
}

TEST_F(ClusterFormatTest, AStoreThatIsAwaySaysSo) {
  store_.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(Upgrade()));
}

}  // namespace
}  // namespace meridian::server
