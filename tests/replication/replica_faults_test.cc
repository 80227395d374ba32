// The whole replica while disks are full or slow, peers send nonsense, and nothing commits.
#include <gtest/gtest.h>

#include <functional>
#include <optional>
#include <vector>

#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

const std::string kBytes(1000, 'c');

// A disk that is full stays in service: what is committed waits, deletes remain possible.
TEST(ReplicaFaults, AFullDiskAppliesAndFreesOnceThereIsSpace) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 2, kBytes).ok());
  group.RunFor(absl::Seconds(1));
  group.faults(3).full = true;
  ASSERT_TRUE(group.Propose(leader, "put a b").ok());
  ASSERT_TRUE(group.Propose(leader, "drop " + run.ToHex()).ok());
  group.RunFor(absl::Seconds(5));
  EXPECT_TRUE(group.Status(3).health.ok()) << group.Status(3).health;
  EXPECT_LT(group.Status(3).applied_index, group.Status(leader).applied_index);
  EXPECT_EQ(group.disk(3).Chunks().size(), 2u);
  group.faults(3).full = false;
  group.RunFor(absl::Seconds(5));
  EXPECT_EQ(group.Digest(3)->second, group.Digest(leader)->second);
  EXPECT_EQ(group.disk(3).Chunks().size(), 0u);
}

// Their entries are not applied here, so that no state knows of them.
TEST(ReplicaFaults, BodiesThatWaitForTheirApplyAreNoOrphans) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  int member = leader == 3 ? 2 : 3;
  int reports = 0;
  group.filter = [&](int, int, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    reports += body.ok() && std::holds_alternative<OrphanReport>(*body);
    return true;
  };
  group.faults(member).full = true;
  Proposal proposal;
  proposal.inline_run = group.NewRun();
  proposal.command = "ref " + proposal.inline_run.ToHex() + " 1";
  proposal.inline_body = Buffer::FromString(kBytes);
  proposal.inline_crc32c = Crc32c(kBytes);
  ASSERT_TRUE(group.Propose(leader, std::move(proposal)).ok());
  ASSERT_TRUE(group.Propose(leader, "put a b").ok());
  group.RunFor(absl::Minutes(2));
  EXPECT_LT(group.Status(member).applied_index, group.Status(leader).applied_index);
  EXPECT_EQ(reports, 0);
}

// P8: else the group could free nothing, on any disk, and the disk never had room again.
TEST(ReplicaFaults, ADiskThatRefusesNewDataCatchesUpSoThatWhatIsDeletedIsFreedEverywhere) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  int refusing = leader == 3 ? 2 : 3;
  group.faults(refusing).refuses_new_data = true;
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 2, kBytes).ok());
  group.RunFor(absl::Seconds(5));
  EXPECT_EQ(group.disk(refusing).Chunks().size(), 2u) << "fetched from a peer";
  ASSERT_TRUE(group.Propose(leader, "drop " + run.ToHex()).ok());
  group.RunFor(absl::Seconds(5));
  for (int n = 1; n <= 3; ++n) EXPECT_EQ(group.disk(n).Chunks().size(), 0u) << n;
}

void LeaveBehind(ReplicaGroup& group, int leader, int member) {
  group.Isolate(member);
  for (int i = 0; i < 100; ++i) {
    ASSERT_TRUE(
        group.Propose(leader, "put k" + std::to_string(i) + " " + std::string(5000, 'v')).ok());
  }
  group.RunFor(absl::Seconds(5));
  group.Heal();
}

TEST(ReplicaFaults, ASnapshotWaitsForSpaceOnTheReceiversDisk) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  LeaveBehind(group, leader, 3);
  group.faults(3).full = true;
  group.RunFor(absl::Seconds(30));
  EXPECT_TRUE(group.Status(3).installing);
  EXPECT_TRUE(group.Status(3).health.ok()) << group.Status(3).health;
  // It answers, and the leader knows all the same that nothing comes of it.
  ASSERT_EQ(group.Leader(), leader);
  const ReplicaStatus::SnapshotProgress progress = group.Status(leader).snapshots[IdOf(3)];
  EXPECT_TRUE(progress.disk_full);
  EXPECT_GT(progress.stalled, absl::Seconds(25));
  EXPECT_LT(group.Status(leader).silence[IdOf(3)], absl::Seconds(2));
  group.faults(3).full = false;
  group.RunFor(absl::Seconds(30));
  EXPECT_FALSE(group.Status(3).installing);
  EXPECT_TRUE(group.Status(leader).snapshots.empty());
  EXPECT_EQ(group.Digest(3)->second, group.Digest(leader)->second);
}

TEST(ReplicaFaults, TheStrandGoesOnWhileAnInstallsBeginIsWritten) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  group.faults(3).hold_begin = true;
  LeaveBehind(group, leader, 3);
  group.RunFor(absl::Seconds(20));
  ASSERT_EQ(group.faults(3).held.size(), 1u);  // begun once
  EXPECT_TRUE(group.Status(3).installing);
  EXPECT_TRUE(group.Propose(leader, "put a b").ok());
  group.faults(3).hold_begin = false;
  for (auto& begin : std::exchange(group.faults(3).held, {})) begin();
  group.RunFor(absl::Seconds(30));
  EXPECT_FALSE(group.Status(3).installing);
  EXPECT_EQ(group.Digest(3)->second, group.Digest(leader)->second);
}

// The entries that name a run, or brought its body, go before its chunks: else a restart, or a
// member that asks for them, is led to chunks that are nowhere (P8).
TEST(ReplicaFaults, TheLogIsTrimmedBeforeARunIsDropped) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 1, kBytes).ok());
  auto dropped = group.Propose(leader, "drop " + run.ToHex());
  ASSERT_TRUE(dropped.ok());
  group.RunFor(absl::Seconds(10));
  for (int n = 1; n <= 3; ++n) {
    ASSERT_TRUE(group.faults(n).base_at_drop.contains(run)) << n;
    EXPECT_GE(group.faults(n).base_at_drop[run], dropped->index) << n;
  }
}

TEST(ReplicaFaults, ChunksOfImpossibleSizesAreRefusedAndHarmNobody) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  for (size_t size : {size_t{0}, (size_t{2} << 20) + 1}) {
    std::string bytes(size, 'x');
    EXPECT_TRUE(absl::IsInvalidArgument(group.WriteChunk(leader, {group.NewRun(), 0}, bytes)));
    // From a peer that does not check.
    std::optional<absl::StatusCode> answer;
    group.filter = [&](int from, int, PeerMessage& message) {
      auto body = DecodeBody(message.body, message.attachments);
      if (body.ok() && from == 3 && std::holds_alternative<ChunkAck>(*body)) {
        answer = std::get<ChunkAck>(*body).code;
      }
      return true;
    };
    ChunkWrite write{{group.NewRun(), 0}, Crc32c(bytes), Buffer::FromString(bytes)};
    EncodedBody encoded = EncodeBody(write);
    PeerMessage message;
    message.partition = ReplicaGroup::Partition();
    message.from = IdOf(leader);
    message.to = IdOf(3);
    message.body = encoded.body;
    message.attachments = encoded.attachments;
    group.replica(3).OnMessage(message);
    group.RunFor(absl::Seconds(1));
    // What does not even decode is counted and not answered.
    EXPECT_EQ(answer.value_or(absl::StatusCode::kInvalidArgument),
              absl::StatusCode::kInvalidArgument);
    EXPECT_TRUE(group.Status(3).health.ok()) << group.Status(3).health;
    EXPECT_GT(group.Status(3).counters.malformed_messages, 0u);
  }
}

TEST(ReplicaFaults, AFullQueueIsNotAFullDisk) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  for (int n = 1; n <= 3; ++n) group.faults(n).busy_writes = 2;
  EXPECT_TRUE(group.WriteChunk(leader, {group.NewRun(), 0}, kBytes).ok());
}

TEST(ReplicaFaults, FullDisksOfAQuorumRefuseAChunk) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  for (int n = 1; n <= 3; ++n) group.faults(n).full = n != leader;
  absl::Status full = group.WriteChunk(leader, {group.NewRun(), 0}, kBytes);
  EXPECT_TRUE(absl::IsResourceExhausted(full) && IsDiskFull(full)) << full;
}

TEST(ReplicaFaults, TooManyBytesInFlightAreNotAFullDisk) {
  ReplicaOptions options = ReplicaGroup::Options();
  options.max_inflight_chunk_bytes = 100;
  ReplicaGroup group(3, options);
  absl::Status busy = group.WriteChunk(group.Leader(), {group.NewRun(), 0}, kBytes);
  EXPECT_TRUE(absl::IsResourceExhausted(busy) && !IsDiskFull(busy)) << busy;
}

// Drops, of what goes to `member`, the writes of chunks.
std::function<bool(int, int, PeerMessage&)> WithoutChunkWritesTo(int member) {
  return [member](int, int to, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    return to != member || !body.ok() || !std::holds_alternative<ChunkWrite>(*body);
  };
}

absl::Status FetchStatus(ReplicaGroup& group, int n, storage::ChunkId chunk) {
  std::optional<absl::Status> status;
  group.replica(n).FetchChunk(chunk, [&](auto bytes) { status = bytes.status(); });
  group.RunUntil([&] { return status.has_value(); });
  return *status;
}

// Twice: as it was.
void CorruptOn(ReplicaGroup& group, std::vector<int> members, storage::ChunkId chunk) {
  for (int n : members) {
    SeededRandom random(1);
    ASSERT_TRUE(group.disk(n).FlipBit(chunk, random));
  }
}

class LostChunks : public testing::Test {
 protected:
  // A run of so many chunks, of which the member that is behind knows nothing.
  RunId PutWhileOneIsAway(uint32_t chunks) {
    group.Isolate(behind);
    RunId run = group.NewRun();
    EXPECT_TRUE(group.PutRun(leader, run, chunks, kBytes).ok());
    return run;
  }

  ReplicaGroup group{3};
  const int leader = group.Leader();
  const int behind = leader == 3 ? 2 : 3;
  const int other = 6 - leader - behind;
};

// A group that has lost a chunk must not lose its redundancy with it.
TEST_F(LostChunks, ASnapshotIsInstalledThoughAChunkIsLostEverywhere) {
  RunId run = PutWhileOneIsAway(2);
  LeaveBehind(group, leader, behind);
  CorruptOn(group, {leader, other}, {run, 0});
  group.RunFor(absl::Seconds(60));
  ASSERT_FALSE(group.Status(behind).installing);
  EXPECT_EQ(group.Digest(behind)->second, group.Digest(leader)->second);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 1u);
  EXPECT_EQ(group.disk(behind).Chunks().size(), 2u);
  // Loudly, and not only once the request's time is over.
  EXPECT_TRUE(absl::IsDataLoss(FetchStatus(group, behind, {run, 0})));
  EXPECT_TRUE(FetchStatus(group, behind, {run, 1}).ok());
  // It counts again.
  group.Isolate(other);
  EXPECT_TRUE(group.Propose(leader, "put a b").ok());
}

TEST_F(LostChunks, ALossThatAFullDiskRecordsOnlyTheSecondTimeIsCounted) {
  RunId run = PutWhileOneIsAway(1);
  LeaveBehind(group, leader, behind);
  CorruptOn(group, {leader, other}, {run, 0});
  group.faults(behind).unflushed_losses = 1;
  group.RunFor(absl::Seconds(60));
  ASSERT_FALSE(group.Status(behind).installing);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 1u);
}

// A rebuild that waits is better than the loss of what a silent member has.
TEST_F(LostChunks, AChunkThatASilentMemberMayHaveIsWaitedFor) {
  RunId run = PutWhileOneIsAway(1);
  LeaveBehind(group, leader, behind);
  CorruptOn(group, {leader}, {run, 0});
  group.Isolate(other);
  group.RunFor(absl::Minutes(10));
  EXPECT_TRUE(group.Status(behind).installing);
  EXPECT_EQ(group.Status(behind).chunks_awaited, 1u);
  EXPECT_GT(group.Status(leader).snapshots[IdOf(behind)].stalled, absl::Minutes(9));
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 0u);
  group.Heal();
  group.RunFor(absl::Seconds(30));
  EXPECT_FALSE(group.Status(behind).installing);
  EXPECT_EQ(group.Status(behind).chunks_awaited, 0u);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 0u);
  EXPECT_TRUE(FetchStatus(group, behind, {run, 0}).ok());
}

TEST_F(LostChunks, AChunkThatABusyMemberHasIsNeverLost) {
  RunId run = PutWhileOneIsAway(1);
  LeaveBehind(group, leader, behind);
  CorruptOn(group, {leader}, {run, 0});
  group.faults(other).busy_reads = true;
  group.RunFor(absl::Minutes(10));
  EXPECT_TRUE(group.Status(behind).installing);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 0u);
  group.faults(other).busy_reads = false;
  group.RunFor(absl::Seconds(30));
  EXPECT_FALSE(group.Status(behind).installing);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 0u);
  EXPECT_TRUE(FetchStatus(group, behind, {run, 0}).ok());
}

TEST_F(LostChunks, ACommittedEntryWhoseChunkIsLostEverywhereDoesNotHoldAMember) {
  RunId run = PutWhileOneIsAway(1);
  CorruptOn(group, {leader, other}, {run, 0});
  group.Heal();
  group.RunFor(absl::Seconds(30));
  EXPECT_EQ(group.Status(behind).counters.snapshots_installed, 0u);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 1u);
  EXPECT_EQ(group.Digest(behind)->second, group.Digest(leader)->second);
  // Another entry that names it does not count it again.
  Proposal proposal;
  proposal.command = "put a b";
  proposal.chunks.push_back({run, 0, 1});
  ASSERT_TRUE(group.Propose(leader, std::move(proposal)).ok());
  group.RunFor(absl::Seconds(30));
  EXPECT_EQ(group.Digest(behind)->second, group.Digest(leader)->second);
  EXPECT_EQ(group.Status(behind).counters.chunks_lost, 1u);
}

// Drops the chunk writes to one member, and keeps what another has from being committed.
struct HeldBack {
  int without, other;
  storage::ChunkId chunk;
  LogIndex highest_match;
  bool hold = true;
  int asked = 0;  // the leader, for the chunk
  bool operator()(int from, int to, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    if (!body.ok()) return true;
    if (to == without && std::holds_alternative<ChunkWrite>(*body)) return false;
    asked += from == without && to != other && std::holds_alternative<ChunkFetch>(*body);
    auto* core = std::get_if<CoreMessage>(&*body);
    auto* reply = core == nullptr ? nullptr : std::get_if<AppendReply>(core);
    if (from != other || reply == nullptr || !hold) return true;
    reply->match = std::min(reply->match, highest_match);
    EncodedBody encoded = EncodeBody(*body);
    message.body = std::move(encoded.body);
    message.attachments = std::move(encoded.attachments);
    return true;
  }
};

// Who commits an entry may have its chunk: what anybody said before then is no evidence.
TEST(ReplicaFaults, AChunkIsNotLostByWhatWasSaidBeforeItsEntryWasCommitted) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  int without = leader == 3 ? 2 : 3, other = 6 - leader - without;
  group.RunFor(absl::Seconds(1));
  const LogIndex before = group.Status(leader).last_index;
  HeldBack held{without, other, {group.NewRun(), 0}, before};
  group.filter = std::ref(held);
  ASSERT_TRUE(group.WriteChunk(leader, held.chunk, kBytes).ok());
  CorruptOn(group, {leader, other}, held.chunk);
  Proposal proposal;
  proposal.command = "ref " + held.chunk.run.ToHex() + " 1";
  proposal.chunks.push_back({held.chunk.run, 0, 1});
  group.replica(leader).Propose(std::move(proposal), [](auto) {});
  // A read always waits, and is told.
  int told = 0;
  std::function<void()> read = [&] {
    group.replica(without).FetchChunk(held.chunk, [&](auto bytes) {
      if (absl::IsUnavailable(bytes.status())) return;  // the end
      told += absl::IsDataLoss(bytes.status());
      read();
    });
  };
  read();
  group.RunFor(absl::Seconds(60));
  EXPECT_GT(told, 2);
  EXPECT_EQ(group.Status(without).commit_index, before);
  held.hold = false;
  while (group.Status(without).commit_index == before) group.RunFor(absl::Milliseconds(1));
  held.asked = 0;
  for (int i = 0; i < 60000 && group.Status(without).counters.chunks_lost == 0; ++i) {
    group.RunFor(absl::Milliseconds(1));
  }
  EXPECT_EQ(group.Status(without).counters.chunks_lost, 1u);
  EXPECT_GE(held.asked, 3);
  group.replica(without).Stop();
}

// A member on whose disk a chunk is lost, after a bit of all others has turned.
struct Lossy {
  explicit Lossy(uint32_t chunks = 1) {
    leader = group.Leader();
    behind = leader == 3 ? 2 : 3;
    other = 6 - leader - behind;
    group.Isolate(behind);
    run = group.NewRun();
    EXPECT_TRUE(group.PutRun(leader, run, chunks, kBytes).ok());
    for (uint32_t i = 0; i < chunks; ++i) CorruptOn(group, {leader, other}, {run, i});
    group.Heal();
    group.RunFor(absl::Seconds(10 + 5 * chunks));
  }
  ReplicaGroup group{3};
  int leader, behind, other;
  RunId run;
};

TEST(ReplicaFaults, AChunkThatIsLostIsSearchedForUntilSomebodyHasIt) {
  Lossy lossy;
  ReplicaGroup& group = lossy.group;
  EXPECT_EQ(group.Status(lossy.behind).chunks_without_copy, 1u);
  group.Crash(lossy.behind);
  group.Start(lossy.behind);
  group.RunFor(absl::Minutes(5));
  EXPECT_EQ(group.Status(lossy.behind).chunks_without_copy, 1u);
  CorruptOn(group, {lossy.other}, {lossy.run, 0});  // the same bit again
  group.RunFor(absl::Minutes(2));
  EXPECT_EQ(group.Status(lossy.behind).chunks_without_copy, 0u);
  EXPECT_EQ(group.Status(lossy.behind).repaired_chunks, 1u);
  group.Isolate(lossy.behind);
  auto bytes = group.replica(lossy.behind).ReadChunk({lossy.run, 0}, 0, 1000, absl::Seconds(1));
  ASSERT_TRUE(bytes.ok()) << bytes.status();
  EXPECT_EQ(bytes->view(), kBytes);
}

TEST(ReplicaFaults, TheSearchForLostChunksIsRare) {
  Lossy lossy(20);
  ReplicaGroup& group = lossy.group;
  ASSERT_EQ(group.Status(lossy.behind).chunks_without_copy, 20u);
  EXPECT_EQ(group.Status(lossy.behind).counters.chunks_lost, 20u);
  std::map<storage::ChunkId, int> asked;
  group.filter = [&](int from, int, PeerMessage& message) {
    auto body = DecodeBody(message.body, message.attachments);
    if (from == lossy.behind && body.ok() && std::holds_alternative<ChunkFetch>(*body)) {
      ++asked[std::get<ChunkFetch>(*body).chunk];
    }
    return true;
  };
  group.RunFor(absl::Minutes(5));
  EXPECT_EQ(asked.size(), 20u);
  for (const auto& [chunk, times] : asked) {
    EXPECT_GE(times, 4) << chunk.number;
    EXPECT_LE(times, 12) << chunk.number;  // two peers
  }
}

// I4: else {leader, member} would commit an entry whose only good chunk is on a third disk.
TEST(ReplicaFaults, AnEntryIsNeverCommittedByAMemberThatLacksItsChunk) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  int without = leader == 3 ? 2 : 3, other = 6 - leader - without;
  RunId run = group.NewRun();
  group.filter = WithoutChunkWritesTo(without);
  ASSERT_TRUE(group.WriteChunk(leader, {run, 0}, kBytes).ok());
  CorruptOn(group, {leader}, {run, 0});
  group.Isolate(other);
  LogIndex before = group.Status(leader).commit_index;
  Proposal proposal;
  proposal.command = "ref " + run.ToHex() + " 1";
  proposal.chunks.push_back({run, 0, 1});
  EXPECT_TRUE(absl::IsUnavailable(group.Propose(leader, std::move(proposal)).status()));
  group.RunFor(absl::Minutes(5));
  EXPECT_EQ(group.Status(without).counters.chunks_lost, 0u);
  EXPECT_EQ(group.Status(without).commit_index, before);
  group.Heal();
  group.RunFor(absl::Seconds(30));
  EXPECT_GT(group.Status(without).commit_index, before);
  EXPECT_EQ(group.Status(without).counters.chunks_lost, 0u);
  EXPECT_TRUE(FetchStatus(group, without, {run, 0}).ok());
}

TEST(ReplicaFaults, ADiskThatReadsSlowlyForAPeerHoldsNobodyElseUp) {
  ReplicaOptions options = ReplicaGroup::Options();
  options.retained_log_entries = 1000;
  options.max_cached_log_bytes = 1000;
  ReplicaGroup group(3, options);
  int leader = group.Leader();
  int behind = leader == 3 ? 2 : 3, other = 6 - leader - behind;
  group.Isolate(behind);
  RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 1, kBytes).ok());
  CorruptOn(group, {other}, {run, 0});
  for (int i = 0; i < 50; ++i) {
    ASSERT_TRUE(group.Propose(leader, "put k" + std::to_string(i) + " " + kBytes).ok());
  }
  // The entries for the member come from the leader's disk, and so does the chunk, once they do.
  group.faults(leader).hold_reads = true;
  group.Heal();
  group.RunFor(absl::Seconds(10));
  EXPECT_EQ(group.faults(leader).held.size(), 1u);
  EXPECT_LT(group.Status(behind).applied_index, group.Status(leader).applied_index);
  Epoch epoch = group.Status(leader).epoch;
  ASSERT_TRUE(group.Propose(leader, "put a b").ok());
  for (int i = 0; i < 100 && group.Digest(behind)->second != group.Digest(leader)->second; ++i) {
    for (auto& read : std::exchange(group.faults(leader).held, {})) read();
    group.RunFor(absl::Seconds(1));
  }
  EXPECT_EQ(group.Digest(behind)->second, group.Digest(leader)->second);
  EXPECT_EQ(group.Status(behind).counters.chunks_fetched, 1u);
  EXPECT_EQ(group.Status(behind).counters.snapshots_installed, 0u);
  EXPECT_TRUE(group.Status(leader).is_serving);
  EXPECT_EQ(group.Status(leader).epoch, epoch);
}

// The leader hears its members, so that it goes on leading; their disks hang, so that nothing
// commits.
TEST(ReplicaFaults, ALogThatDoesNotCommitStaysBoundedWhenProposalsTimeOut) {
  ReplicaOptions options = ReplicaGroup::Options();
  options.max_inflight_proposal_bytes = 20000;
  options.request_timeout = absl::Seconds(2);
  ReplicaGroup group(3, options);
  int leader = group.Leader();
  for (int n = 1; n <= 3; ++n) {
    if (n != leader) group.disk(n).SetSlowness(1e9);
  }
  int answered = 0, refused = 0;
  auto propose = [&] {
    Proposal proposal;
    proposal.command = "put a " + std::string(2000, 'v');
    group.replica(leader).Propose(proposal, [&](auto applied) {
      ++answered;
      refused += absl::IsResourceExhausted(applied.status());
    });
  };
  for (int i = 0; i < 20; ++i) propose();
  group.RunFor(absl::Seconds(4));
  EXPECT_EQ(answered, 20);
  EXPECT_EQ(refused, 10);
  ASSERT_TRUE(group.Status(leader).is_serving);
  LogIndex last = group.Status(leader).last_index;
  propose();
  group.RunFor(absl::Milliseconds(100));
  EXPECT_EQ(refused, 11);
  EXPECT_EQ(group.Status(leader).last_index, last);
  for (int n = 1; n <= 3; ++n) group.disk(n).SetSlowness(1);
}

TEST(ReplicaFaults, AnEntryThatNoJournalTakesIsRefused) {
  ReplicaGroup group(3);
  int leader = group.Leader();
  Proposal proposal;
  proposal.command = "put a b";
  proposal.inline_run = group.NewRun();
  proposal.inline_body = Buffer::FromString(std::string(4 << 20, 'x'));
  EXPECT_TRUE(absl::IsInvalidArgument(group.Propose(leader, std::move(proposal)).status()));
  EXPECT_TRUE(group.Propose(leader, "put a b").ok());
  for (int n = 1; n <= 3; ++n) EXPECT_TRUE(group.Status(n).health.ok());
}

TEST(ReplicaFaults, ADigestIsComputedBesideTheStrand) {
  ReplicaOptions options = ReplicaGroup::Options();
  options.digest_on_own_thread = true;
  ReplicaGroup group(3, options);
  int leader = group.Leader();
  auto applied = group.Propose(leader, "put a b");
  ASSERT_TRUE(applied.ok());
  auto digest = group.Digest(leader);
  ASSERT_TRUE(digest.ok()) << digest.status();
  EXPECT_GE(digest->first, applied->index);
  EXPECT_EQ(digest->second, "ka=b;");
  // Destroyed in the middle, it answers.
  absl::StatusOr<std::pair<LogIndex, std::string>> late = absl::UnknownError("not answered");
  group.replica(leader).GetDigest([&](auto answer) { late = std::move(answer); });
  group.executor().RunQueued();
  group.Crash(leader);
  EXPECT_FALSE(absl::IsUnknown(late.status())) << late.status();
}

}  // namespace
}  // namespace meridian::replication
