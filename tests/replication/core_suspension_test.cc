// A leader that no quorum hears is suspended: it serves nothing, hinders nobody from taking over,
// and leads on in its epoch if it is heard again before anybody did, without the coordination store
// (I12).
#include <gtest/gtest.h>

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

}  // namespace
}  // namespace meridian::replication
