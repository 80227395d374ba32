// Taking a disk out over groups and nodes in memory: what the nodes say, the test does.
#include "server/control/replace_disk.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/random.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "tests/server/fake_nodes.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using replication::GroupConfig;
using replication::Member;

// A group on the nodes a, b and c; a's disk is to go.
class ReplaceDiskTest : public testing::Test {
 protected:
  ReplaceDiskTest() {
    config_.epoch = Epoch(1);
    for (const char* node : {"a", "b", "c"}) config_.members.push_back(NewMember(node));
    disk_ = config_.members.front().disk;
    store_.Overwrite(DiskKeyOf(disk_), EncodeDiskRecord({"a", 1, OpeningId::Draw(random_)}));
    StoreGroup();
  }
  // Whose node answers that it is whole.
  Member NewMember(const NodeId& node) {
    Member member{ReplicaId::Draw(random_), node, DiskId::Draw(random_)};
    pb::ReplicaStatus& status = nodes_.replicas[node].emplace_back();
    status.set_replica_id(std::string(member.replica.bytes()));
    status.set_installing(false);
    return member;
  }
  pb::ReplicaStatus& StatusOn(const NodeId& node) { return nodes_.replicas[node].front(); }
  void StoreGroup() {
    store_.Overwrite(replication::GroupConfigKey(partition_),
                     replication::EncodeGroupConfig(config_));
  }
  absl::StatusOr<v1::ReplaceDiskResponse> Replace() {
    v1::ReplaceDiskRequest request;
    request.set_disk(disk_.ToHex());
    return ReplaceDisk(store_, nodes_, request);
  }
  bool Marked() {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == RetiredDiskKeyOf(disk_)) return true;
    }
    return false;
  }
  // Refused, with these nodes' names, and nothing was begun.
  void ExpectRefused(const std::string& nodes) {
    const absl::Status refused = Replace().status();
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), "may have the last copy")) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), nodes)) << refused;
    EXPECT_FALSE(Marked());
  }

  SystemRandom random_;
  tenancy::TestStore store_;
  FakeNodes nodes_;
  const PartitionId partition_ = PartitionId::Draw(random_);
  GroupConfig config_;
  DiskId disk_;
};

TEST_F(ReplaceDiskTest, BeginsWhileAQuorumIsWholeElsewhere) {
  const auto begun = Replace();
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->remaining_replicas(), 1);
  EXPECT_TRUE(Marked());
}

TEST_F(ReplaceDiskTest, AReplicaThatIsBeingInstalledIsNoCopy) {
  StatusOn("b").set_installing(true);
  ExpectRefused("b");
  StatusOn("b").set_installing(false);
  EXPECT_TRUE(Replace().ok());
}

TEST_F(ReplaceDiskTest, AReplicaThatIsOutOfServiceOrSilentIsNoCopy) {
  StatusOn("b").set_problem("EIO");
  ExpectRefused("b");
  nodes_.down.insert("b");
  ExpectRefused("b");
}

// P4: what the old members have committed, the new ones may not have yet.
TEST_F(ReplaceDiskTest, InAJointConfigurationBothSetsHaveAWholeQuorumElsewhere) {
  config_.joint_old = config_.members;
  config_.members = {NewMember("d"), NewMember("e"), NewMember("f")};
  StoreGroup();
  StatusOn("c").set_installing(true);
  ExpectRefused("c");
  StatusOn("c").set_installing(false);
  StatusOn("d").set_installing(true);
  EXPECT_TRUE(Replace().ok());
}

// An older build does not say it: that is not known to be whole.
TEST_F(ReplaceDiskTest, AReplicaOfWhichItIsNotToldWhetherItIsWholeIsNoCopy) {
  StatusOn("b").clear_installing();
  ExpectRefused("b");
}

TEST_F(ReplaceDiskTest, AReplicaThatLacksChunksIsNoCopyOfThem) {
  StatusOn("b").set_chunks_without_copy(1);
  ExpectRefused("b");
  // What the disk has not either cannot be saved by leaving it in.
  StatusOn("a").set_chunks_without_copy(1);
  EXPECT_TRUE(Replace().ok());
}

TEST_F(ReplaceDiskTest, WhatASilentDiskHasIsNotKnownToBeLost) {
  for (const char* node : {"a", "b"}) StatusOn(node).set_chunks_without_copy(1);
  nodes_.down.insert("a");
  ExpectRefused("b");
}

TEST_F(ReplaceDiskTest, OnceBegunItTellsThatCopiesAreMissing) {
  ASSERT_TRUE(Replace().ok());
  StatusOn("c").set_installing(true);
  const auto goes_on = Replace();
  ASSERT_TRUE(goes_on.ok()) << goes_on.status();
  EXPECT_TRUE(absl::StrContains(goes_on->problem(), "last copy")) << goes_on->problem();
}

}  // namespace
}  // namespace meridian::server
