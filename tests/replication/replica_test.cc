// The whole replica over in-memory parts.
#include "replication/replica.h"

#include <gtest/gtest.h>

#include <thread>

#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

const std::string kBytes(1000, 'c');

TEST(Replica, AnswersAProposalOnceItIsAppliedAndKeepsReplicasEqual) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  ASSERT_EQ(leader, 1);
  for (int i = 0; i < 200; ++i) {
    auto applied = group.Propose(leader, "put a" + std::to_string(i) + " v");
    ASSERT_TRUE(applied.ok()) << applied.status();
    EXPECT_EQ(applied->outcome, "ok");
  }
  group.RunFor(absl::Seconds(1));
  auto digest = group.Digest(1);
  ASSERT_TRUE(digest.ok());
  for (int n = 2; n <= 3; ++n) EXPECT_EQ(group.Digest(n)->second, digest->second);
}

TEST(Replica, TellsHowLongCommitsTakeWhoLagsAndWhatWaits) {
  bool answered = false;  // outlives the group, whose end answers
  ReplicaGroup group(3);
  int leader = group.Leader();
  ASSERT_EQ(leader, 1);
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(group.Propose(leader, "put a v").ok());
  group.RunFor(absl::Seconds(1));
  ReplicaStatus status = group.Status(leader);
  EXPECT_EQ(status.commit_latency.total(), 5u);
  EXPECT_GT(status.commit_latency.sum, 0u);
  EXPECT_EQ(status.proposals_waiting, 0u);
  EXPECT_EQ(status.lag[IdOf(3)], 0u);
  EXPECT_EQ(group.Status(2).commit_latency.total(), 0u);
  EXPECT_TRUE(group.Status(2).lag.empty());

  group.Crash(3);
  for (int i = 0; i < 4; ++i) ASSERT_TRUE(group.Propose(leader, "put b v").ok());
  status = group.Status(leader);
  EXPECT_EQ(status.commit_latency.total(), 9u);
  EXPECT_EQ(status.lag[IdOf(3)], 4u);

  group.Crash(2);
  group.replica(leader).Propose({"put c v", {}, {}, 0, {}}, [&](const auto&) { answered = true; });
  group.replica(leader).ConfirmRead([](const absl::Status&) {});
  group.RunFor(absl::Milliseconds(100));
  status = group.Status(leader);
  EXPECT_FALSE(answered);
  EXPECT_EQ(status.proposals_waiting, 1u);
  EXPECT_EQ(status.reads_waiting, 1u);
  EXPECT_EQ(status.commit_latency.total(), 9u);
}

TEST(Replica, RefusesProposalsAndReadsElsewhereThanAtTheLeader) {
  ReplicaGroup group(3);
  ASSERT_EQ(group.Leader(), 1);
  EXPECT_TRUE(absl::IsUnavailable(group.Propose(2, "put a b").status()));
  EXPECT_TRUE(absl::IsUnavailable(group.ConfirmRead(3)));
}

// I2: what was acknowledged before is in a view taken after the confirmation.
TEST(Replica, AConfirmedReadSeesAcknowledgedWrites) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  ASSERT_TRUE(group.Propose(leader, "put a 1").ok());
  ASSERT_TRUE(group.ConfirmRead(leader).ok());
  auto value = group.replica(leader).NewView()->Get("ka");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(*value, "1");
  group.Isolate(leader);
  EXPECT_TRUE(absl::IsUnavailable(group.ConfirmRead(leader)));
}

// I1: acknowledged, then power fails everywhere.
TEST(Replica, AcknowledgedWritesSurviveACrashOfAllReplicas) {
  ReplicaGroup group(3);
  for (int round = 0; round < 5; ++round) {
    int leader = group.Leader();
    ASSERT_NE(leader, 0);
    ASSERT_TRUE(group.Propose(leader, "put r" + std::to_string(round) + " v").ok());
    for (int n = 1; n <= 3; ++n) group.Crash(n);
    for (int n = 1; n <= 3; ++n) group.Start(n);
  }
  int leader = group.Leader();
  ASSERT_TRUE(group.ConfirmRead(leader).ok());
  for (int round = 0; round < 5; ++round) {
    EXPECT_TRUE((*group.replica(leader).NewView()->Get("kr" + std::to_string(round))).has_value());
  }
}

TEST(Replica, ProposalsThatLoseTheirLeaderAreAnsweredUnavailable) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.Isolate(leader);
  EXPECT_TRUE(absl::IsUnavailable(group.Propose(leader, "put a b").status()));
  EXPECT_GE(group.Status(leader).counters.suspensions, 1u);
  group.Heal();
  EXPECT_NE(group.Leader(), 0);
}

TEST(Replica, ChunksAreWrittenToEveryReplica) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 3, kBytes).ok());
  group.RunFor(absl::Milliseconds(100));
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(group.disk(n).Chunks().size(), 3u);
}

// I4: a member that lost the chunk on the way fetches it before it acknowledges the entry.
TEST(Replica, AMemberFetchesTheChunksThatItLacksBeforeItAcknowledges) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  bool served = false;
  group.filter = [&](int, int to, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    served |= std::holds_alternative<ChunkFetchReply>(*body);
    return !(std::holds_alternative<ChunkWrite>(*body) && to == 3);
  };
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 2, kBytes).ok());
  group.RunFor(absl::Seconds(3));
  EXPECT_TRUE(served);
  EXPECT_EQ(group.disk(3).Chunks().size(), 2u);
  EXPECT_EQ(group.Status(3).applied_index, group.Status(leader).applied_index);
  EXPECT_EQ(group.Status(3).counters.chunks_fetched, 2u);
}

TEST(Replica, AChunkWithoutAQuorumIsNotAcknowledged) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.filter = [&](int, int, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    return !std::holds_alternative<ChunkWrite>(*body);
  };
  EXPECT_TRUE(absl::IsUnavailable(group.WriteChunk(leader, {group.NewRun(), 0}, kBytes)));
}

TEST(Replica, AProposalNamingChunksThatAreNowhereIsNotAppended) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  LogIndex before = group.Status(leader).last_index;
  Proposal proposal;
  proposal.command = "put a b";
  proposal.chunks.push_back({group.NewRun(), 0, 1});
  EXPECT_TRUE(absl::IsUnavailable(group.Propose(leader, std::move(proposal)).status()));
  EXPECT_EQ(group.Status(leader).last_index, before);
}

// P8: freed once every member has passed the drop, and not before.
TEST(Replica, ARunIsFreedEverywhereOnceEveryMemberHasPassedItsDrop) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 2, kBytes).ok());
  group.RunFor(absl::Seconds(1));
  group.Isolate(3);
  ASSERT_TRUE(group.Propose(leader, "drop " + run.ToHex()).ok());
  group.RunFor(absl::Seconds(1));
  EXPECT_EQ(group.disk(leader).Chunks().size(), 2u);
  group.Heal();
  group.RunFor(absl::Seconds(10));
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(group.disk(n).Chunks().size(), 0u) << n;
}

TEST(Replica, APinnedRunIsNotFreed) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 1, kBytes).ok());
  auto pin = group.replica(leader).PinRun(run);
  ASSERT_TRUE(group.Propose(leader, "drop " + run.ToHex()).ok());
  group.RunFor(absl::Seconds(5));
  EXPECT_EQ(group.disk(leader).Chunks().size(), 1u);
  pin.reset();
  group.RunFor(absl::Seconds(5));
  EXPECT_EQ(group.disk(leader).Chunks().size(), 0u);
}

TEST(Replica, ARunThatNobodyKnowsIsAbortedAndFreed) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.WriteChunk(leader, {run, 0}, kBytes).ok());
  group.RunFor(absl::Seconds(60));
  EXPECT_EQ(group.disk(2).Chunks().size(), 1u);  // still active
  group.replica(leader).EndRun(run);
  group.RunFor(absl::Seconds(90));
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(group.disk(n).Chunks().size(), 0u) << n;
  Proposal late;
  late.command = "ref " + run.ToHex() + " 1";
  EXPECT_EQ(group.Propose(leader, std::move(late))->outcome, "refused");
}

TEST(Replica, AMemberFarBehindIsBroughtUpByASnapshotWithItsChunks) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.Isolate(3);
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 20, kBytes).ok());
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(
        group.Propose(leader, "put k" + std::to_string(i) + " " + std::string(5000, 'v')).ok());
  }
  group.RunFor(absl::Seconds(5));
  group.Heal();
  group.RunFor(absl::Seconds(30));
  EXPECT_EQ(group.Status(3).counters.snapshots_installed, 1u);
  EXPECT_EQ(group.Status(leader).counters.snapshots_sent, 1u);
  EXPECT_EQ(group.disk(3).Chunks().size(), 20u);
  EXPECT_EQ(group.Digest(3)->second, group.Digest(leader)->second);
  ASSERT_TRUE(group.Propose(leader, "put after 1").ok());
  group.RunFor(absl::Seconds(1));
  EXPECT_EQ(group.Digest(3)->second, group.Digest(leader)->second);
}

// P6: cut off in the middle, the install begins again.
TEST(Replica, AnInterruptedSnapshotIsRestarted) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.Isolate(3);
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(
        group.Propose(leader, "put k" + std::to_string(i) + " " + std::string(9000, 'v')).ok());
  }
  group.RunFor(absl::Seconds(5));
  int pieces = 0;
  group.filter = [&](int, int, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    pieces += std::holds_alternative<SnapshotPiece>(*body);
    return true;
  };
  group.Heal();
  group.RunUntil([&] { return pieces >= 4; });
  group.RunFor(absl::Milliseconds(1));
  ASSERT_TRUE(group.Status(3).installing);
  group.Crash(3);
  group.Start(3);
  group.RunFor(absl::Seconds(40));
  EXPECT_FALSE(group.Status(3).installing);
  EXPECT_EQ(group.Digest(3)->second, group.Digest(group.Leader())->second);
}

TEST(Replica, ACorruptChunkIsReadFromAPeerAndRepaired) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 1, kBytes).ok());
  group.RunFor(absl::Seconds(1));
  SeededRandom random(3);
  ASSERT_TRUE(group.disk(leader).FlipBit({run, 0}, random));
  absl::StatusOr<Buffer> read = absl::UnknownError("not read");
  std::atomic<bool> done{false};
  std::thread reader([&] {
    read = group.replica(leader).ReadChunk({run, 0}, 10, 20, absl::Seconds(30));
    done = true;
    group.executor().Post([] {});
  });
  group.RunUntil([&] { return done.load(); });
  reader.join();
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->view(), std::string(20, 'c'));
  EXPECT_EQ(group.Status(leader).corrupt_chunks, 1u);
  EXPECT_EQ(group.Status(leader).repaired_chunks, 1u);
  auto again = group.replica(leader).ReadChunk({run, 0}, 0, 1000, absl::ZeroDuration());
  EXPECT_TRUE(again.ok()) << again.status();
}

TEST(Replica, AFailedDiskTakesTheReplicaOutOfService) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.disk(leader).Fail();
  EXPECT_TRUE(absl::IsUnavailable(group.Propose(leader, "put a b").status()));
  EXPECT_TRUE(group.failure(leader).has_value());
  EXPECT_FALSE(group.Status(leader).health.ok());
  EXPECT_FALSE(group.Status(leader).is_leader);
  int next = group.Leader();
  ASSERT_NE(next, leader);
  ASSERT_NE(next, 0);
  EXPECT_TRUE(group.Propose(next, "put a b").ok());
}

// By a scrub, or a flush of rows: no write of the leader's own tells it.
TEST(Replica, ALeaderWhoseDiskOthersFoundFailedMakesRoomForAnother) {
  ReplicaGroup group(3);
  const int leader = group.Leader();
  group.faults(leader).found_failed = true;
  group.RunFor(absl::Seconds(3));
  EXPECT_TRUE(group.failure(leader).has_value());
  const int next = group.Leader();
  EXPECT_NE(next, leader);
  EXPECT_TRUE(group.Propose(next, "put a b").ok());
}

TEST(Replica, DestructionAnswersWhatWaits) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.Isolate(leader);
  int answers = 0;
  auto count = [&](const absl::Status& status) { answers += absl::IsUnavailable(status); };
  Proposal proposal;
  proposal.command = "put a b";
  group.replica(leader).Propose(proposal, [&](auto applied) { count(applied.status()); });
  group.replica(leader).ConfirmRead(count);
  group.replica(leader).WriteChunk({group.NewRun(), 0}, Buffer::FromString("x"), Crc32c("x"),
                                   count);
  group.RunFor(absl::Milliseconds(1));
  group.replica(leader).Propose(proposal, [&](auto applied) { count(applied.status()); });
  EXPECT_EQ(answers, 0);
  group.Crash(leader);
  EXPECT_EQ(answers, 4);
}

TEST(Replica, ProposalsAreBounded) {
  ReplicaOptions options = ReplicaGroup::Options();
  options.max_inflight_proposals = 10;
  ReplicaGroup group(3, options);
  int leader = group.Leader();
  int refused = 0, answered = 0;
  for (int i = 0; i < 25; ++i) {
    Proposal proposal;
    proposal.command = "put a b";
    group.replica(leader).Propose(proposal, [&](auto applied) {
      ++answered;
      refused += absl::IsResourceExhausted(applied.status());
    });
  }
  group.RunUntil([&] { return answered == 25; });
  EXPECT_EQ(refused, 15);
}

TEST(Replica, MalformedMessagesAreCountedAndIgnored) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  PeerMessage message;
  message.partition = ReplicaGroup::Partition();
  message.from = IdOf(2);
  message.to = IdOf(leader);
  message.body = "\xff\xff not a message";
  group.replica(leader).OnMessage(message);
  EXPECT_EQ(group.Status(leader).counters.malformed_messages, 1u);
  EXPECT_TRUE(group.Propose(leader, "put a b").ok());
}

}  // namespace
}  // namespace meridian::replication
