// A group whose quorum is lost for good goes on with one survivor's log (P23), and nothing of the
// lost members' is ever taken up again.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

using Strings = std::vector<std::string>;

// Three members, of which 1 leads and has committed `a` everywhere, and `b` with 2 alone.
class ReplicaCoreRecovery : public testing::Test {
 protected:
  ReplicaCoreRecovery() : cluster_(3) {
    cluster_.serve_snapshots = true;
    cluster_.StartAll();
    cluster_.Run(absl::Milliseconds(100));
    Propose(1, "a");
    cluster_.Run(absl::Seconds(1));
    CutOff(3);
    Propose(1, "b");
    cluster_.Run(absl::Milliseconds(200));
    EXPECT_EQ(cluster_.node(2).applied, (Strings{"a", "b"}));
    EXPECT_EQ(cluster_.node(3).applied, (Strings{"a"}));
  }
  void Propose(int n, const std::string& command) {
    ASSERT_TRUE(cluster_.Propose(n, command).ok()) << command;
  }
  // From the others and from the store.
  void CutOff(int n) {
    cluster_.Isolate(n);
    cluster_.node(n).cut_from_store = true;
  }
  // Replica 3 is told of it, as a watch would.
  void Recover() {
    cluster_.Recover(IdOf(3));
    cluster_.node(3).cut_from_store = false;
    cluster_.core(3).OnConfig(cluster_.stored, cluster_.now);
    cluster_.Run(absl::Milliseconds(100));
  }
  // The replicas 4 and 5 join.
  void Restore() {
    ASSERT_TRUE(cluster_.core(3).ChangeMembers({MemberOf(3), MemberOf(4), MemberOf(5)}).ok());
    cluster_.Start(IdOf(4));
    cluster_.Start(IdOf(5));
    cluster_.Run(absl::Seconds(2));
    EXPECT_EQ(cluster_.stored.members.size(), 3u);
    EXPECT_TRUE(cluster_.stored.joint_old.empty());
  }

  CoreCluster cluster_;
};

TEST_F(ReplicaCoreRecovery, TheSurvivorLeadsAloneWithAllOfItsLog) {
  cluster_.Crash(IdOf(1));
  cluster_.Crash(IdOf(2));
  const Epoch lost = cluster_.stored.epoch;
  Recover();
  EXPECT_EQ(cluster_.Leader(), 3);
  EXPECT_GT(cluster_.core(3).promised(), lost + 1);
  Propose(3, "c");
  cluster_.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster_.node(3).applied, (Strings{"a", "c"}));
  Restore();
  EXPECT_EQ(cluster_.node(4).disk.applied, cluster_.node(3).disk.applied);
  EXPECT_EQ(cluster_.node(5).disk.applied, cluster_.node(3).disk.applied);
}

// The survivor's last entries may never have been acknowledged; they are kept all the same.
TEST_F(ReplicaCoreRecovery, WhatTheSurvivorDidNotKnowToBeCommittedIsCommittedByIt) {
  cluster_.Heal();
  cluster_.node(3).cut_from_store = false;
  cluster_.Run(absl::Seconds(1));
  cluster_.filter = [](ReplicaId from, ReplicaId to, CoreMessage&) {
    return from != IdOf(3) && (from == IdOf(1) && to == IdOf(3));  // nobody hears of it
  };
  Propose(1, "kept");
  cluster_.Run(absl::Milliseconds(50));
  cluster_.filter = nullptr;
  cluster_.Crash(IdOf(1));
  cluster_.Crash(IdOf(2));
  EXPECT_EQ(cluster_.node(3).applied, (Strings{"a", "b"}));
  Recover();
  EXPECT_EQ(cluster_.node(3).applied, (Strings{"a", "b", "kept"}));
}

// P1, P23: the old leader's process never ended, its log is longer, and it did not hear of
// anything.
TEST_F(ReplicaCoreRecovery, AnOldLeaderThatReturnsWithALongerLogChangesNothing) {
  CutOff(1);
  CutOff(2);
  Recover();
  Propose(3, "c");
  cluster_.Run(absl::Seconds(3));
  cluster_.Heal();
  cluster_.Run(absl::Seconds(5));
  EXPECT_EQ(cluster_.Leader(), 3);
  // What they are told is enough to end what they were, also without the store.
  EXPECT_FALSE(cluster_.core(1).is_leader());
  EXPECT_FALSE(cluster_.Propose(1, "d").ok());
  EXPECT_EQ(cluster_.node(3).applied, (Strings{"a", "c"}));
  for (int n = 1; n <= 2; ++n) cluster_.node(n).cut_from_store = false;
  cluster_.Run(absl::Seconds(5));
  EXPECT_EQ(cluster_.Leader(), 3);
  EXPECT_EQ(cluster_.core(1).config(), cluster_.core(3).config());
  EXPECT_EQ(cluster_.node(1).applied, (Strings{"a", "b"}));
  Restore();
  EXPECT_EQ(cluster_.node(4).disk.applied, cluster_.node(3).disk.applied);
}

// I3: a lost member may have promised whatever was swapped in, and no more.
TEST_F(ReplicaCoreRecovery, AMemberThatPromisedAnEpochNobodyElseHeardOfIsBehindTheRecovery) {
  cluster_.Crash(IdOf(1));
  cluster_.Run(absl::Seconds(5));  // 2 alone cannot lead: 3 does not answer
  cluster_.node(3).cut_from_store = false;
  for (int i = 0; i < 200 && cluster_.core(2).promised() == cluster_.core(3).promised(); ++i) {
    cluster_.core(2).OnMessage(IdOf(1), HandOver{cluster_.stored.epoch}, cluster_.now);
    cluster_.Run(absl::Milliseconds(10));
  }
  const Epoch promised = cluster_.core(2).promised();
  EXPECT_GT(promised, cluster_.core(3).promised());
  CutOff(2);
  Recover();
  EXPECT_GT(cluster_.core(3).promised(), promised);
  cluster_.Heal();
  cluster_.Run(absl::Seconds(5));
  EXPECT_EQ(cluster_.Leader(), 3);
  EXPECT_EQ(cluster_.node(3).applied, (Strings{"a"}));
}

// P23: another survivor, which is not named, acknowledges nothing any more to a leader that was
// lost in vain.
TEST_F(ReplicaCoreRecovery, WhoeverLearnsOfItIsFencedAtOnce) {
  cluster_.core(2).OnConfig(RecoveredConfig(cluster_.stored, MemberOf(3)), cluster_.now);
  const auto at = cluster_.Propose(1, "c");
  ASSERT_TRUE(at.ok());
  cluster_.Run(absl::Milliseconds(500));
  EXPECT_FALSE(cluster_.core(1).is_serving());
  EXPECT_LT(cluster_.core(1).commit_index(), at->index);
}

// P23: the survivor is swapped in within milliseconds, so that most hear of the configuration
// after.
TEST_F(ReplicaCoreRecovery, WhoeverLearnsOnlyOfWhatCameAfterItIsFencedToo) {
  GroupConfig after = RecoveredConfig(cluster_.stored, MemberOf(3));
  after.epoch = after.epoch + 1;
  after.leader = IdOf(3);
  after.session = SessionOf(99);
  cluster_.core(2).OnConfig(after, cluster_.now);
  EXPECT_EQ(cluster_.core(2).promised(), cluster_.stored.epoch + 1);
  // Or its node would keep it for one of a store that is of the past.
  EXPECT_LT(cluster_.core(2).promised(), after.epoch);
  const auto at = cluster_.Propose(1, "c");
  ASSERT_TRUE(at.ok());
  cluster_.Run(absl::Milliseconds(500));
  EXPECT_FALSE(cluster_.core(1).is_serving());
  EXPECT_LT(cluster_.core(1).commit_index(), at->index);
}

// A leader told the survivor that every member had what it was to get by a snapshot.
TEST_F(ReplicaCoreRecovery, ASurvivorThatWasLeftToASnapshotLeadsWithWhatItHas) {
  cluster_.Crash(IdOf(1));
  cluster_.Crash(IdOf(2));
  Append told;
  told.epoch = cluster_.core(3).promised();
  told.prev = cluster_.core(3).log().last();
  told.commit = told.prev.index;
  told.freeable = told.prev.index + 5;
  cluster_.core(3).OnMessage(IdOf(1), told, cluster_.now);
  Recover();
  EXPECT_EQ(cluster_.Leader(), 3);
  Propose(3, "c");
  cluster_.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster_.node(3).applied.back(), "c");
}

TEST_F(ReplicaCoreRecovery, ALeaderThatLostItsFollowersLeadsOn) {
  cluster_.Crash(IdOf(2));
  cluster_.Crash(IdOf(3));
  cluster_.Run(absl::Seconds(5));
  EXPECT_EQ(cluster_.Leader(), 0);
  cluster_.Recover(IdOf(1));
  cluster_.core(1).OnConfig(cluster_.stored, cluster_.now);
  cluster_.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster_.Leader(), 1);
  EXPECT_EQ(cluster_.node(1).applied, (Strings{"a", "b"}));
}

TEST_F(ReplicaCoreRecovery, ASurvivorThatWasDownLeadsOnceItStarts) {
  cluster_.Recover(IdOf(3));
  for (int n = 1; n <= 3; ++n) cluster_.Crash(IdOf(n));
  cluster_.Start(IdOf(3));
  cluster_.node(3).cut_from_store = false;
  cluster_.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster_.Leader(), 3);
}

// The same once more, for a survivor that did not come to lead: only the epoch goes on.
TEST_F(ReplicaCoreRecovery, ARecoveryCanBeRepeated) {
  cluster_.Crash(IdOf(1));
  cluster_.Crash(IdOf(2));
  cluster_.Recover(IdOf(3));
  const Epoch first = cluster_.stored.epoch;
  Recover();
  EXPECT_GT(cluster_.stored.epoch, first);
  EXPECT_EQ(cluster_.Leader(), 3);
}

// Three members, of which 3 lacks the chunks of an entry that the others have committed.
class ReplicaCoreRecoveryWithoutChunks : public testing::Test {
 protected:
  ReplicaCoreRecoveryWithoutChunks() : cluster_(3) {
    cluster_.StartAll();
    cluster_.Run(absl::Milliseconds(100));
    EXPECT_TRUE(cluster_.Propose(1, "a", kTimeOfA).ok());
    cluster_.Run(absl::Seconds(1));
    cluster_.node(3).hold_chunks = true;
    storage::LogEntry entry;
    entry.command = "chunked";
    entry.chunks.push_back({RunId(), 0, 3});
    const auto at = cluster_.core(1).Propose(entry, kTimeOfChunked);
    EXPECT_TRUE(at.ok()) << at.status();
    cluster_.Run(absl::Milliseconds(500));
    EXPECT_EQ(cluster_.node(2).applied, (Strings{"a", "chunked"}));
    EXPECT_EQ(cluster_.core(3).log().last(), *at);
  }

  static constexpr Timestamp kTimeOfA{1'000'000};
  static constexpr Timestamp kTimeOfChunked{2'000'000};
  CoreCluster cluster_;
};

// What is not durable with its chunks is not gone on with: its time says nothing of what is
// missing.
TEST_F(ReplicaCoreRecoveryWithoutChunks, TheTimeOfTheLogsEndIsThatOfItsLastCompleteEntry) {
  const LogView& log = cluster_.core(3).log();
  EXPECT_EQ(log.last_timestamp(), kTimeOfChunked);
  EXPECT_LT(log.durable_index(), log.last().index);
  EXPECT_EQ(log.durable_timestamp(), kTimeOfA);
}

// Nobody is left who could have them: were the entry kept, the group would never serve.
TEST_F(ReplicaCoreRecoveryWithoutChunks, AnEntryWithoutThemIsGivenUpAlsoIfItIsCommitted) {
  ASSERT_GT(cluster_.core(3).commit_index(), cluster_.core(3).log().durable_index());
  cluster_.Crash(IdOf(1));
  cluster_.Crash(IdOf(2));
  cluster_.Recover(IdOf(3));
  cluster_.core(3).OnConfig(cluster_.stored, cluster_.now);
  cluster_.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster_.Leader(), 3);
  ASSERT_TRUE(cluster_.Propose(3, "c", Timestamp(0)).ok());
  cluster_.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster_.node(3).applied, (Strings{"a", "c"}));
}

TEST(ReplicaCoreRecoveryOfJointMembers, OneOfEitherSetOrALearnerCanTakeOver) {
  for (int survivor : {3, 5, 6}) {
    SCOPED_TRACE(survivor);
    CoreCluster cluster(3);
    for (int n = 3; n <= 5; ++n) cluster.stored.joint_old.push_back(MemberOf(n));
    cluster.stored.learners.push_back(MemberOf(6));
    // It stays joint.
    cluster.allow_swap = [&](const GroupConfig& next) {
      return cluster.stored.joint_old.empty() || !next.joint_old.empty();
    };
    cluster.StartAll();
    cluster.Run(absl::Seconds(3));
    const int leader = cluster.Leader();
    ASSERT_NE(leader, 0);
    ASSERT_TRUE(cluster.Propose(leader, "a").ok());
    cluster.Run(absl::Seconds(1));
    for (int n = 1; n <= 6; ++n) {
      if (n != survivor) cluster.Crash(IdOf(n));
    }
    cluster.Recover(IdOf(survivor));
    cluster.core(survivor).OnConfig(cluster.stored, cluster.now);
    cluster.Run(absl::Milliseconds(500));
    EXPECT_EQ(cluster.Leader(), survivor);
    EXPECT_TRUE(cluster.stored.joint_old.empty());
    EXPECT_EQ(cluster.node(survivor).applied, (Strings{"a"}));
    // An old leader comes back with its process ended: the store's configuration is not about it.
    if (leader == survivor) continue;
    cluster.Start(IdOf(leader));
    cluster.Run(absl::Seconds(5));
    EXPECT_EQ(cluster.Leader(), survivor);
  }
}

// A group under random trouble, of which a quorum is then lost. One of the lost ones was only cut
// off: its process goes on with all that it knows. (Were it a quorum of them, they would go on as
// the group, and no rule could tell them otherwise; a process that starts again is told by the
// store that it is no member.) It changes nothing when it is heard again: one history, which begins
// with all that the survivor had. (CoreCluster checks that no two replicas apply different
// entries.)
class RandomLoss {
 public:
  explicit RandomLoss(uint64_t seed) : random_(seed), cluster_(seed % 4 == 0 ? 5 : 3, seed) {
    size_ = static_cast<int>(cluster_.stored.members.size());
    if (seed % 3 == 0) {
      for (int n = size_; n <= size_ + 2; ++n) cluster_.stored.joint_old.push_back(MemberOf(n));
      size_ += 2;
      cluster_.allow_swap = [this](const GroupConfig& next) {
        return lost_ || cluster_.stored.joint_old.empty() || !next.joint_old.empty();
      };
    }
    cluster_.serve_snapshots = true;
    cluster_.StartAll();
  }

  void Trouble() {
    for (int i = 0; i < 30; ++i) {
      const int n = 1 + static_cast<int>(random_.Uniform(size_));
      switch (random_.Uniform(8)) {
        case 0:
          cluster_.Crash(IdOf(n));
          break;
        case 1:
          cluster_.Isolate(n);
          break;
        case 2:
          cluster_.node(n).hold_disk = !cluster_.node(n).hold_disk;
          break;
        case 3:
          cluster_.Heal();
          cluster_.StartAll();
          break;
        default:
          Propose();
      }
      cluster_.Run(absl::Milliseconds(20 + static_cast<int64_t>(random_.Uniform(400))));
    }
  }

  void LoseAllBut(int survivors) {
    cluster_.StartAll();
    for (auto& [id, node] : cluster_.nodes) node.hold_disk = false;
    std::vector<int> order;
    for (int n = 1; n <= size_; ++n) {
      order.push_back(n);
      std::swap(order.back(), order[random_.Uniform(order.size())]);
      cluster_.Isolate(n);
      cluster_.node(n).cut_from_store = true;
    }
    cluster_.Settle();
    int best = 0;
    for (int i = 0; i < survivors; ++i) {
      if (best == 0 || End(order[i]) > End(best)) best = order[i];
    }
    survivor_ = best;
    lost_ = true;
    kept_ = cluster_.core(best).log().durable_index();
    before_ = cluster_.node(best).applied;
    for (int i = survivors; i + 1 < size_; ++i) cluster_.Crash(IdOf(order[i]));
    cluster_.Recover(IdOf(best));
    for (int i = 0; i < survivors; ++i) {
      cluster_.node(order[i]).cut_from_store = false;
      cluster_.core(order[i]).OnConfig(cluster_.stored, cluster_.now);
    }
    cluster_.Run(absl::Seconds(1));
    ASSERT_EQ(cluster_.Leader(), best);
    EXPECT_GE(cluster_.node(best).disk.applied, kept_);
  }

  void Return() {
    Propose();
    cluster_.Heal();
    cluster_.Run(absl::Seconds(3));
    for (auto& [id, node] : cluster_.nodes) node.cut_from_store = false;
    Propose();
    cluster_.Run(absl::Seconds(3));
    ASSERT_EQ(cluster_.Leader(), survivor_);
    for (auto& [id, node] : cluster_.nodes) {
      EXPECT_EQ(node.core && node.core->is_leader(), NumberOf(id) == survivor_) << id;
    }
    const Strings& after = cluster_.node(survivor_).applied;
    ASSERT_GE(after.size(), before_.size());
    EXPECT_TRUE(std::equal(before_.begin(), before_.end(), after.begin()));
    const std::vector<Member> members{MemberOf(survivor_), MemberOf(100), MemberOf(101)};
    ASSERT_TRUE(cluster_.core(survivor_).ChangeMembers(members).ok());
    cluster_.Start(IdOf(100));
    cluster_.Start(IdOf(101));
    cluster_.Run(absl::Seconds(3));
    EXPECT_EQ(cluster_.stored.members, members);
    EXPECT_EQ(cluster_.node(100).disk.applied, cluster_.node(survivor_).disk.applied);
  }

 private:
  void Propose() {
    const int leader = cluster_.Leader();
    if (leader == 0) return;
    for (int i = 0; i < 5; ++i) (void)cluster_.Propose(leader, std::to_string(++proposed_));
  }
  LogPosition End(int n) {
    const LogView& log = cluster_.core(n).log();
    return {*log.EpochAt(log.durable_index()), log.durable_index()};
  }

  SeededRandom random_;
  CoreCluster cluster_;
  int size_ = 0;
  int survivor_ = 0;
  bool lost_ = false;
  LogIndex kept_;
  Strings before_;
  uint64_t proposed_ = 0;
};

TEST(ReplicaCoreRecoveryAtRandom, NothingOfTheLostMembersIsTakenUpAgain) {
  for (uint64_t seed = 1; seed <= 200; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    RandomLoss loss(seed);
    loss.Trouble();
    loss.LoseAllBut(seed % 2 == 0 ? 1 : 2);
    if (testing::Test::HasFailure()) break;
    loss.Return();
    if (testing::Test::HasFailure()) break;
  }
}

}  // namespace
}  // namespace meridian::replication
