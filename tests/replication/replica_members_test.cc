// Changes of members over whole replicas: snapshots, chunks, reads and writes go on (P4, I1, I4).
#include <gtest/gtest.h>

#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

const std::string kBytes(1000, 'c');

class ReplicaMembersTest : public testing::Test {
 protected:
  absl::Status ChangeMembers(int leader, const std::vector<int>& members) {
    std::vector<Member> wanted;
    for (int n : members) wanted.push_back(MemberOf(n));
    std::optional<absl::Status> result;
    group_.replica(leader).ChangeMembers(wanted, [&](absl::Status status) { result = status; });
    group_.RunUntil([&] { return result.has_value(); });
    return *result;
  }
  // Whether the group has come to have these members, and only these, within a time.
  bool Reaches(const std::vector<int>& members) {
    for (int tries = 0; tries < 600; ++tries) {
      int leader = group_.Leader();
      if (leader == 0) return false;
      GroupConfig config = group_.Status(leader).config;
      std::vector<Member> wanted;
      for (int n : members) wanted.push_back(MemberOf(n));
      if (config.members == wanted && config.joint_old.empty() && config.learners.empty()) {
        return true;
      }
      group_.RunFor(absl::Milliseconds(50));
    }
    return false;
  }

  ReplicaGroup group_{3};
};

TEST_F(ReplicaMembersTest, NewMembersHoldEverythingAndTheOldOnesAreNotNeeded) {
  ASSERT_EQ(group_.Leader(), 1);
  std::vector<RunId> runs;
  for (int i = 0; i < 30; ++i) {
    runs.push_back(group_.NewRun());
    ASSERT_TRUE(group_.PutRun(1, runs.back(), 3, kBytes).ok());
  }
  group_.RunFor(absl::Seconds(2));
  group_.Add(4);
  group_.Add(5);
  ASSERT_TRUE(ChangeMembers(1, {1, 4, 5}).ok());
  for (int i = 0; i < 30; ++i) {
    runs.push_back(group_.NewRun());
    ASSERT_TRUE(group_.PutRun(1, runs.back(), 3, kBytes).ok());
    ASSERT_TRUE(group_.ConfirmRead(1).ok());
  }
  ASSERT_TRUE(Reaches({1, 4, 5}));
  EXPECT_EQ(group_.Status(1).counters.leaderships_lost, 0u);
  group_.Crash(2);
  group_.Crash(3);
  ASSERT_TRUE(group_.Propose(1, "put after v").ok());
  group_.RunFor(absl::Seconds(2));
  const auto digest = group_.Digest(1);
  ASSERT_TRUE(digest.ok());
  for (int n : {4, 5}) {
    EXPECT_EQ(group_.Digest(n)->second, digest->second);
    for (const RunId& run : runs) {
      for (uint32_t chunk = 0; chunk < 3; ++chunk) {
        auto bytes = group_.replica(n).ReadChunk({run, chunk}, 0, kBytes.size(), absl::Seconds(1));
        ASSERT_TRUE(bytes.ok()) << bytes.status();
        EXPECT_EQ(bytes->view(), kBytes);
      }
    }
  }
}

TEST_F(ReplicaMembersTest, AllMembersAreReplacedAndOneOfTheNewOnesLeads) {
  ASSERT_EQ(group_.Leader(), 1);
  RunId run = group_.NewRun();
  ASSERT_TRUE(group_.PutRun(1, run, 3, kBytes).ok());
  for (int n : {4, 5, 6}) group_.Add(n);
  ASSERT_TRUE(ChangeMembers(1, {4, 5, 6}).ok());
  ASSERT_TRUE(Reaches({4, 5, 6}));
  for (int n : {1, 2, 3}) group_.Crash(n);
  int leader = group_.Leader();
  ASSERT_GE(leader, 4);
  ASSERT_TRUE(group_.Propose(leader, "put a v").ok());
  auto bytes = group_.replica(leader).ReadChunk({run, 2}, 0, kBytes.size(), absl::Seconds(1));
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->view(), kBytes);
}

// A group in which a new member takes the place of the third, until `reached` of the leader's
// configuration, and `later`; then the leader dies.
struct Interrupted {
  Interrupted(const std::function<bool(const GroupConfig&)>& reached, absl::Duration later) {
    EXPECT_EQ(group.Leader(), 1);
    run = group.NewRun();
    EXPECT_TRUE(group.PutRun(1, run, 3, kBytes).ok());
    group.Add(4);
    group.replica(1).ChangeMembers(Wanted(), [](const absl::Status&) {});
    for (int i = 0; i < 5000 && !reached(group.Status(1).config); ++i) {
      group.RunFor(absl::Milliseconds(1));
    }
    group.RunFor(later);
    at_end = group.Status(1).config;
    group.Crash(1);
  }
  static std::vector<Member> Wanted() { return {MemberOf(1), MemberOf(2), MemberOf(4)}; }
  bool Finishes() {
    for (int i = 0; i < 600; ++i) {
      const GroupConfig config = group.Status(group.Leader()).config;
      if (config.members == Wanted() && config.joint_old.empty()) return true;
      group.RunFor(absl::Milliseconds(50));
    }
    return false;
  }
  void ExpectAllThere() {
    group.Start(1);
    group.Crash(3);
    EXPECT_TRUE(group.Propose(group.Leader(), "put a v").ok());
    auto bytes = group.replica(4).ReadChunk({run, 2}, 0, kBytes.size(), absl::Seconds(1));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(bytes->view(), kBytes);
  }

  ReplicaGroup group{3};
  RunId run;
  GroupConfig at_end;
};

TEST(ReplicaMembersLeaderDies, WhoeverLeadsNextFinishesWhatIsJoint) {
  int joint = 0;
  for (int round = 0; round < 8; ++round) {
    Interrupted change([](const GroupConfig& config) { return !config.joint_old.empty(); },
                       absl::Microseconds(500) * round);
    joint += !change.at_end.joint_old.empty();
    EXPECT_TRUE(change.Finishes()) << round;  // nobody asks again
    change.ExpectAllThere();
  }
  EXPECT_GT(joint, 0);
}

TEST(ReplicaMembersLeaderDies, WhatIsNotJointYetIsAskedForAgain) {
  for (int round = 0; round < 4; ++round) {
    Interrupted change([](const GroupConfig& config) { return !config.learners.empty(); },
                       absl::Milliseconds(20) * round);
    EXPECT_TRUE(change.at_end.joint_old.empty());
    const int leader = change.group.Leader();
    ASSERT_GE(leader, 2);
    change.group.RunFor(absl::Seconds(3));
    EXPECT_EQ(change.group.Status(leader).config.members.back(), MemberOf(3));
    change.group.replica(leader).ChangeMembers(
        Interrupted::Wanted(), [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
    EXPECT_TRUE(change.Finishes()) << round;
    change.ExpectAllThere();
  }
}

// Two that are rebuilt at once have nothing to say of chunks that the voters have no time for.
TEST_F(ReplicaMembersTest, WhatAnotherLearnerLacksIsNotLost) {
  ASSERT_EQ(group_.Leader(), 1);
  RunId run = group_.NewRun();
  ASSERT_TRUE(group_.PutRun(1, run, 3, kBytes).ok());
  for (int n = 1; n <= 3; ++n) group_.faults(n).busy_reads = true;
  for (int n : {4, 5}) group_.Add(n);
  ASSERT_TRUE(ChangeMembers(1, {1, 4, 5}).ok());
  group_.RunFor(absl::Minutes(10));
  for (int n : {4, 5}) {
    EXPECT_EQ(group_.Status(n).counters.chunks_lost, 0u);
    EXPECT_GT(group_.Status(n).chunks_awaited, 0u);
  }
  // Silent ones, likewise.
  for (int n = 1; n <= 3; ++n) group_.faults(n).busy_reads = false;
  group_.filter = [](int from, int, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    return from > 3 || !body.ok() || !std::holds_alternative<ChunkFetchReply>(*body);
  };
  group_.RunFor(absl::Minutes(10));
  for (int n : {4, 5}) EXPECT_EQ(group_.Status(n).counters.chunks_lost, 0u);
  group_.filter = nullptr;
  ASSERT_TRUE(ChangeMembers(1, {1, 4, 5}).ok());
  ASSERT_TRUE(Reaches({1, 4, 5}));
  for (int n : {4, 5}) {
    auto bytes = group_.replica(n).ReadChunk({run, 2}, 0, kBytes.size(), absl::Seconds(1));
    ASSERT_TRUE(bytes.ok()) << bytes.status();
    EXPECT_EQ(bytes->view(), kBytes);
  }
}

// The last good copy may be on a disk that the group has left.
TEST_F(ReplicaMembersTest, ALostChunkIsSearchedForOnMembersThatHaveLeft) {
  ASSERT_EQ(group_.Leader(), 1);
  RunId run = group_.NewRun();
  ASSERT_TRUE(group_.PutRun(1, run, 1, kBytes).ok());
  auto flip = [&](int n) {
    SeededRandom random(1);
    ASSERT_TRUE(group_.disk(n).FlipBit({run, 0}, random));
  };
  for (int n = 1; n <= 3; ++n) flip(n);
  group_.Add(4);
  ASSERT_TRUE(ChangeMembers(1, {1, 3, 4}).ok());
  ASSERT_TRUE(Reaches({1, 3, 4}));
  EXPECT_EQ(group_.Status(4).chunks_without_copy, 1u);
  group_.RunFor(absl::Minutes(3));
  EXPECT_EQ(group_.Status(4).chunks_without_copy, 1u);
  // Its answers are not taken for a stranger's.
  EXPECT_TRUE(group_.replica(4).HasMember(IdOf(2), "n2"));
  EXPECT_FALSE(group_.replica(4).HasMember(IdOf(2), "n3"));
  EXPECT_FALSE(group_.replica(4).HasMember(IdOf(5), "n5"));
  flip(2);  // good again
  group_.RunFor(absl::Minutes(3));
  EXPECT_EQ(group_.Status(4).chunks_without_copy, 0u);
  auto bytes = group_.replica(4).ReadChunk({run, 0}, 0, kBytes.size(), absl::Seconds(1));
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->view(), kBytes);
}

// The target changes while a new member is being rebuilt: it goes on where it stands.
// Each chunk asked of a member that is gone would wait for half a second before another is asked.
TEST_F(ReplicaMembersTest, AMemberThatIsGoneDoesNotHoldUpWhoTakesItsPlace) {
  ASSERT_EQ(group_.Leader(), 1);
  for (int i = 0; i < 300; ++i) ASSERT_TRUE(group_.PutRun(1, group_.NewRun(), 1, kBytes).ok());
  group_.RunFor(absl::Seconds(2));
  group_.Crash(1);
  const int leader = group_.Leader();
  ASSERT_TRUE(leader == 2 || leader == 3);
  group_.Add(4);
  const absl::Duration begin = group_.executor().MonotonicNow();
  ASSERT_TRUE(ChangeMembers(leader, {2, 3, 4}).ok());
  ASSERT_TRUE(Reaches({2, 3, 4}));
  EXPECT_LT(group_.executor().MonotonicNow() - begin, absl::Seconds(4));
  EXPECT_EQ(group_.Digest(4)->second, group_.Digest(leader)->second);
}

TEST_F(ReplicaMembersTest, ASnapshotGoesOnThroughEpochsThatItsLeaderRaises) {
  ASSERT_EQ(group_.Leader(), 1);
  ASSERT_TRUE(group_.PutRun(1, group_.NewRun(), 3, kBytes).ok());
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(group_.Propose(1, "put k" + std::to_string(i) + " " + std::string(5000, 'v')).ok());
  }
  group_.RunFor(absl::Seconds(5));
  std::set<uint64_t> snapshots;
  group_.filter = [&](int, int to, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    if (to == 5 && body.ok() && std::holds_alternative<SnapshotBegin>(*body)) {
      snapshots.insert(std::get<SnapshotBegin>(*body).snapshot);
    }
    return true;
  };
  for (int n = 1; n <= 3; ++n) group_.faults(n).busy_reads = true;
  group_.Add(5);
  ASSERT_TRUE(ChangeMembers(1, {1, 4, 5}).ok());  // 4 is never heard
  group_.RunFor(absl::Seconds(5));
  ASSERT_TRUE(group_.Status(5).installing);
  const Epoch before = group_.Status(1).epoch;
  group_.Add(6);
  ASSERT_TRUE(ChangeMembers(1, {1, 6, 5}).ok());
  group_.RunFor(absl::Seconds(5));
  EXPECT_GT(group_.Status(1).epoch, before);
  EXPECT_EQ(group_.Status(5).epoch, group_.Status(1).epoch);
  EXPECT_TRUE(group_.Status(5).installing);
  for (int n = 1; n <= 3; ++n) group_.faults(n).busy_reads = false;
  ASSERT_TRUE(Reaches({1, 6, 5}));
  EXPECT_EQ(snapshots.size(), 1u);
  EXPECT_EQ(group_.Status(5).counters.snapshots_installed, 1u);
  EXPECT_EQ(group_.Digest(5)->second, group_.Digest(1)->second);
}

TEST_F(ReplicaMembersTest, TellsHowLongAMemberIsSilent) {
  ASSERT_EQ(group_.Leader(), 1);
  group_.Isolate(3);
  group_.RunFor(absl::Seconds(5));
  const ReplicaStatus status = group_.Status(1);
  EXPECT_GE(status.silence.at(IdOf(3)), absl::Seconds(4));
  EXPECT_LT(status.silence.at(IdOf(2)), absl::Seconds(1));
  EXPECT_TRUE(absl::IsUnavailable(ChangeMembers(2, {1, 2, 3})));
  EXPECT_TRUE(absl::IsInvalidArgument(ChangeMembers(1, {})));
}

}  // namespace
}  // namespace meridian::replication
