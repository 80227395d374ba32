// The pure replica state machine as its members change (P4).
#include <gtest/gtest.h>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

using Strings = std::vector<std::string>;

// P4: learners first, then both quorums, then the new members; the leader serves all the while.
TEST(ReplicaCoreMembers, MembersAreReplacedOneStepAfterTheOther) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  std::vector<std::string> steps;
  cluster.allow_swap = [&](const GroupConfig& next) {
    steps.push_back(std::to_string(next.members.size()) + "+" +
                    std::to_string(next.joint_old.size()) + "+" +
                    std::to_string(next.learners.size()));
    for (const auto* set : {&next.members, &next.joint_old, &next.learners}) {
      for (const Member& member : *set) cluster.Start(member.replica);
    }
    return true;
  };
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(cluster.Propose(1, std::to_string(i)).ok());
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(1), MemberOf(4), MemberOf(5)}).ok());
  for (int i = 50; i < 100; ++i) {
    ASSERT_TRUE(cluster.Propose(1, std::to_string(i)).ok());
    cluster.Run(absl::Milliseconds(20));
  }
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(steps, (Strings{"3+0+2", "3+3+0", "3+0+0"}));
  EXPECT_EQ(cluster.node(1).leadership_lost, 0);
  EXPECT_EQ(cluster.node(5).disk.applied, cluster.node(1).disk.applied);
  // The old members are not needed any more.
  cluster.Crash(IdOf(2));
  cluster.Crash(IdOf(3));
  ASSERT_TRUE(cluster.Propose(1, "after").ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.node(4).applied.back(), "after");
}

// P4: a leader that is to leave hands over, and its successor finishes the change.
TEST(ReplicaCoreMembers, ALeaderOutsideTheNewMembersHandsOver) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int n = 4; n <= 6; ++n) cluster.Start(IdOf(n));
  ASSERT_TRUE(cluster.Propose(1, "a").ok());
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(4), MemberOf(5), MemberOf(6)}).ok());
  cluster.Run(absl::Seconds(1));  // less than an election timeout
  ASSERT_GE(cluster.Leader(), 4);
  EXPECT_TRUE(cluster.stored.joint_old.empty());
  EXPECT_EQ(cluster.stored.members, (std::vector{MemberOf(4), MemberOf(5), MemberOf(6)}));
  EXPECT_EQ(cluster.core(1).counters().hand_overs, 1u);
  EXPECT_EQ(cluster.node(6).disk.applied, cluster.node(4).disk.applied);
}

// P4: nothing is swapped before the epoch's entry has committed in a quorum of each set.
TEST(ReplicaCoreMembers, AJointMembershipEndsOnlyOnceItHasCommittedInBothSets) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int n = 4; n <= 6; ++n) cluster.Start(IdOf(n));
  cluster.allow_swap = [&](const GroupConfig& next) {
    bool becomes_joint = cluster.stored.joint_old.empty() && !next.joint_old.empty();
    if (becomes_joint) cluster.node(5).hold_disk = cluster.node(6).hold_disk = true;
    return true;
  };
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(4), MemberOf(5), MemberOf(6)}).ok());
  cluster.Run(absl::Seconds(1));
  auto at = cluster.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Seconds(1));
  EXPECT_FALSE(cluster.stored.joint_old.empty());
  EXPECT_LT(cluster.core(1).commit_index(), at->index);
  cluster.node(5).hold_disk = false;
  cluster.Run(absl::Seconds(3));
  EXPECT_TRUE(cluster.stored.joint_old.empty());
  EXPECT_EQ(cluster.node(5).applied.back(), "a");
}

// P1: a swap whose outcome was lost is recognised by its session.
TEST(ReplicaCoreMembers, AMemberSwapOfUnknownOutcomeIsRecognised) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Start(IdOf(4));
  cluster.hide_swap_outcome = true;
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(1), MemberOf(2), MemberOf(4)}).ok());
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.stored.learners.size(), 1u);
  EXPECT_TRUE(cluster.core(1).config().learners.empty());
  cluster.hide_swap_outcome = false;
  cluster.core(1).OnConfig(cluster.stored, cluster.now);
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.stored.members, (std::vector{MemberOf(1), MemberOf(2), MemberOf(4)}));
  EXPECT_EQ(cluster.node(1).leadership_lost, 0);
}

// I12: nobody else can lead while the coordination store is down.
TEST(ReplicaCoreMembers, ALeaderThatLeavesServesUntilItsSuccessorHasSwapped) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int n = 4; n <= 6; ++n) cluster.Start(IdOf(n));
  // The joint configuration is the last that the store takes.
  cluster.allow_swap = [&](const GroupConfig&) { return cluster.stored.joint_old.empty(); };
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(4), MemberOf(5), MemberOf(6)}).ok());
  cluster.Run(absl::Seconds(5));
  ASSERT_FALSE(cluster.stored.joint_old.empty());
  EXPECT_GT(cluster.core(1).counters().hand_overs, 0u);
  EXPECT_EQ(cluster.Leader(), 1);
  auto at = cluster.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.core(1).commit_index(), at->index);
  cluster.allow_swap = nullptr;
  cluster.Run(absl::Seconds(5));
  EXPECT_GE(cluster.Leader(), 4);
  EXPECT_TRUE(cluster.stored.joint_old.empty());
}

// For balance, or a leader that is slow.
TEST(ReplicaCoreMembers, ALeaderMayOfferItsPlaceToAMemberThatKeepsUp) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Seconds(2));
  const int leader = cluster.Leader();
  const int other = leader == 2 ? 3 : 2;
  ASSERT_TRUE(cluster.Propose(leader, "a").ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(cluster.core(leader).OfferLeadership(IdOf(leader), cluster.now)));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(cluster.core(leader).OfferLeadership(IdOf(6), cluster.now)));
  EXPECT_TRUE(absl::IsUnavailable(cluster.core(other).OfferLeadership(IdOf(leader), cluster.now)));
  ASSERT_TRUE(cluster.core(leader).OfferLeadership(IdOf(other), cluster.now).ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.Leader(), other);
  EXPECT_TRUE(cluster.Propose(other, "b").ok());
}

// An entry a second, for so many; each is on node n's disk only after `delay`.
void ProposeWithASlowDisk(CoreCluster& cluster, const std::vector<int>& slow, absl::Duration delay,
                          int entries) {
  for (int i = 0; i < entries; ++i) {
    for (int n : slow) cluster.node(n).hold_disk = true;
    const int leader = cluster.Leader();
    if (leader != 0) {
      EXPECT_TRUE(cluster.Propose(leader, "a").ok());
    }
    cluster.Run(delay);
    for (int n : slow) cluster.node(n).hold_disk = false;
    cluster.Run(absl::Milliseconds(1100) - delay);
  }
}

TEST(ReplicaCoreMembers, ALeaderWithASlowDiskHandsOverToAFasterMemberAndDoesNotGetItBack) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Seconds(2));
  const int slow = cluster.Leader();
  const absl::Duration delay = absl::Milliseconds(300);
  ProposeWithASlowDisk(cluster, {slow}, delay, MemberPace::kSlowRounds - 2);
  EXPECT_EQ(cluster.Leader(), slow);
  ProposeWithASlowDisk(cluster, {slow}, delay, 6);
  const int fast = cluster.Leader();
  EXPECT_NE(fast, slow);
  EXPECT_EQ(cluster.core(slow).counters().hand_overs, 1u);
  // Nor for balance.
  EXPECT_TRUE(
      absl::IsFailedPrecondition(cluster.core(fast).OfferLeadership(IdOf(slow), cluster.now)));
  const Epoch epoch = cluster.stored.epoch;
  ProposeWithASlowDisk(cluster, {slow}, delay, 60);
  EXPECT_EQ(cluster.Leader(), fast);
  EXPECT_EQ(cluster.stored.epoch, epoch);
  // Once it is well again, it may.
  ProposeWithASlowDisk(cluster, {}, delay, 2);
  EXPECT_TRUE(cluster.core(fast).OfferLeadership(IdOf(slow), cluster.now).ok());
}

TEST(ReplicaCoreMembers, WhereAllDisksAreSlowTheLeaderStays) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Seconds(2));
  const int leader = cluster.Leader();
  ProposeWithASlowDisk(cluster, {1, 2, 3}, absl::Milliseconds(300), 30);
  EXPECT_EQ(cluster.Leader(), leader);
  EXPECT_EQ(cluster.core(leader).counters().hand_overs, 0u);
}

// The offer cannot be taken up: the slow leader serves on in its epoch (I12).
TEST(ReplicaCoreMembers, WithoutTheStoreASlowLeaderOffersAndServesOn) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Seconds(2));
  const int leader = cluster.Leader();
  const Epoch epoch = cluster.stored.epoch;
  cluster.store_up = false;
  constexpr int kEntries = 150;
  ProposeWithASlowDisk(cluster, {leader}, absl::Milliseconds(300), kEntries);
  EXPECT_EQ(cluster.Leader(), leader);
  EXPECT_EQ(cluster.core(leader).promised(), epoch);
  EXPECT_GT(cluster.core(leader).counters().hand_overs, 1u);
  EXPECT_LE(cluster.core(leader).counters().hand_overs, 3u);
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(cluster.node(n).applied.size(), size_t{kEntries});
}

// Two members whose disks are slow by turns: no faster than once a minute each.
TEST(ReplicaCoreMembers, TheLeadershipDoesNotGoBackAndForth) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Seconds(2));
  const absl::Duration begun = cluster.now;
  for (int i = 0; i < 20; ++i) {
    // Always who leads, long enough to be found slow.
    ProposeWithASlowDisk(cluster, {cluster.Leader()}, absl::Milliseconds(300), 13);
  }
  uint64_t hand_overs = 0;
  for (int n = 1; n <= 3; ++n) hand_overs += cluster.core(n).counters().hand_overs;
  const int64_t minutes = absl::ToInt64Minutes(cluster.now - begun);
  EXPECT_GE(hand_overs, 1u);
  EXPECT_LE(hand_overs, static_cast<uint64_t>(3 * (minutes + 1)));
}

// Else a healthy group would wait for a member that is dead.
TEST(ReplicaCoreMembers, ALearnerThatHasDiedIsNotPromoted) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int n = 4; n <= 5; ++n) cluster.Start(IdOf(n));
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(1), MemberOf(4), MemberOf(5)}).ok());
  cluster.Isolate(5);  // it catches up later than 4
  cluster.Run(absl::Seconds(1));
  ASSERT_EQ(cluster.stored.learners.size(), 2u);
  cluster.Crash(IdOf(4));
  cluster.Run(absl::Seconds(2));
  cluster.Heal();
  cluster.Run(absl::Seconds(5));
  EXPECT_TRUE(cluster.stored.joint_old.empty());
  EXPECT_EQ(cluster.stored.learners.size(), 2u);
  cluster.Start(IdOf(4));
  cluster.Run(absl::Seconds(5));
  EXPECT_EQ(cluster.stored.members, (std::vector{MemberOf(1), MemberOf(4), MemberOf(5)}));
}

// I12: a member that was away learns who the members are from the leader.
TEST(ReplicaCoreMembers, AMemberLearnsTheMembersWithoutTheStore) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Start(IdOf(4));
  cluster.Isolate(3);
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(1), MemberOf(3), MemberOf(4)}).ok());
  cluster.Run(absl::Seconds(5));
  ASSERT_EQ(cluster.stored.members, (std::vector{MemberOf(1), MemberOf(3), MemberOf(4)}));
  cluster.store_up = false;
  cluster.Heal();
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.core(3).config(), cluster.stored);
}

TEST(ReplicaCoreMembers, RefusesImpossibleMembers) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  EXPECT_TRUE(absl::IsUnavailable(cluster.core(2).ChangeMembers({MemberOf(4)})));
  EXPECT_TRUE(absl::IsInvalidArgument(cluster.core(1).ChangeMembers({})));
  EXPECT_TRUE(absl::IsInvalidArgument(cluster.core(1).ChangeMembers({MemberOf(4), MemberOf(4)})));
  Member elsewhere = MemberOf(4);
  elsewhere.node = MemberOf(1).node;
  // P6: a new replica in the place of another.
  EXPECT_TRUE(absl::IsInvalidArgument(cluster.core(1).ChangeMembers({elsewhere})));
  EXPECT_TRUE(absl::IsInvalidArgument(cluster.core(1).ChangeMembers({MemberOf(1), elsewhere})));
}

// Reads that wait while the members change are answered.
TEST(ReplicaCoreMembers, ReadsGoOnWhileTheMembersChange) {
  CoreCluster cluster(3);
  cluster.serve_snapshots = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Start(IdOf(4));
  ASSERT_TRUE(cluster.core(1).ChangeMembers({MemberOf(1), MemberOf(2), MemberOf(4)}).ok());
  uint64_t reads = 0;
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(cluster.core(1).ConfirmRead(++reads).ok());
    cluster.Run(absl::Milliseconds(10));
  }
  cluster.Run(absl::Milliseconds(200));
  EXPECT_TRUE(cluster.stored.learners.empty());
  EXPECT_EQ(cluster.node(1).reads.size(), reads);
}

}  // namespace
}  // namespace meridian::replication
