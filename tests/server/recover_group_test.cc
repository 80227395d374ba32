// Recovering a group over a store in memory: what the nodes say, the test does (P23).
#include "server/control/recover_group.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "server/errors.h"
#include "server/recovery_record.h"
#include "server/store_calls.h"
#include "tests/server/fake_nodes.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using replication::GroupConfig;
using replication::Member;

// A group on a, b and c, of which a and b were lost with their disks.
class RecoverGroupTest : public testing::Test {
 protected:
  RecoverGroupTest() {
    config_.epoch = Epoch(7);
    for (const char* node : {"a", "b", "c"}) {
      const Member member{ReplicaId::Draw(random_), node, DiskId::Draw(random_)};
      config_.members.push_back(member);
      StoreNode(member);
      nodes_.down.insert(node);
      store_.Overwrite(DiskKeyOf(member.disk),
                       EncodeDiskRecord({node, 1, OpeningId::Draw(random_)}));
    }
    config_.leader = config_.members.front().replica;
    config_.session = SessionId::Draw(random_);
    store_.Overwrite(GroupKey(), replication::EncodeGroupConfig(config_));
    Announce("c");
    Answers(config_.members[2]);
  }
  std::string GroupKey() const { return replication::GroupConfigKey(partition_); }
  void StoreNode(const Member& member) {
    store_.Overwrite(NodeKeyOf(member.node), EncodeNodeRecord({"h:1", "h:2", {member.disk}}));
  }
  void Announce(const NodeId& node) { store_.Overwrite(AliveKeyOf(node), "1"); }
  pb::ReplicaStatus& Answers(const Member& member) {
    nodes_.down.erase(member.node);
    nodes_.replicas[member.node].resize(1);
    pb::ReplicaStatus& status = nodes_.replicas[member.node].front();
    status.set_installing(false);
    status.set_partition_id(std::string(partition_.bytes()));
    status.set_replica_id(std::string(member.replica.bytes()));
    status.set_epoch(7);
    status.set_durable_epoch(6);
    status.set_durable_index(100);
    status.set_durable_time_us(1'700'000'000'000'000);
    status.set_commit_index(99);
    status.set_applied_index(99);
    status.set_applied_time_us(1'699'999'999'000'000);
    return status;
  }
  v1::RecoverGroupRequest Request() const {
    v1::RecoverGroupRequest request;
    request.set_partition_id(partition_.ToHex());
    return request;
  }
  v1::RecoverGroupRequest Acceptance() const {
    v1::RecoverGroupRequest request = Request();
    request.set_accept_data_loss(true);
    request.set_epoch(7);
    request.set_survivor(config_.members[2].replica.ToHex());
    request.add_lost_nodes("b");
    request.add_lost_nodes("a");
    return request;
  }
  v1::RecoverGroupRequest Acknowledgement(uint64_t epoch) const {
    v1::RecoverGroupRequest request = Request();
    request.set_acknowledge(true);
    request.set_epoch(epoch);
    return request;
  }
  absl::StatusOr<v1::RecoverGroupResponse> Ask(const v1::RecoverGroupRequest& request) {
    return RecoverGroup(
        {store_, nodes_, random_, map_, disks_, key_, absl::FromUnixSeconds(1'800'000'000)},
        request);
  }
  GroupConfig Stored() {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == GroupKey()) return *replication::DecodeGroupConfig(row.value);
    }
    return {};
  }
  // The first member swaps itself in.
  GroupConfig Lead() {
    GroupConfig led = Stored();
    led.epoch = led.epoch + 1;
    led.leader = led.members.front().replica;
    led.session = SessionId::Draw(random_);
    store_.Overwrite(GroupKey(), replication::EncodeGroupConfig(led));
    return led;
  }
  void ExpectUnchanged() {
    EXPECT_EQ(Stored(), config_);
    EXPECT_TRUE(ListRecoveries(store_)->empty());
  }
  void ExpectRefused(const v1::RecoverGroupRequest& request, absl::StatusCode code,
                     const std::string& why) {
    const absl::Status refused = Ask(request).status();
    EXPECT_EQ(refused.code(), code) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), why)) << refused;
    ExpectUnchanged();
  }

  SystemRandom random_;
  tenancy::TestStore store_;
  FakeNodes nodes_;
  const PartitionId partition_ = PartitionId::Draw(random_);
  const AccessKeyId key_ = AccessKeyId::Draw(random_);
  GroupConfig config_;
  std::vector<tenancy::PartitionRange> map_{{partition_, "", ""}};
  std::vector<replication::PlacementDisk> disks_;
};

TEST_F(RecoverGroupTest, ShowsAndChangesNothing) {
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->epoch(), 7u);
  EXPECT_EQ(shown->refusal(), "");
  EXPECT_EQ(shown->survivor(), config_.members[2].replica.ToHex());
  ASSERT_EQ(shown->members_size(), 3);
  EXPECT_FALSE(shown->members(0).answers());
  EXPECT_TRUE(shown->members(0).is_gone());
  EXPECT_EQ(shown->members(0).problem(), "down");
  const v1::RecoveryMember& survivor = shown->members(2);
  EXPECT_TRUE(survivor.answers());
  EXPECT_EQ(survivor.last_epoch(), 6u);
  EXPECT_EQ(survivor.last_index(), 100u);
  EXPECT_EQ(survivor.last_entry_time().seconds(), 1'700'000'000);
  EXPECT_EQ(survivor.commit_index(), 99u);
  EXPECT_EQ(survivor.applied_time().seconds(), 1'699'999'999);
  EXPECT_FALSE(shown->has_recovery());
  ExpectUnchanged();
}

TEST_F(RecoverGroupTest, TheSurvivorBecomesTheOnlyMemberAndThatStaysToBeSeen) {
  const auto done = Ask(Acceptance());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(Stored(), replication::RecoveredConfig(config_, config_.members[2]));
  const auto recoveries = ListRecoveries(store_);
  ASSERT_TRUE(recoveries.ok());
  ASSERT_EQ(recoveries->at(partition_).size(), 1u);
  const v1::GroupRecovery& recovery = recoveries->at(partition_).front();
  EXPECT_EQ(recovery.SerializeAsString(), done->recovery().SerializeAsString());
  EXPECT_EQ(recovery.time().seconds(), 1'800'000'000);
  EXPECT_EQ(recovery.access_key_id(), key_.ToHex());
  EXPECT_EQ(recovery.epoch(), 8u);
  EXPECT_EQ(recovery.survivor_node(), "c");
  EXPECT_EQ(recovery.last_index(), 100u);
  ASSERT_EQ(recovery.given_up_size(), 2);
  EXPECT_EQ(recovery.given_up(0).id(), config_.members[0].replica.ToHex());
  EXPECT_TRUE(recovery.given_up(0).lost());
}

// The answer was lost, and the client asks again; by then the survivor leads a later epoch.
TEST_F(RecoverGroupTest, ARepeatedRequestIsAnsweredWithWhatWasDone) {
  const auto first = Ask(Acceptance());
  ASSERT_TRUE(first.ok()) << first.status();
  const GroupConfig led = Lead();
  const auto again = Ask(Acceptance());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->recovery().SerializeAsString(), first->recovery().SerializeAsString());
  EXPECT_EQ(Stored(), led);
}

TEST_F(RecoverGroupTest, IsSeenUntilItIsAcknowledged) {
  ASSERT_TRUE(Ask(Acceptance()).ok());
  Lead();
  ASSERT_TRUE(Ask(Acknowledgement(8)).ok());
  EXPECT_TRUE(ListRecoveries(store_)->empty());
  EXPECT_TRUE(Ask(Acknowledgement(8)).ok());
}

TEST_F(RecoverGroupTest, ARecoveryThatNobodyHasSeenIsNotAcknowledged) {
  std::vector<v1::GroupRecovery> recoveries(2);
  recoveries[0].set_epoch(8);
  recoveries[1].set_epoch(12);
  store_.Overwrite(RecoveredKeyOf(partition_), EncodeRecoveries(recoveries));
  ASSERT_TRUE(Ask(Acknowledgement(7)).ok());
  EXPECT_EQ(ListRecoveries(store_)->at(partition_).size(), 2u);
  ASSERT_TRUE(Ask(Acknowledgement(8)).ok());
  ASSERT_EQ(ListRecoveries(store_)->at(partition_).size(), 1u);
  EXPECT_EQ(ListRecoveries(store_)->at(partition_).front().epoch(), 12u);
  // One of a newer program, that this one shows without what it says.
  store_.Overwrite(RecoveredKeyOf(partition_), "\x08\x02");
  EXPECT_TRUE(absl::IsFailedPrecondition(Ask(Acknowledgement(12)).status()));
  EXPECT_EQ(ListRecoveries(store_)->at(partition_).size(), 1u);
}

TEST_F(RecoverGroupTest, WhatTheRequestLacksIsNamed) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  v1::RecoverGroupRequest request = Request();
  request.set_partition_id("tenants/acme");
  ExpectRefused(request, invalid, "partition_id");
  request = Acceptance();
  request.clear_lost_nodes();
  ExpectRefused(request, invalid, "lost_nodes");
  request = Acceptance();
  request.clear_epoch();
  ExpectRefused(request, invalid, "epoch");
  request = Acceptance();
  request.clear_survivor();
  ExpectRefused(request, invalid, "survivor");
  request = Acceptance();
  request.set_acknowledge(true);
  ExpectRefused(request, invalid, "acknowledge");
  ExpectRefused(Acknowledgement(0), invalid, "epoch");
}

TEST_F(RecoverGroupTest, AnUnknownGroupIsNotFound) {
  v1::RecoverGroupRequest request = Acceptance();
  request.set_partition_id(PartitionId::Draw(random_).ToHex());
  ExpectRefused(request, absl::StatusCode::kNotFound, request.partition_id());
}

TEST_F(RecoverGroupTest, OtherLostNodesThanThereAreAreRefused) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  v1::RecoverGroupRequest request = Acceptance();
  request.mutable_lost_nodes()->RemoveLast();
  ExpectRefused(request, invalid, "members on a,b do not answer");
  request.add_lost_nodes("c");
  ExpectRefused(request, invalid, "given up were b,c");
  request = Acceptance();
  request.add_lost_nodes("c");
  ExpectRefused(request, invalid, "lost_nodes");
  request = Acceptance();
  request.add_lost_nodes("a");
  ExpectRefused(request, invalid, "lost_nodes");
}

TEST_F(RecoverGroupTest, WhatIsNotAsShownIsRefused) {
  v1::RecoverGroupRequest request = Acceptance();
  request.set_epoch(6);
  ExpectRefused(request, absl::StatusCode::kAborted, "epoch 7");
  request = Acceptance();
  request.set_survivor(config_.members[0].replica.ToHex());
  ExpectRefused(request, absl::StatusCode::kAborted, config_.members[2].replica.ToHex());
}

TEST_F(RecoverGroupTest, AGroupWithAQuorumIsRefused) {
  Answers(config_.members[1]);
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok());
  EXPECT_TRUE(absl::StrContains(shown->refusal(), "a quorum")) << shown->refusal();
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "a quorum");
}

TEST_F(RecoverGroupTest, WithoutAWholeSurvivorItIsRefused) {
  nodes_.replicas["c"].front().set_installing(true);
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "nothing to recover");
  nodes_.replicas["c"].front().set_installing(false);
  nodes_.replicas["c"].front().set_problem("EIO");
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "nothing to recover");
  nodes_.down.insert("c");
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "nothing to recover");
}

TEST_F(RecoverGroupTest, AProgramThatDoesNotTellWhatItHasIsNoSurvivor) {
  nodes_.replicas["c"].front().clear_durable_index();
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "nothing to recover");
}

// It may lead with the other one that does not answer here.
TEST_F(RecoverGroupTest, AMemberWhoseNodeIsAnnouncedIsNotGivenUp) {
  Announce("a");
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok());
  EXPECT_FALSE(shown->members(0).is_gone());
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "a may still run");
}

TEST_F(RecoverGroupTest, ANodeThatRunsWithAnotherDiskHasLostTheOldOne) {
  Announce("a");
  StoreNode({config_.members[0].replica, "a", DiskId::Draw(random_)});
  EXPECT_TRUE(Ask(Acceptance()).ok());
}

// Its process may have the disk open still, and lead.
TEST_F(RecoverGroupTest, ADiskThatWasTakenOutIsGoneOnceItsNodeShowsItNoMore) {
  store_.Overwrite(DiskKeyOf(config_.members[0].disk),
                   EncodeDiskRecord({"a", 1, OpeningId::Draw(random_), /*removed=*/true}));
  Announce("a");
  ExpectRefused(Acceptance(), absl::StatusCode::kFailedPrecondition, "a may still run");
  StoreNode({config_.members[0].replica, "a", DiskId::Draw(random_)});
  EXPECT_TRUE(Ask(Acceptance()).ok());
}

TEST_F(RecoverGroupTest, ANodeThatShowsTheDiskAgainMeanwhileKeepsTheGroupAsItIs) {
  Announce("a");
  StoreNode({config_.members[0].replica, "a", DiskId::Draw(random_)});
  store_.before_commit = [this] { StoreNode(config_.members[0]); };
  ExpectRefused(Acceptance(), absl::StatusCode::kAborted, "changed meanwhile");
}

TEST_F(RecoverGroupTest, ANodeThatWasRemovedIsGone) {
  const std::string key = NodeKeyOf("a");
  for (const coordination::KeyValue& row : store_.Rows()) {
    if (row.key != key) continue;
    ASSERT_TRUE(CommitTo(store_, {{{key, row.mod_revision}}, {{key, std::nullopt}}}).ok());
  }
  EXPECT_TRUE(Ask(Acceptance()).ok());
}

// Between the look and the transaction.
TEST_F(RecoverGroupTest, ALostNodeThatStartsMeanwhileKeepsTheGroupAsItIs) {
  store_.before_commit = [this] { Announce("b"); };
  ExpectRefused(Acceptance(), absl::StatusCode::kAborted, "changed meanwhile");
}

TEST_F(RecoverGroupTest, AGroupThatIsLedAnewMeanwhileStaysAsItIs) {
  store_.before_commit = [this] {
    config_.epoch = Epoch(8);
    store_.Overwrite(GroupKey(), replication::EncodeGroupConfig(config_));
  };
  ExpectRefused(Acceptance(), absl::StatusCode::kAborted, "changed meanwhile");
}

// A split or a merge goes on by what the partition's state was seen to be.
TEST_F(RecoverGroupTest, APartitionWhoseRecordChangesMeanwhileStaysAsItIs) {
  PartitionRecord record{TenantId::Draw(random_), ContainerId::Draw(random_), "east"};
  record.parent = PartitionId::Draw(random_);
  store_.Overwrite(PartitionKeyOf(partition_), EncodePartitionRecord(record));
  store_.before_commit = [&] {
    record.serves = true;
    store_.Overwrite(PartitionKeyOf(partition_), EncodePartitionRecord(record));
  };
  ExpectRefused(Acceptance(), absl::StatusCode::kAborted, "changed meanwhile");
}

TEST_F(RecoverGroupTest, ARecordThatCannotBeReadIsSeenAndKeepsTheGroupAsItIs) {
  store_.Overwrite(RecoveredKeyOf(partition_), "\x08\x02");
  EXPECT_EQ(ListRecoveries(store_)->at(partition_).size(), 1u);
  EXPECT_TRUE(absl::IsFailedPrecondition(Ask(Acceptance()).status()));
  EXPECT_EQ(Stored(), config_);
}

TEST_F(RecoverGroupTest, WithoutTheStoreNothingIsDone) {
  store_.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(Ask(Acceptance()).status()));
  EXPECT_TRUE(absl::IsUnavailable(Ask(Request()).status()));
  store_.reachable = true;
  ExpectUnchanged();
}

TEST_F(RecoverGroupTest, APartitionThatIsBeingSplitOffNamesTheOneToRecoverFirst) {
  PartitionRecord record{TenantId::Draw(random_), ContainerId::Draw(random_), "east"};
  record.parent = PartitionId::Draw(random_);
  store_.Overwrite(PartitionKeyOf(partition_), EncodePartitionRecord(record));
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok());
  ASSERT_EQ(shown->notes_size(), 1);
  EXPECT_TRUE(absl::StrContains(shown->notes(0), record.parent->ToHex())) << shown->notes(0);
}

TEST_F(RecoverGroupTest, ASurvivorThatOwnsOtherNamesThanTheMapGivesItIsTold) {
  const PartitionId child = PartitionId::Draw(random_);
  pb::ReplicaStatus& survivor = nodes_.replicas["c"].front();
  survivor.set_names_start("");
  EXPECT_EQ(Ask(Request())->notes_size(), 0);
  map_ = {{partition_, "", "m"}, {child, "m", ""}};
  auto shown = Ask(Request());
  ASSERT_EQ(shown->notes_size(), 1);
  EXPECT_TRUE(absl::StrContains(shown->notes(0), child.ToHex())) << shown->notes(0);
  EXPECT_EQ(shown->refusal(), "");
  survivor.set_names_end("m");
  EXPECT_EQ(Ask(Request())->notes_size(), 0);
  map_ = {{partition_, "", ""}};
  shown = Ask(Request());
  ASSERT_EQ(shown->notes_size(), 1);
  EXPECT_TRUE(absl::StrContains(shown->notes(0), "given names away")) << shown->notes(0);
}

TEST_F(RecoverGroupTest, ARecoveryThatNobodyHasTakenUpIsNotAcknowledged) {
  ASSERT_TRUE(Ask(Acceptance()).ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(Ask(Acknowledgement(8)).status()));
  EXPECT_EQ(ListRecoveries(store_)->size(), 1u);
}

// A partition of which c, too, has nothing. d, e and f are there.
class BeginAnewTest : public RecoverGroupTest {
 protected:
  BeginAnewTest() {
    nodes_.down.insert("c");
    RemoveAnnouncement("c");
    record_.redundancy = tenancy::Redundancy::kLrs;
    store_.Overwrite(PartitionKeyOf(partition_), EncodePartitionRecord(record_));
    for (const char* node : {"d", "e", "f"}) {
      Announce(node);
      disks_.push_back({node, "east-1", "east", DiskId::Draw(random_)});
    }
  }
  void RemoveAnnouncement(const NodeId& node) {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key != AliveKeyOf(node)) continue;
      ASSERT_TRUE(CommitTo(store_, {{{row.key, row.mod_revision}}, {{row.key, {}}}}).ok());
    }
  }
  v1::RecoverGroupRequest Beginning() const {
    v1::RecoverGroupRequest request = Acceptance();
    request.clear_survivor();
    request.set_begin_empty(true);
    request.add_lost_nodes("c");
    return request;
  }
  // Another partition of the container, on d, where its leader owns these names.
  pb::ReplicaStatus& Other(const std::string& start, const std::string& end) {
    map_ = {{other_, "", "m"}, {partition_, "m", ""}};
    const Member member{ReplicaId::Draw(random_), "d", DiskId::Draw(random_)};
    StoreNode(member);
    others_.epoch = Epoch(5);
    others_.members = {member};
    others_.leader = member.replica;
    StoreOther();
    pb::ReplicaStatus& status = nodes_.replicas["d"].emplace_back();
    status.set_partition_id(std::string(other_.bytes()));
    status.set_replica_id(std::string(member.replica.bytes()));
    status.set_epoch(5);
    status.set_is_serving(true);
    status.set_installing(false);
    status.set_durable_index(1);
    status.set_names_start(start);
    status.set_names_end(end);
    return status;
  }
  void StoreOther() {
    store_.Overwrite(replication::GroupConfigKey(other_), replication::EncodeGroupConfig(others_));
  }
  void ExpectMayNotBegin(absl::StatusCode code, const std::string& why) {
    const auto shown = Ask(Request());
    ASSERT_TRUE(shown.ok()) << shown.status();
    EXPECT_FALSE(shown->may_begin_empty());
    ExpectRefused(Beginning(), code, why);
  }
  PartitionRecord Record() {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == PartitionKeyOf(partition_)) return *DecodePartitionRecord(row.value);
    }
    return {};
  }

  PartitionRecord record_{TenantId::Draw(random_), ContainerId::Draw(random_), "east"};
  const PartitionId other_ = PartitionId::Draw(random_);
  GroupConfig others_;
};

TEST_F(BeginAnewTest, OneNewReplicaWithoutAnythingIsTheGroup) {
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_TRUE(shown->may_begin_empty());
  EXPECT_EQ(shown->survivor(), "");
  ExpectUnchanged();
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  const GroupConfig next = Stored();
  EXPECT_EQ(next.epoch, Epoch(8));
  EXPECT_TRUE(next.leader.is_nil());
  ASSERT_EQ(next.members.size(), 1u);
  EXPECT_FALSE(config_.Names(next.members.front().replica));
  const bool placed = std::any_of(disks_.begin(), disks_.end(), [&](const auto& disk) {
    return disk.disk == next.members.front().disk && disk.node == next.members.front().node;
  });
  EXPECT_TRUE(placed);
  EXPECT_EQ(Record(), record_);
  const v1::GroupRecovery recovery = ListRecoveries(store_)->at(partition_).front();
  EXPECT_TRUE(recovery.began_empty());
  EXPECT_EQ(recovery.begins_with(), "");
  EXPECT_EQ(recovery.survivor(), next.members.front().replica.ToHex());
  EXPECT_EQ(recovery.given_up_size(), 3);
  // Once more: it is done already.
  const auto again = Ask(Beginning());
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->recovery().SerializeAsString(), recovery.SerializeAsString());
  EXPECT_EQ(Stored(), next);
}

TEST_F(BeginAnewTest, IsRefusedWhereAMemberHasSomethingOrMayRun) {
  const auto refused = absl::StatusCode::kFailedPrecondition;
  Announce("c");
  EXPECT_FALSE(Ask(Request())->may_begin_empty());
  ExpectRefused(Beginning(), refused, "c may still run");
  Answers(config_.members[2]);
  EXPECT_FALSE(Ask(Request())->may_begin_empty());
  ExpectRefused(Beginning(), refused, "is whole");
}

// It has lost what it had, or never had all of it.
TEST_F(BeginAnewTest, AMemberThatIsBeingInstalledIsGivenUpToo) {
  Announce("c");
  Answers(config_.members[2]).set_installing(true);
  v1::RecoverGroupRequest request = Beginning();
  request.mutable_lost_nodes()->RemoveLast();
  const auto done = Ask(request);
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(Stored().members.size(), 1u);
}

TEST_F(BeginAnewTest, WhatTheRequestHasTooMuchOrTooLittleIsNamed) {
  const auto invalid = absl::StatusCode::kInvalidArgument;
  v1::RecoverGroupRequest request = Beginning();
  request.set_accept_data_loss(false);
  ExpectRefused(request, invalid, "begin_empty");
  request = Beginning();
  request.set_survivor(config_.members[2].replica.ToHex());
  ExpectRefused(request, invalid, "survivor");
  request = Beginning();
  request.mutable_lost_nodes()->RemoveLast();
  ExpectRefused(request, invalid, "a,b,c do not answer");
  map_.clear();
  ExpectRefused(Beginning(), absl::StatusCode::kFailedPrecondition, "map");
  map_ = {{partition_, "", ""}};
  disks_.pop_back();
  ExpectRefused(Beginning(), absl::StatusCode::kFailedPrecondition, "LRS needs a zone");
}

TEST_F(BeginAnewTest, ADiskThatANodeRunsWithoutIsNamedAsOneThatMayComeBack) {
  Announce("a");
  StoreNode({config_.members[0].replica, "a", DiskId::Draw(random_)});
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok()) << shown.status();
  ASSERT_GE(shown->notes_size(), 1);
  EXPECT_TRUE(absl::StrContains(
      shown->notes(0), absl::StrCat("a runs WITHOUT disk ", config_.members[0].disk.ToHex())))
      << shown->notes(0);
}

// Two that are both lost, each with a replica that was made empty, do not wait for each other.
TEST_F(BeginAnewTest, AReplicaOfAnotherThatHasNoEntryYetIsNotWaitedFor) {
  pb::ReplicaStatus& status = Other("", "");
  status.set_is_serving(false);
  status.set_durable_index(0);
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->recovery().begins_with(), "");
}

// P7, P23: the log that it was recovered from ends before the split.
TEST_F(BeginAnewTest, WhatAnotherPartitionStillHasOfItsNamesItBeginsWith) {
  Other("", "");
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok() && shown->notes_size() == 1) << shown.status();
  EXPECT_TRUE(absl::StrContains(shown->notes(0), other_.ToHex())) << shown->notes(0);
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->recovery().begins_with(), other_.ToHex());
  EXPECT_EQ(done->recovery().survivor(), "");
  EXPECT_TRUE(Stored().leader.is_nil());
  EXPECT_EQ(Stored().epoch, Epoch(8));
  EXPECT_EQ(Record().parent, other_);
  // What was given up is named no more, whatever comes back.
  ASSERT_EQ(Stored().members.size(), 3u);
  for (const Member& member : Stored().members) EXPECT_FALSE(config_.Names(member.replica));
}

// The newest of those that have something takes the place of another that waits to make its split.
TEST_F(BeginAnewTest, TheParentThatItHadIsReplacedByTheOneItBeginsWith) {
  Other("", "");
  record_.parent = PartitionId::Draw(random_);
  record_.serves = true;
  store_.Overwrite(PartitionKeyOf(partition_), EncodePartitionRecord(record_));
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(Record().parent, other_);
  EXPECT_FALSE(Record().serves);
}

TEST_F(BeginAnewTest, OthersThatOwnTheirOwnNamesHaveNothingOfIt) {
  Other("", "m");
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->recovery().begins_with(), "");
}

TEST_F(BeginAnewTest, APartitionThatCouldBeRecoveredIsRecoveredFirst) {
  const auto refused = absl::StatusCode::kFailedPrecondition;
  pb::ReplicaStatus& status = Other("", "");
  status.clear_names_start();
  ExpectMayNotBegin(refused, "d does not tell");
  status.set_is_serving(false);
  ExpectMayNotBegin(refused, other_.ToHex());
  nodes_.down.insert("d");
  ExpectMayNotBegin(refused, "d runs and does not tell");
}

// It restarts, or drains: nothing says that it has nothing.
TEST_F(BeginAnewTest, AnotherWhoseNodeIsNotAnnouncedHasToBeGivenUpByName) {
  Other("", "");
  nodes_.down.insert("d");
  RemoveAnnouncement("d");
  const auto shown = Ask(Request());
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->lost_nodes_size(), 4);
  ExpectRefused(Beginning(), absl::StatusCode::kInvalidArgument, "a,b,c,d do not answer");
  v1::RecoverGroupRequest request = Beginning();
  request.add_lost_nodes("d");
  store_.before_commit = [this] { Announce("d"); };
  ExpectRefused(request, absl::StatusCode::kAborted, "changed meanwhile");
  RemoveAnnouncement("d");
  EXPECT_TRUE(Ask(request).ok());
}

TEST_F(BeginAnewTest, AnotherThatAnswersWithoutBeingAnnouncedIsHeard) {
  Other("", "");
  RemoveAnnouncement("d");
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->recovery().begins_with(), other_.ToHex());
}

TEST_F(BeginAnewTest, AReplicaThatIsNotOpenOrInTroubleIsNotTakenForNothing) {
  Other("", "").set_problem("EIO");
  ExpectMayNotBegin(absl::StatusCode::kFailedPrecondition, "EIO");
  nodes_.replicas["d"].clear();
  ExpectMayNotBegin(absl::StatusCode::kFailedPrecondition, "d runs and does not tell");
}

// Cut off from the store, it still believes that it serves what its log has.
TEST_F(BeginAnewTest, AnOldLeaderDoesNotSpeakForItsPartition) {
  Other("", "m");
  others_.epoch = Epoch(6);
  StoreOther();
  ExpectMayNotBegin(absl::StatusCode::kFailedPrecondition, "it has no leader");
  const Member survivor{ReplicaId::Draw(random_), "e", DiskId::Draw(random_)};
  others_.members = {survivor};
  others_.leader = survivor.replica;
  StoreOther();
  pb::ReplicaStatus& status = nodes_.replicas["e"].emplace_back(nodes_.replicas["d"].front());
  status.set_replica_id(std::string(survivor.replica.bytes()));
  status.set_epoch(6);
  status.set_names_end("");
  const auto done = Ask(Beginning());
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->recovery().begins_with(), other_.ToHex());
}

TEST_F(BeginAnewTest, AnotherThatIsRecoveredOrLedAnewMeanwhileIsAskedAgain) {
  Other("", "m");
  store_.before_commit = [this] {
    others_.epoch = Epoch(6);
    StoreOther();
  };
  ExpectRefused(Beginning(), absl::StatusCode::kAborted, "changed meanwhile");
}

v1::GroupRecovery GoldenRecovery() {
  v1::GroupRecovery recovery;
  recovery.mutable_time()->set_seconds(5);
  recovery.set_access_key_id("k");
  recovery.set_epoch(8);
  recovery.set_survivor("s");
  recovery.set_survivor_node("c");
  recovery.set_last_epoch(6);
  recovery.set_last_index(100);
  recovery.mutable_last_entry_time()->set_seconds(4);
  v1::LostReplica& lost = *recovery.add_given_up();
  lost.set_id("i");
  lost.set_node("a");
  lost.set_disk_id("d");
  lost.set_lost(true);
  return recovery;
}

// The record of version 1, as every later version must read it.
TEST(RecoveriesRecord, IsAsTheGoldenBytes) {
  const std::string golden =
      "\x08\x01\x12\x24\x0a\x02\x08\x05\x12\x01k\x18\x08\x22\x01s\x2a\x01"
      "c\x30\x06\x38\x64"
      "\x42\x02\x08\x04\x4a\x0b\x0a\x01i\x12\x01"
      "a\x1a\x01"
      "d\x20\x01";
  EXPECT_EQ(EncodeRecoveries({GoldenRecovery()}), golden);
  const auto decoded = DecodeRecoveries(golden);
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), 1u);
  EXPECT_EQ(decoded->front().SerializeAsString(), GoldenRecovery().SerializeAsString());
}

TEST(RecoveriesRecord, KeepsTheNewest) {
  std::vector<v1::GroupRecovery> recoveries(20, GoldenRecovery());
  for (size_t i = 0; i < recoveries.size(); ++i) recoveries[i].set_epoch(i);
  const auto decoded = DecodeRecoveries(EncodeRecoveries(recoveries));
  ASSERT_TRUE(decoded.ok()) << decoded.status();
  ASSERT_EQ(decoded->size(), 16u);
  EXPECT_EQ(decoded->front().epoch(), 4u);
  EXPECT_EQ(decoded->back().epoch(), 19u);
}

TEST(RecoveriesRecord, GarbageAndOtherVersionsAreRefused) {
  EXPECT_EQ(DecodeRecoveries("\xff\xff").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeRecoveries("").status().code(), absl::StatusCode::kFailedPrecondition);
  const std::string field("\xa2\x06\x01x", 4);  // 100: "x"
  EXPECT_EQ(DecodeRecoveries(EncodeRecoveries({GoldenRecovery()}) + field).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

}  // namespace
}  // namespace meridian::server
