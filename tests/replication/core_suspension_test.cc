// A leader that no quorum hears is suspended: it serves nothing, hinders nobody from taking over,
// and leads on in its epoch if it is heard again before anybody did, without the coordination store
// (I12).
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <utility>
#include <variant>
#include <vector>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

using Strings = std::vector<std::string>;
constexpr absl::Duration kLong = absl::Seconds(12);

class Suspension : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.StartAll();
    cluster_.Run(absl::Milliseconds(100));
    ASSERT_EQ(cluster_.Leader(), 1);
    // What the members have echoed by now is above a leadership's first rounds.
    for (uint64_t id = 0; id < 10; ++id) {
      ASSERT_TRUE(cluster_.core(1).ConfirmRead(id).ok());
      cluster_.Settle();
    }
    ASSERT_EQ(cluster_.node(1).reads.size(), 10u);
    cluster_.node(1).reads.clear();
  }

  CoreCluster cluster_{3};
};

TEST_F(Suspension, WithoutTheStoreALeaderThatWasCutOffLeadsOnOnceItIsHeard) {
  cluster_.store_up = false;
  ASSERT_TRUE(cluster_.Propose(1, "before").ok());
  cluster_.Settle();
  cluster_.Isolate(1);
  ASSERT_TRUE(cluster_.Propose(1, "meanwhile").ok());
  cluster_.Run(kLong);
  EXPECT_EQ(cluster_.Leader(), 0);
  EXPECT_EQ(cluster_.node(1).leadership_lost, 1);
  EXPECT_TRUE(absl::IsUnavailable(cluster_.Propose(1, "refused").status()));
  EXPECT_TRUE(absl::IsUnavailable(cluster_.core(1).ConfirmRead(99)));
  EXPECT_TRUE(cluster_.core(1).leader().is_nil());

  cluster_.Heal();
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  EXPECT_EQ(cluster_.core(1).promised(), Epoch(1));
  EXPECT_EQ(cluster_.core(1).counters().suspensions, 1u);
  ASSERT_TRUE(cluster_.Propose(1, "after").ok());
  cluster_.Run(absl::Seconds(1));
  for (int n = 1; n <= 3; ++n) {
    EXPECT_EQ(cluster_.node(n).applied, (Strings{"before", "meanwhile", "after"}));
  }
}

TEST_F(Suspension, MayHappenAgainAndAgain) {
  cluster_.store_up = false;
  for (int i = 0; i < 5; ++i) {
    cluster_.Isolate(1);
    cluster_.Run(absl::Seconds(2));
    EXPECT_EQ(cluster_.Leader(), 0);
    cluster_.Heal();
    cluster_.Run(absl::Seconds(2));
    ASSERT_EQ(cluster_.Leader(), 1) << i;
  }
  EXPECT_EQ(cluster_.core(1).counters().suspensions, 5u);
  EXPECT_EQ(cluster_.core(1).counters().leaderships_lost, 0u);
}

// A leader that is heard, and hears nobody, would otherwise keep the others from electing.
TEST_F(Suspension, ALeaderThatHearsNobodyIsReplaced) {
  cluster_.filter = [](ReplicaId, ReplicaId to, CoreMessage&) { return to != IdOf(1); };
  cluster_.Run(kLong);
  const int leader = cluster_.Leader();
  ASSERT_GT(leader, 1);
  ASSERT_TRUE(cluster_.Propose(leader, "a").ok());
  cluster_.filter = nullptr;
  cluster_.Run(kLong);
  EXPECT_EQ(cluster_.Leader(), leader);
  EXPECT_EQ(cluster_.core(1).leader(), IdOf(leader));
  EXPECT_EQ(cluster_.node(1).applied, Strings{"a"});
}

TEST_F(Suspension, ALeaderThatNobodyHearsIsReplaced) {
  cluster_.filter = [](ReplicaId from, ReplicaId, CoreMessage&) { return from != IdOf(1); };
  cluster_.Run(kLong);
  const int leader = cluster_.Leader();
  ASSERT_GT(leader, 1);
  cluster_.filter = nullptr;
  cluster_.Run(kLong);
  EXPECT_EQ(cluster_.Leader(), leader);
  EXPECT_EQ(cluster_.core(1).leader(), IdOf(leader));
}

// I2: rounds are numbered on, so that an echo of before the cut confirms nothing after it.
TEST_F(Suspension, NoEchoOfBeforeConfirmsAReadAfterIt) {
  cluster_.Isolate(1);
  ASSERT_TRUE(cluster_.core(1).ConfirmRead(50).ok());
  cluster_.store_up = false;
  cluster_.Run(absl::Seconds(3));
  cluster_.Heal();
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  EXPECT_TRUE(cluster_.node(1).reads.empty());  // of before: it has failed

  // The members are heard, and are not asked any more.
  cluster_.filter = [](ReplicaId from, ReplicaId, CoreMessage&) { return from != IdOf(1); };
  ASSERT_TRUE(cluster_.core(1).ConfirmRead(51).ok());
  AppendReply old;
  old.epoch = Epoch(1);
  for (old.read_round = 1; old.read_round <= 10; ++old.read_round) {
    for (int n = 2; n <= 3; ++n) cluster_.core(1).OnMessage(IdOf(n), old, cluster_.now);
  }
  cluster_.Settle();
  EXPECT_TRUE(cluster_.node(1).reads.empty());
  cluster_.filter = nullptr;
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.node(1).reads.size(), 1u);
  EXPECT_EQ(cluster_.node(1).reads[0].read_id, 51u);
}

// The members that it lost went on under another leader, and it reaches one that follows nobody.
TEST(SuspensionOfFive, IsNotEndedByAMinority) {
  CoreCluster cluster(5);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster.Leader(), 1);
  cluster.Isolate(1);
  cluster.Isolate(5);
  cluster.Run(kLong);
  const int leader = cluster.Leader();
  ASSERT_GT(leader, 1);
  cluster.store_up = false;
  cluster.cut.erase({IdOf(1), IdOf(5)});
  cluster.cut.erase({IdOf(5), IdOf(1)});
  cluster.Run(kLong);
  EXPECT_EQ(cluster.Leader(), leader);
  EXPECT_FALSE(cluster.core(1).is_serving());
}

// A member that is not heard yet is not silent for as long as the leader itself was.
TEST_F(Suspension, TheLeadersOwnAbsenceIsNobodysSilence) {
  cluster_.store_up = false;
  cluster_.Isolate(1);
  cluster_.Run(absl::Seconds(60));
  cluster_.cut.erase({IdOf(1), IdOf(2)});
  cluster_.cut.erase({IdOf(2), IdOf(1)});
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  const Leadership& leadership = *cluster_.core(1).leadership();
  EXPECT_GE(cluster_.now - leadership.progress(IdOf(3))->last_heard(), absl::Seconds(60));
  EXPECT_LE(leadership.Silence(*leadership.progress(IdOf(3)), cluster_.now), absl::Seconds(1));
}

// Of three members two are to be replaced. The store is away from the step on that a test looks at.
class SuspensionInAChange : public testing::Test {
 protected:
  void SetUp() override {
    cluster_.serve_snapshots = true;
    cluster_.StartAll();
    cluster_.Run(absl::Milliseconds(100));
    ASSERT_EQ(cluster_.Leader(), 1);
    for (int n = 4; n <= 5; ++n) cluster_.Start(IdOf(n));
  }

  void ChangeUntil(std::function<bool(const GroupConfig&)> is_reached) {
    cluster_.allow_swap = [&](const GroupConfig&) { return !is_reached(cluster_.stored); };
    ASSERT_TRUE(cluster_.core(1).ChangeMembers(wanted_).ok());
    cluster_.Run(absl::Seconds(1));
    ASSERT_TRUE(is_reached(cluster_.stored));
    ASSERT_EQ(cluster_.Leader(), 1);
    cluster_.store_up = false;
  }
  void ChangeUntilJoint() {
    ChangeUntil([](const GroupConfig& config) { return !config.joint_old.empty(); });
  }
  void ChangeUntilLearning() {
    ChangeUntil([](const GroupConfig& config) { return !config.learners.empty(); });
  }
  // The leader hears nobody, and stands suspended.
  void CutOff() {
    cluster_.Isolate(1);
    cluster_.Run(kLong);
    ASSERT_EQ(cluster_.Leader(), 0);
    ASSERT_EQ(cluster_.core(1).counters().suspensions, 1u);
  }
  void Mend(int a, int b) {
    cluster_.cut.erase({IdOf(a), IdOf(b)});
    cluster_.cut.erase({IdOf(b), IdOf(a)});
  }
  // Until the change has come to its end with the store.
  void ExpectChanged() {
    cluster_.allow_swap = nullptr;
    cluster_.store_up = true;
    cluster_.Heal();
    cluster_.Run(kLong);
    ASSERT_NE(cluster_.Leader(), 0);
    // A leader that had asked the store before it went away may have followed: it is told, too.
    ASSERT_TRUE(cluster_.core(cluster_.Leader()).ChangeMembers(wanted_).ok());
    cluster_.Run(kLong);
    EXPECT_EQ(cluster_.stored.members, wanted_);
    EXPECT_TRUE(cluster_.stored.joint_old.empty());
    ASSERT_NE(cluster_.Leader(), 0);
    ASSERT_TRUE(cluster_.Propose(cluster_.Leader(), "after").ok());
    cluster_.Run(absl::Seconds(1));
    for (int n : {1, 4, 5}) {
      EXPECT_EQ(cluster_.node(n).disk.applied, cluster_.node(1).disk.applied) << n;
    }
  }

  const std::vector<Member> wanted_{MemberOf(1), MemberOf(4), MemberOf(5)};
  CoreCluster cluster_{3};
};

// P4: neither set alone knows whether the other has gone on without this leader.
TEST_F(SuspensionInAChange, JointMembersEndItOnlyByAQuorumOfEachSet) {
  ChangeUntilJoint();
  CutOff();
  Mend(1, 2);
  Mend(1, 3);
  cluster_.Run(kLong);
  EXPECT_EQ(cluster_.Leader(), 0) << "by the old members alone";
  cluster_.Isolate(1);
  Mend(1, 4);
  Mend(1, 5);
  cluster_.Run(kLong);
  EXPECT_EQ(cluster_.Leader(), 0) << "by the new members alone";
  Mend(1, 2);
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  const auto at = cluster_.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster_.Run(absl::Seconds(1));
  EXPECT_EQ(cluster_.core(1).commit_index(), at->index);
  ExpectChanged();
}

// P4: learners have no vote, and what they know of an epoch binds nobody.
TEST_F(SuspensionInAChange, LearnersDoNotEndIt) {
  ChangeUntilLearning();
  uint64_t round = 0;
  cluster_.filter = [&](ReplicaId from, ReplicaId, CoreMessage& message) {
    const Probe* const probe = std::get_if<Probe>(&message);
    if (probe != nullptr && from == IdOf(1)) round = probe->round;
    return probe == nullptr;
  };
  cluster_.Isolate(2);
  cluster_.Isolate(3);
  cluster_.Run(kLong);
  ASSERT_EQ(cluster_.Leader(), 0);
  ASSERT_EQ(cluster_.core(1).counters().suspensions, 1u);
  Mend(1, 2);  // it is asked, and what it answers is lost
  cluster_.Run(absl::Seconds(1));
  ASSERT_GT(round, 0u);
  const Epoch epoch = cluster_.core(1).promised();
  for (int n = 4; n <= 5; ++n) {
    ProbeReply granted;
    granted.epoch = epoch;
    granted.round = round;
    granted.granted = true;
    cluster_.core(1).OnMessage(IdOf(n), granted, cluster_.now);
    AppendReply late;
    late.epoch = epoch;
    cluster_.core(1).OnMessage(IdOf(n), late, cluster_.now);
  }
  cluster_.Settle();
  EXPECT_EQ(cluster_.Leader(), 0);
  cluster_.filter = nullptr;
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  ExpectChanged();
}

// The leader's own next epoch, of which only it knows, is what it asks for and leads on in.
TEST_F(SuspensionInAChange, ASwapWhoseOutcomeComesMeanwhileIsGoneOnFrom) {
  cluster_.hide_swap_outcome = true;
  ASSERT_TRUE(cluster_.core(1).ChangeMembers(wanted_).ok());
  cluster_.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster_.stored.learners.size(), 2u);
  ASSERT_TRUE(cluster_.core(1).config().learners.empty());
  cluster_.store_up = false;
  CutOff();
  cluster_.core(1).OnConfig(cluster_.stored, cluster_.now);
  cluster_.Run(absl::Seconds(1));
  EXPECT_EQ(cluster_.core(1).promised(), cluster_.stored.epoch);
  EXPECT_EQ(cluster_.Leader(), 0);
  Mend(1, 2);
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  EXPECT_EQ(cluster_.core(1).promised(), cluster_.stored.epoch);
  EXPECT_EQ(cluster_.core(2).config(), cluster_.stored);
  cluster_.hide_swap_outcome = false;
  ExpectChanged();
}

// A snapshot that was on its way to a learner ends with the service, and is sent anew after.
TEST_F(SuspensionInAChange, ASnapshotOnItsWayIsSentAnewAfterIt) {
  cluster_.serve_snapshots = false;
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(cluster_.Propose(1, std::string(2000, 'x')).ok());
  cluster_.Run(absl::Milliseconds(300));
  const LogIndex applied = cluster_.node(1).disk.applied;
  cluster_.node(1).disk.Trim(applied);
  cluster_.core(1).OnTrimmed(applied);
  ChangeUntilLearning();
  const std::vector<ReplicaId> learners = std::exchange(cluster_.node(1).need_snapshot, {});
  ASSERT_EQ(learners, (std::vector{IdOf(4), IdOf(5)}));
  for (const ReplicaId& learner : learners) cluster_.core(1).OnSnapshotStarted(learner, applied);
  CutOff();
  // What the driver does with its snapshots when the service ends.
  for (const ReplicaId& learner : learners) {
    cluster_.core(1).OnSnapshotEnded(learner, std::nullopt);
  }
  cluster_.Run(absl::Seconds(1));
  EXPECT_TRUE(cluster_.node(1).need_snapshot.empty());
  cluster_.Heal();
  cluster_.Run(absl::Seconds(1));
  ASSERT_EQ(cluster_.Leader(), 1);
  EXPECT_EQ(cluster_.core(1).promised(), cluster_.stored.epoch);
  EXPECT_EQ(cluster_.node(1).need_snapshot, learners);
  cluster_.serve_snapshots = true;
  ExpectChanged();
}

}  // namespace
}  // namespace meridian::replication
