// The pure replica state machine in small clusters. The cluster checks each core's invariants after
// every step, and that no two replicas ever apply different entries (I3, I5).
#include <gtest/gtest.h>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

using Strings = std::vector<std::string>;
constexpr absl::Duration kLong = absl::Seconds(12);

TEST(ReplicaCore, ANewGroupIsLedByItsFirstMemberAtOnce) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster.Leader(), 1);
  EXPECT_EQ(cluster.stored.epoch, Epoch(1));
  EXPECT_EQ(cluster.stored.leader, IdOf(1));
}

TEST(ReplicaCore, AGroupOfOneServes) {
  CoreCluster cluster(1);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster.Leader(), 1);
  ASSERT_TRUE(cluster.Propose(1, "a").ok());
  cluster.Settle();
  EXPECT_EQ(cluster.node(1).applied, Strings{"a"});
}

TEST(ReplicaCore, AppliesWhatIsProposedEverywhere) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(cluster.Propose(1, std::to_string(i)).ok());
  cluster.Run(absl::Seconds(1));
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(cluster.node(n).applied.size(), 100u);
}

TEST(ReplicaCore, RefusesProposalsAndReadsUnlessItServes) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  EXPECT_TRUE(absl::IsUnavailable(cluster.Propose(2, "x").status()));
  EXPECT_TRUE(absl::IsUnavailable(cluster.core(2).ConfirmRead(1)));
}

// I1, P2: neither the leader's nor a member's copy counts before it is durable.
TEST(ReplicaCore, CommitsOnlyWhatAQuorumHoldsDurably) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.node(1).hold_disk = true;
  cluster.node(2).hold_disk = true;
  auto at = cluster.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_LT(cluster.core(1).commit_index(), at->index);
  cluster.node(2).hold_disk = false;
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.core(1).commit_index(), at->index);  // by 2 and 3
  EXPECT_EQ(cluster.node(1).applied, Strings{});         // not durable there yet
  cluster.node(1).hold_disk = false;
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.node(1).applied, Strings{"a"});
}

// I4: a member acknowledges an entry only once its chunks are durable there.
TEST(ReplicaCore, AnEntryIsNotPersistedBeforeItsChunksAreHere) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.node(2).hold_chunks = true;
  cluster.node(3).hold_chunks = true;
  storage::LogEntry entry;
  entry.command = "chunked";
  entry.chunks.push_back({RunId(), 0, 3});
  auto at = cluster.core(1).Propose(entry, Timestamp(0));
  ASSERT_TRUE(at.ok());
  ASSERT_TRUE(cluster.Propose(1, "after").ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_LT(cluster.core(1).commit_index(), at->index);
  EXPECT_LT(cluster.node(2).disk.log.size(), at->index.value());
  cluster.node(3).hold_chunks = false;
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.core(1).commit_index(), at->index + 1);
  EXPECT_EQ(cluster.node(3).applied, (Strings{"chunked", "after"}));
}

// Without dropping them, entries whose chunks died with the old leader would block for ever.
TEST(ReplicaCore, EntriesThatWaitForChunksGiveWayToANewerLeader) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.node(2).hold_chunks = true;
  cluster.node(3).hold_chunks = true;
  storage::LogEntry entry;
  entry.command = "lost";
  entry.chunks.push_back({RunId(), 0, 1});
  ASSERT_TRUE(cluster.core(1).Propose(entry, Timestamp(0)).ok());
  cluster.Run(absl::Milliseconds(300));
  cluster.Crash(IdOf(1));
  cluster.Run(kLong);
  int leader = cluster.Leader();
  ASSERT_NE(leader, 0);
  ASSERT_TRUE(cluster.Propose(leader, "new").ok());
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.node(leader).applied, Strings{"new"});
}

TEST(ReplicaCore, ANewLeaderTakesOverWithEveryCommittedEntry) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_TRUE(cluster.Propose(1, "a").ok());
  cluster.Run(absl::Milliseconds(200));
  // 3 misses "b", which 1 and 2 commit.
  cluster.Isolate(3);
  ASSERT_TRUE(cluster.Propose(1, "b").ok());
  cluster.Run(absl::Milliseconds(300));
  ASSERT_EQ(cluster.node(1).applied, (Strings{"a", "b"}));
  cluster.Crash(IdOf(1));
  cluster.Heal();
  cluster.Run(kLong);
  int leader = cluster.Leader();
  ASSERT_NE(leader, 0);
  EXPECT_EQ(cluster.node(2).applied, (Strings{"a", "b"}));
  EXPECT_EQ(cluster.node(3).applied, (Strings{"a", "b"}));
}

// The candidate with the shorter log fetches what it lacks before it leads.
TEST(ReplicaCore, ACandidateAdoptsTheBestLogOfTheFencedQuorum) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CoreCluster cluster(3, seed);
    cluster.StartAll();
    cluster.Run(absl::Milliseconds(100));
    cluster.Isolate(3);
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(cluster.Propose(1, std::string(4000, 'x')).ok());
    cluster.Run(absl::Milliseconds(300));
    cluster.Crash(IdOf(1));
    cluster.Heal();
    // Only 3 may begin.
    cluster.node(3).core->Tick(cluster.now + absl::Seconds(60));
    cluster.Run(kLong);
    int leader = cluster.Leader();
    ASSERT_NE(leader, 0);
    EXPECT_EQ(cluster.node(3).applied.size(), 50u);
  }
}

// I5, Raft figure 8: an entry of an older epoch is not committed by counting copies of it.
TEST(ReplicaCore, EarlierEpochsCommitOnlyThroughTheEpochStart) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.filter = [](ReplicaId, ReplicaId, CoreMessage& message) {
    return !std::holds_alternative<AppendReply>(message);  // 1 never learns of the copies
  };
  ASSERT_TRUE(cluster.Propose(1, "old").ok());
  cluster.Run(absl::Milliseconds(300));
  LogIndex old = cluster.core(2).log().last().index;
  cluster.Crash(IdOf(1));
  // The new leader's own epoch start stays on its disk's queue of the other.
  cluster.filter = [](ReplicaId, ReplicaId, CoreMessage& message) {
    auto* append = std::get_if<Append>(&message);
    if (append && append->epoch > Epoch(1)) {
      std::erase_if(append->entries, [](const auto& e) { return e.epoch > Epoch(1); });
    }
    return true;
  };
  cluster.Run(kLong);
  for (int n = 2; n <= 3; ++n) EXPECT_LT(cluster.core(n).commit_index(), old);
  cluster.filter = nullptr;
  cluster.Run(kLong);
  EXPECT_EQ(cluster.node(2).applied, Strings{"old"});
}

TEST(ReplicaCore, AConflictingSuffixIsTruncated) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Isolate(1);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.Propose(1, "lost").ok());
  cluster.Run(kLong);
  int leader = cluster.Leader();
  ASSERT_NE(leader, 0);
  ASSERT_NE(leader, 1);
  EXPECT_EQ(cluster.node(1).leadership_lost, 1);
  ASSERT_TRUE(cluster.Propose(leader, "kept").ok());
  cluster.Run(absl::Milliseconds(300));
  cluster.Heal();
  cluster.Run(kLong);
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(cluster.node(n).applied, Strings{"kept"});
  EXPECT_GT(cluster.core(1).counters().entries_truncated, 0u);
}

// P1: (epoch, index) names one entry for ever.
TEST(ReplicaCore, ARestartedLeaderIsAPlainMemberAndSwapsInAHigherEpoch) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.node(1).hold_disk = true;
  ASSERT_TRUE(cluster.Propose(1, "X").ok());  // sent to the others, lost here
  cluster.Settle();
  LogPosition x = cluster.core(2).log().last();
  cluster.node(1).hold_disk = false;
  cluster.Crash(IdOf(1));
  cluster.Start(IdOf(1));
  EXPECT_FALSE(cluster.core(1).is_leader());
  cluster.Run(absl::Seconds(1));
  ASSERT_EQ(cluster.Leader(), 1);  // at once, without waiting for a timeout
  EXPECT_EQ(cluster.stored.epoch, Epoch(2));
  EXPECT_EQ(cluster.core(1).log().EpochAt(x.index), x.epoch);
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(cluster.node(n).applied, Strings{"X"});
}

TEST(ReplicaCore, ASwapOfUnknownOutcomeIsRecognisedByItsSession) {
  CoreCluster cluster(3);
  cluster.hide_swap_outcome = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster.Leader(), 0);
  ASSERT_EQ(cluster.stored.leader, IdOf(1));
  cluster.core(1).OnConfig(cluster.stored, cluster.now);
  cluster.Run(absl::Milliseconds(100));
  EXPECT_EQ(cluster.Leader(), 1);
}

// P1: the same configuration read by a later life of the process is not its leadership.
TEST(ReplicaCore, AnEarlierLifesSwapIsNotLedBy) {
  CoreCluster cluster(3);
  cluster.hide_swap_outcome = true;
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Crash(IdOf(1));
  cluster.Start(IdOf(1));
  cluster.hide_swap_outcome = false;
  cluster.core(1).OnConfig(cluster.stored, cluster.now);
  EXPECT_FALSE(cluster.core(1).is_leader());
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.Leader(), 1);
  EXPECT_EQ(cluster.stored.epoch, Epoch(2));
}

// P3: A and C are cut from each other, B hears both. C's probe is refused by B.
TEST(ReplicaCore, AMemberCutFromTheLeaderOnlyDoesNotDisturbIt) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Cut(1, 3);
  cluster.Run(absl::Seconds(60));
  EXPECT_EQ(cluster.Leader(), 1);
  EXPECT_EQ(cluster.stored.epoch, Epoch(1));
  EXPECT_GT(cluster.core(3).counters().probes_begun, 5u);
}

// I12: the store is not needed while the group is healthy.
TEST(ReplicaCore, ServesWithoutTheCoordinationStore) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.store_up = false;
  cluster.Run(absl::Seconds(120));
  ASSERT_EQ(cluster.Leader(), 1);
  ASSERT_TRUE(cluster.Propose(1, "a").ok());
  cluster.Run(absl::Milliseconds(300));
  EXPECT_EQ(cluster.node(2).applied, Strings{"a"});
}

// I3: a promise is told only once it is durable.
TEST(ReplicaCore, AFenceIsAnsweredOnlyAfterThePromiseIsDurable) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Crash(IdOf(1));
  cluster.node(2).hold_disk = true;
  cluster.Run(kLong);
  EXPECT_EQ(cluster.Leader(), 0);
  cluster.node(2).hold_disk = false;
  cluster.Run(kLong);
  EXPECT_NE(cluster.Leader(), 0);
}

TEST(ReplicaCore, NothingFromAnOlderEpochIsAccepted) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Crash(IdOf(1));
  cluster.Run(kLong);
  int leader = cluster.Leader();
  ASSERT_NE(leader, 0);
  int other = leader == 2 ? 3 : 2;
  Append stale;
  stale.epoch = Epoch(1);
  stale.prev = {Epoch(1), LogIndex(1)};
  stale.commit = LogIndex(1);
  cluster.core(other).OnMessage(IdOf(1), stale, cluster.now);
  EXPECT_EQ(cluster.core(other).counters().stale_epochs_rejected, 1u);
  EXPECT_EQ(cluster.core(other).leader(), IdOf(leader));
}

TEST(ReplicaCore, AMinorityCommitsNothingAndServesNothing) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Crash(IdOf(2));
  cluster.Crash(IdOf(3));
  auto at = cluster.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster.Run(kLong);
  EXPECT_LT(cluster.core(1).commit_index(), at->index);
  EXPECT_EQ(cluster.Leader(), 0);
  cluster.Start(IdOf(2));
  cluster.Run(kLong);
  EXPECT_NE(cluster.Leader(), 0);
}

// I2: a leader that was replaced does not confirm reads.
TEST(ReplicaCore, AReadNeedsAQuorumThatHasPromisedNothingNewer) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_TRUE(cluster.core(1).ConfirmRead(7).ok());
  cluster.Settle();
  ASSERT_EQ(cluster.node(1).reads.size(), 1u);
  EXPECT_EQ(cluster.node(1).reads[0].read_id, 7u);
  EXPECT_GE(cluster.node(1).reads[0].index, LogIndex(1));
  cluster.Isolate(1);
  ASSERT_TRUE(cluster.core(1).ConfirmRead(8).ok());
  cluster.Run(kLong);
  EXPECT_EQ(cluster.node(1).reads.size(), 1u);
}

TEST(ReplicaCore, WaitingReadsShareARound) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  size_t appends = 0;
  cluster.filter = [&](ReplicaId, ReplicaId, CoreMessage& message) {
    appends += std::holds_alternative<Append>(message);
    return true;
  };
  for (uint64_t id = 0; id < 100; ++id) ASSERT_TRUE(cluster.core(1).ConfirmRead(id).ok());
  cluster.Settle();
  EXPECT_EQ(cluster.node(1).reads.size(), 100u);
  EXPECT_LE(appends, 6u);
}

// P14: also over leader changes and clocks that go back.
TEST(ReplicaCore, TimestampsAreStrictlyMonotone) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_TRUE(cluster.Propose(1, "a", Timestamp(1'000'000)).ok());
  ASSERT_TRUE(cluster.Propose(1, "b", Timestamp(500)).ok());
  cluster.Run(absl::Milliseconds(300));
  cluster.Crash(IdOf(1));
  cluster.Run(kLong);
  int leader = cluster.Leader();
  ASSERT_NE(leader, 0);
  ASSERT_TRUE(cluster.Propose(leader, "c", Timestamp(1)).ok());
  cluster.Run(absl::Milliseconds(300));
  EXPECT_GT(cluster.node(leader).disk.applied_timestamp, Timestamp(1'000'000));
}

TEST(ReplicaCore, LostMessagesAreSentAgain) {
  CoreCluster cluster(3, 5);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  SeededRandom random(9);
  cluster.filter = [&](ReplicaId, ReplicaId, CoreMessage&) { return random.Uniform(4) != 0; };
  for (int i = 0; i < 200; ++i) {
    ASSERT_TRUE(cluster.Propose(1, std::to_string(i)).ok());
    cluster.Settle();
  }
  cluster.Run(kLong);
  cluster.filter = nullptr;
  cluster.Run(absl::Seconds(2));
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(cluster.node(n).applied.size(), 200u);
}

// P8: freeable is what every member, learners too, has passed.
TEST(ReplicaCore, FreeableIsWhatEveryMemberHasPassed) {
  CoreCluster cluster(3);
  cluster.stored.learners.push_back(MemberOf(4));
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(500));
  LogIndex before = cluster.core(1).commit_index();
  cluster.Isolate(4);
  ASSERT_TRUE(cluster.Propose(1, "a").ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.core(1).freeable_index(), before);
  cluster.Heal();
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.core(1).freeable_index(), before + 1);
  EXPECT_EQ(cluster.core(2).freeable_index(), before + 1);
  EXPECT_EQ(cluster.node(4).applied, Strings{"a"});
}

// P4: learners receive, and never vote.
TEST(ReplicaCore, LearnersNeitherCommitNorLead) {
  CoreCluster cluster(2);
  cluster.stored.learners.push_back(MemberOf(3));
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Crash(IdOf(2));
  auto at = cluster.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Seconds(1));
  EXPECT_LT(cluster.core(1).commit_index(), at->index);
  cluster.Crash(IdOf(1));
  cluster.Run(kLong);
  EXPECT_EQ(cluster.core(3).counters().probes_begun, 0u);
}

// P4: while joint, a quorum of EACH set.
TEST(ReplicaCore, AJointMembershipNeedsBothQuorums) {
  CoreCluster cluster(3);
  for (int n = 3; n <= 5; ++n) cluster.stored.joint_old.push_back(MemberOf(n));
  cluster.allow_swap = [](const GroupConfig& next) { return !next.joint_old.empty(); };
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_EQ(cluster.Leader(), 1);
  cluster.Crash(IdOf(4));
  cluster.Crash(IdOf(5));
  auto at = cluster.Propose(1, "a");
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_LT(cluster.core(1).commit_index(), at->index);  // 1, 2, 3 of the new, only 3 of the old
  cluster.Run(kLong);
  EXPECT_EQ(cluster.Leader(), 0);
  cluster.Start(IdOf(4));
  cluster.Run(kLong);
  EXPECT_NE(cluster.Leader(), 0);
  EXPECT_EQ(cluster.node(2).applied, Strings{"a"});
}

TEST(ReplicaCore, AMemberBehindTheLogNeedsASnapshotAndFollowsAfterIt) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(500));
  cluster.Isolate(3);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(cluster.Propose(1, std::string(2000, 'x')).ok());
  cluster.Run(absl::Milliseconds(300));
  LogIndex applied = cluster.node(1).disk.applied;
  cluster.node(1).disk.Trim(applied);
  cluster.core(1).OnTrimmed(applied);
  cluster.Run(absl::Seconds(1));
  cluster.Heal();
  cluster.Run(kLong);
  ASSERT_EQ(cluster.node(1).need_snapshot, std::vector<ReplicaId>{IdOf(3)});
  // What the drivers do.
  cluster.core(1).OnSnapshotStarted(IdOf(3), applied);
  CoreCluster::Node& receiver = cluster.node(3);
  receiver.core->BeginInstall();
  EXPECT_TRUE(receiver.core->is_installing());
  cluster.Run(absl::Seconds(5));
  EXPECT_LE(cluster.core(1).freeable_index(), applied);
  receiver.disk.log.clear();
  receiver.disk.base = receiver.disk.applied = applied;
  receiver.disk.base_epoch = cluster.node(1).disk.base_epoch;
  receiver.disk.applied_timestamp = cluster.node(1).disk.applied_timestamp;
  receiver.core->FinishInstall({receiver.disk.base_epoch, applied}, receiver.disk.applied_timestamp,
                               cluster.now);
  cluster.core(1).OnSnapshotEnded(IdOf(3), applied);
  ASSERT_TRUE(cluster.Propose(1, "after").ok());
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(receiver.applied, Strings{"after"});
}

// P6: it may promise, and must never lead nor be adopted from.
TEST(ReplicaCore, ACutOffInstallPromisesButNeitherLeadsNorIsAdopted) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  ASSERT_TRUE(cluster.Propose(1, "a").ok());
  cluster.Run(absl::Milliseconds(300));
  for (int n = 1; n <= 3; ++n) cluster.Crash(IdOf(n));
  FakeDisk& disk = cluster.node(3).disk;
  disk.installing = true;
  disk.log.clear();
  disk.applied = LogIndex(0);
  cluster.Start(IdOf(3));
  cluster.Run(kLong);
  EXPECT_EQ(cluster.core(3).counters().probes_begun, 0u);
  cluster.Start(IdOf(2));
  cluster.Run(kLong);
  EXPECT_EQ(cluster.core(2).is_leader(), true);
  EXPECT_EQ(cluster.core(2).log().EpochAt(LogIndex(2)), Epoch(1));
  EXPECT_EQ(cluster.node(2).need_snapshot, std::vector<ReplicaId>{IdOf(3)});
}

// A candidate that could get the best log only by a snapshot lets its holder lead.
TEST(ReplicaCore, LeadershipIsHandedToALogThatCannotBeFetched) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(500));
  cluster.Isolate(3);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(cluster.Propose(1, std::string(2000, 'x')).ok());
  cluster.Run(absl::Milliseconds(400));
  LogIndex applied = cluster.node(2).disk.applied;
  ASSERT_GE(applied, LogIndex(11));
  cluster.node(2).disk.Trim(applied);
  cluster.core(2).OnTrimmed(applied);
  cluster.Crash(IdOf(1));
  cluster.Heal();
  cluster.now += absl::Seconds(3);
  cluster.core(3).Tick(cluster.now);  // 3 is the first to ask
  cluster.Settle();
  EXPECT_EQ(cluster.core(3).counters().hand_overs, 1u);
  EXPECT_EQ(cluster.core(2).is_leader(), true);
}

TEST(ReplicaCore, MalformedEntriesAreCountedAndIgnored) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  LogPosition last = cluster.core(2).log().last();
  Append append;
  append.epoch = Epoch(1);
  append.prev = last;
  storage::LogEntry entry;
  entry.epoch = Epoch(1);
  entry.index = last.index + 5;
  append.entries.push_back(entry);
  cluster.core(2).OnMessage(IdOf(1), append, cluster.now);
  append.entries[0].index = last.index + 1;
  append.entries[0].epoch = Epoch(9);
  cluster.core(2).OnMessage(IdOf(1), append, cluster.now);
  EXPECT_EQ(cluster.core(2).counters().malformed_messages, 2u);
  EXPECT_EQ(cluster.core(2).log().last(), last);
}

using Verdict = ReplicaCore::SnapshotVerdict;

// I1, P4: late or repeated on a slow network, it finds more here than it brings.
TEST(ReplicaCore, ASnapshotOfWhatTheLogHoldsDiscardsNothing) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(cluster.Propose(1, "x").ok());
  cluster.Run(absl::Seconds(1));
  LogPosition last = cluster.core(3).log().last();
  // After a restart only what was flushed is known to be committed.
  cluster.Crash(IdOf(3));
  cluster.node(3).disk.applied = LogIndex(3);
  cluster.node(3).disk.applied_timestamp = cluster.node(3).disk.log[2].timestamp;
  cluster.Start(IdOf(3));
  ASSERT_EQ(cluster.core(3).commit_index(), LogIndex(3));
  EXPECT_EQ(cluster.core(3).JudgeSnapshot({Epoch(1), LogIndex(6)}), Verdict::kPresent);
  EXPECT_EQ(cluster.core(3).commit_index(), LogIndex(6));
  EXPECT_EQ(cluster.core(3).JudgeSnapshot({Epoch(1), LogIndex(2)}), Verdict::kPresent);
  EXPECT_EQ(cluster.core(3).log().last(), last);
  EXPECT_EQ(cluster.core(3).JudgeSnapshot({Epoch(1), last.index + 1}), Verdict::kInstall);
  EXPECT_EQ(cluster.core(3).JudgeSnapshot({Epoch(2), LogIndex(8)}), Verdict::kInstall);
}

// I4: a leader takes the answer for a durable match.
TEST(ReplicaCore, ASnapshotIsPresentOnlyOnceItIsDurable) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Seconds(1));
  cluster.node(3).hold_disk = true;
  auto at = cluster.Propose(1, "slow");
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.core(3).JudgeSnapshot(*at), Verdict::kRefuse);
  cluster.node(3).hold_disk = false;
  cluster.Run(absl::Milliseconds(500));
  EXPECT_EQ(cluster.core(3).JudgeSnapshot(*at), Verdict::kPresent);
  // Its chunks may be gone everywhere: then only the snapshot brings it on (P8).
  cluster.node(3).hold_chunks = true;
  storage::LogEntry entry;
  entry.command = "chunked";
  entry.chunks.push_back({RunId(), 0, 1});
  at = cluster.core(1).Propose(entry, Timestamp(0));
  ASSERT_TRUE(at.ok());
  cluster.Run(absl::Milliseconds(500));
  ASSERT_EQ(cluster.core(3).log().last(), *at);
  EXPECT_EQ(cluster.core(3).JudgeSnapshot(*at), Verdict::kInstall);
}

// The leader of the install is gone, the next one knows less to be committed, and can learn more
// only from the member that is being installed.
TEST(ReplicaCore, AnInstallGoesOnWithALeaderThatKnowsLess) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(cluster.Propose(1, "x").ok());
  cluster.Run(absl::Seconds(1));
  CoreCluster::Node& receiver = cluster.node(3);
  receiver.core->BeginInstall();
  receiver.disk.log.clear();
  receiver.disk.applied = LogIndex(0);
  receiver.disk.applied_timestamp = Timestamp(0);
  receiver.disk.installing = true;
  for (int n = 1; n <= 2; ++n) cluster.Crash(IdOf(n));
  cluster.node(2).disk.applied = LogIndex(3);
  cluster.node(2).disk.applied_timestamp = cluster.node(2).disk.log[2].timestamp;
  cluster.Start(IdOf(2));
  cluster.Run(kLong);
  ASSERT_TRUE(cluster.core(2).is_leader());
  EXPECT_EQ(cluster.Leader(), 0);  // no quorum holds its epoch's start
  EXPECT_EQ(cluster.core(2).SnapshotPosition(), (LogPosition{Epoch(1), LogIndex(3)}));
  cluster.TransferSnapshot(IdOf(2), IdOf(3), /*cut_off=*/false);
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.Leader(), 2);
  EXPECT_FALSE(receiver.core->is_installing());
  EXPECT_EQ(receiver.disk.applied, cluster.node(2).disk.applied);
}

// I5: it then holds all that any member may know to be committed.
TEST(ReplicaCore, AServingLeaderSendsSnapshotsFromItsEpochsStartOn) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  for (int n = 1; n <= 3; ++n) cluster.Crash(IdOf(n));
  for (int n = 1; n <= 3; ++n) cluster.Start(IdOf(n));
  cluster.Run(absl::Seconds(1));
  int leader = cluster.Leader();
  ASSERT_NE(leader, 0);
  auto last = cluster.core(leader).SnapshotPosition();
  ASSERT_TRUE(last.has_value());
  EXPECT_GE(last->index, cluster.core(leader).leadership()->start());
  EXPECT_FALSE(cluster.core(leader == 3 ? 2 : 3).SnapshotPosition().has_value());
}

// P8: what an earlier leader freed may be gone, though this leader's own log still reaches it.
TEST(ReplicaCore, AMemberBehindWhatMayBeFreedNeedsASnapshotOfANewLeaderToo) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(500));
  cluster.Isolate(3);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(cluster.Propose(1, std::string(2000, 'x')).ok());
  cluster.Run(absl::Milliseconds(300));
  LogIndex applied = cluster.node(1).disk.applied;
  cluster.node(1).disk.Trim(applied);
  cluster.core(1).OnTrimmed(applied);
  cluster.Heal();
  cluster.Run(absl::Milliseconds(300));
  ASSERT_EQ(cluster.node(1).need_snapshot, std::vector<ReplicaId>{IdOf(3)});
  cluster.core(1).OnSnapshotStarted(IdOf(3), applied);
  cluster.Run(absl::Seconds(1));
  ASSERT_EQ(cluster.core(2).freeable_index(), applied);
  cluster.Crash(IdOf(1));
  cluster.now += absl::Seconds(3);
  cluster.core(2).Tick(cluster.now);  // 2 is the first to ask
  cluster.Settle();
  cluster.Run(absl::Seconds(1));
  ASSERT_TRUE(cluster.core(2).is_leader());
  ASSERT_EQ(cluster.core(2).log().base().index, LogIndex(0));
  ASSERT_FALSE(cluster.node(2).need_snapshot.empty());
  EXPECT_EQ(cluster.node(2).need_snapshot.front(), IdOf(3));
  EXPECT_LT(cluster.core(3).log().last().index, applied);
  cluster.TransferSnapshot(IdOf(2), IdOf(3), /*cut_off=*/false);
  cluster.Run(absl::Seconds(1));
  EXPECT_EQ(cluster.Leader(), 2);
}

// P8: its log reaches far enough, but waits for chunks that may be gone.
TEST(ReplicaCore, AMemberThatWaitsForChunksOfWhatMayBeFreedNeedsASnapshotOfANewLeaderToo) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(500));
  cluster.node(3).hold_chunks = true;
  for (int i = 0; i < 4; ++i) {
    storage::LogEntry entry;
    entry.chunks.push_back({RunId(), 0, 1});
    ASSERT_TRUE(cluster.core(1).Propose(std::move(entry), Timestamp(0)).ok());
  }
  // 1 has been about to send 3 a snapshot, and told 2 what may be freed from then on.
  LogIndex freeable;
  cluster.filter = [&freeable](ReplicaId, ReplicaId to, CoreMessage& message) {
    auto* append = std::get_if<Append>(&message);
    if (append != nullptr && to == IdOf(2)) append->freeable = freeable;
    return true;
  };
  cluster.Run(absl::Milliseconds(500));
  freeable = cluster.core(2).commit_index();
  cluster.Run(absl::Milliseconds(500));
  ASSERT_EQ(cluster.core(2).freeable_index(), freeable);
  ASSERT_EQ(cluster.core(3).log().last().index, freeable);
  ASSERT_LT(cluster.core(3).log().durable_index(), freeable);
  cluster.Crash(IdOf(1));
  cluster.now += absl::Seconds(3);
  cluster.core(2).Tick(cluster.now);  // 2 is the first to ask
  cluster.Settle();
  cluster.serve_snapshots = true;
  cluster.Run(absl::Seconds(5));
  EXPECT_EQ(cluster.Leader(), 2);
}

TEST(ReplicaCore, AFetchedLogOfAnEarlierCampaignIsIgnored) {
  CoreCluster cluster(3);
  cluster.StartAll();
  cluster.Run(absl::Milliseconds(100));
  cluster.Isolate(3);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(cluster.Propose(1, "x").ok());
  cluster.Run(absl::Milliseconds(300));
  LogPosition before = cluster.core(3).log().last();
  cluster.Crash(IdOf(1));
  cluster.Heal();
  int replies = 0;
  cluster.filter = [&](ReplicaId, ReplicaId, CoreMessage& message) {
    auto* reply = std::get_if<FetchLogReply>(&message);
    if (reply) {
      ++replies;
      reply->epoch = Epoch(1);
    }
    return true;
  };
  cluster.now += absl::Seconds(3);
  cluster.core(3).Tick(cluster.now);
  cluster.Settle();
  ASSERT_GT(replies, 0);
  EXPECT_EQ(cluster.core(3).log().last(), before);
  cluster.filter = nullptr;
  cluster.Run(kLong);
  EXPECT_NE(cluster.Leader(), 0);
  EXPECT_EQ(cluster.node(3).applied.size(), 5u);
}

}  // namespace
}  // namespace meridian::replication
