// A replica that goes on alone after its group has lost a quorum for good (P23).
#include <gtest/gtest.h>

#include <optional>
#include <string>
#include <variant>

#include "base/random.h"
#include "replication/wire.h"
#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

const std::string kBytes = "ciphertext";

absl::Status FetchStatus(ReplicaGroup& group, int n, storage::ChunkId chunk) {
  std::optional<absl::Status> status;
  group.replica(n).FetchChunk(chunk, [&](auto bytes) { status = bytes.status(); });
  group.RunUntil([&] { return status.has_value(); });
  return *status;
}

class ReplicaRecovery : public testing::Test {
 protected:
  void LoseTheOthers() {
    group.Crash(leader);
    group.Crash(other);
    group.Recover(survivor);
    ASSERT_EQ(group.Leader(), survivor);
  }

  ReplicaGroup group{3};
  const int leader = group.Leader();
  const int survivor = leader == 3 ? 2 : 3;
  const int other = 6 - leader - survivor;
};

// It knew the entry to be committed, and was still fetching its chunks from those who are gone.
TEST_F(ReplicaRecovery, ServesThoughItWaitedForTheChunksOfACommittedEntry) {
  group.filter = [&](int from, int, PeerMessage& message) {
    const auto body = DecodeBody(message.body, message.attachments);
    return from != survivor || !body.ok() || !std::holds_alternative<ChunkFetch>(*body);
  };
  group.Isolate(survivor);
  const RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 1, kBytes).ok());
  group.Heal();
  group.RunFor(absl::Seconds(2));
  const ReplicaStatus before = group.Status(survivor);
  ASSERT_GT(before.commit_index, before.durable_index);
  EXPECT_GT(before.chunks_awaited, 0u);
  LoseTheOthers();
  EXPECT_EQ(group.Status(survivor).chunks_awaited, 0u);
  EXPECT_TRUE(group.Propose(survivor, "put a b").ok());
}

// Loudly, and not only once the request's time is over.
TEST_F(ReplicaRecovery, AReadOfAChunkThatNobodyIsLeftToHaveIsAnswered) {
  const RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(leader, run, 2, kBytes).ok());
  group.RunFor(absl::Seconds(1));
  LoseTheOthers();
  SeededRandom random(1);
  ASSERT_TRUE(group.disk(survivor).FlipBit({run, 0}, random));
  EXPECT_TRUE(absl::IsDataLoss(FetchStatus(group, survivor, {run, 0})));
  EXPECT_TRUE(group.replica(survivor).ReadChunk({run, 1}, 0, 1, absl::Seconds(1)).ok());
}

}  // namespace
}  // namespace meridian::replication
