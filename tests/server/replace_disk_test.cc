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
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using replication::GroupConfig;
using replication::Member;

class FakeNodes final : public PeerClient {
 public:
  std::map<NodeId, absl::StatusOr<pb::NodeStatus>> GetNodeStatuses(const std::vector<NodeId>& nodes,
                                                                   const pb::GetNodeStatusRequest&,
                                                                   absl::Duration) override {
    std::map<NodeId, absl::StatusOr<pb::NodeStatus>> answers;
    for (const NodeId& node : nodes) {
      const auto replica = replicas.find(node);
      if (replica == replicas.end()) {
        answers.emplace(node, absl::UnavailableError("down"));
        continue;
      }
      pb::NodeStatus status;
      *status.add_replicas() = replica->second;
      answers.emplace(node, std::move(status));
    }
    return answers;
  }
  bool Reachable(const NodeId&) override { return true; }
  absl::Status CheckEmpty(const tenancy::PartitionRange&, absl::Time) override { return Unused(); }
  absl::StatusOr<int64_t> ClosePartition(const tenancy::PartitionRange&, absl::Time) override {
    return Unused();
  }
  absl::Status ReopenPartition(PartitionId, absl::Time) override { return Unused(); }
  absl::Status SetVersioning(PartitionId, bool, uint64_t, absl::Time) override { return Unused(); }

  // Of nodes that answer.
  std::map<NodeId, pb::ReplicaStatus> replicas;

 private:
  static absl::Status Unused() { return absl::UnimplementedError("not of disks"); }
};

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
  // Whose node answers.
  Member NewMember(const NodeId& node) {
    Member member{ReplicaId::Draw(random_), node, DiskId::Draw(random_)};
    nodes_.replicas[node].set_replica_id(std::string(member.replica.bytes()));
    return member;
  }
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
  nodes_.replicas["b"].set_installing(true);
  ExpectRefused("b");
  nodes_.replicas["b"].set_installing(false);
  EXPECT_TRUE(Replace().ok());
}

TEST_F(ReplaceDiskTest, AReplicaThatIsOutOfServiceOrSilentIsNoCopy) {
  nodes_.replicas["b"].set_problem("EIO");
  ExpectRefused("b");
  nodes_.replicas.erase("b");
  ExpectRefused("b");
}

// P4: what the old members have committed, the new ones may not have yet.
TEST_F(ReplaceDiskTest, InAJointConfigurationBothSetsHaveAWholeQuorumElsewhere) {
  config_.joint_old = config_.members;
  config_.members = {NewMember("d"), NewMember("e"), NewMember("f")};
  StoreGroup();
  nodes_.replicas["c"].set_installing(true);
  ExpectRefused("c");
  nodes_.replicas["c"].set_installing(false);
  nodes_.replicas["d"].set_installing(true);
  EXPECT_TRUE(Replace().ok());
}

TEST_F(ReplaceDiskTest, OnceBegunItTellsThatCopiesAreMissing) {
  ASSERT_TRUE(Replace().ok());
  nodes_.replicas["c"].set_installing(true);
  const auto goes_on = Replace();
  ASSERT_TRUE(goes_on.ok()) << goes_on.status();
  EXPECT_TRUE(absl::StrContains(goes_on->problem(), "last copy")) << goes_on->problem();
}

}  // namespace
}  // namespace meridian::server
