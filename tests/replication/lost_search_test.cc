// Whose lost chunks are looked for, where replicas of several partitions share a disk.
#include "replication/lost_search.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>

#include "base/random.h"
#include "replication/chunk_fetcher.h"
#include "replication/own_needs.h"
#include "replication/peer_link.h"
#include "tests/fakes/manual_executor.h"
#include "tests/fakes/memory_replica_storage.h"
#include "tests/replication/toy_state_machine.h"

namespace meridian::replication {
namespace {

class NoTransport : public Transport {
 public:
  void Send(const NodeId&, PeerMessage) override {}
};

struct Side {
  Side(Executor& executor, Random& random, const storage::StateMachine& state_machine,
       const std::shared_ptr<storage::MemoryChunks>& chunks, Transport& transport)
      : partition(PartitionId::Draw(random)),
        disk({}, partition, chunks, /*installing=*/false),
        storage(disk, executor, random),
        peers(partition, ReplicaId::Draw(random), transport),
        fetcher(peers, storage,
                {[](const absl::Status&) {}, [&executor] { return executor.MonotonicNow(); },
                 [] { return nullptr; }}),
        own(storage, state_machine,
            {[this] { return may_need_any; }, [this](RunId run) { return held.contains(run); }}),
        search(storage, fetcher, own) {
    storage.TellNeeds(own);
  }

  const PartitionId partition;
  storage::MemoryReplicaDisk disk;
  storage::MemoryReplicaStorage storage;
  PeerLink peers;
  ChunkFetcher fetcher;
  bool may_need_any = false;
  std::set<RunId> held;
  OwnNeeds own;
  LostSearch search;
};

class LostSearchTest : public testing::Test {
 protected:
  RunId LoseRun() {
    const RunId run = RunId::Draw(random_);
    bool done = false;
    parent_.storage.PlaceLost({run, 0}, [&](const absl::Status& status) { done = status.ok(); });
    executor_.RunUntil([&] { return done; });
    return run;
  }
  static void Reference(Side& side, RunId run) {
    storage::KvBatch batch;
    batch.Put("r" + run.ToHex(), "1");
    ASSERT_TRUE(side.storage.Apply(batch, LogIndex(), Timestamp()).ok());
  }
  std::unique_ptr<Side> MakeSide() {
    return std::make_unique<Side>(executor_, random_, state_machine_, chunks_, transport_);
  }

  SeededRandom random_{1};
  ManualExecutor executor_;
  ToyStateMachine state_machine_;
  NoTransport transport_;
  const std::shared_ptr<storage::MemoryChunks> chunks_ = std::make_shared<storage::MemoryChunks>();
  Side parent_{executor_, random_, state_machine_, chunks_, transport_};
};

TEST_F(LostSearchTest, SiblingsCountAndSeekWhatTheyNeedThemselves) {
  const auto child = MakeSide();
  for (int i = 0; i < 100; ++i) Reference(parent_, LoseRun());
  Reference(*child, LoseRun());
  child->held.insert(LoseRun());
  EXPECT_EQ(parent_.search.Count(), 100u);
  EXPECT_EQ(child->search.Count(), 2u);
  absl::Duration now;
  for (int turn = 0; turn < 5; ++turn) {
    now += absl::Seconds(5);
    child->search.Tick(now);
    parent_.search.Tick(now);
  }
  EXPECT_EQ(child->fetcher.sought(), 2u);
  EXPECT_EQ(parent_.fetcher.sought(), 4u) << "a few at a time";
  child->may_need_any = true;
  EXPECT_EQ(child->search.Count(), 102u) << "it may turn out to need any";
}

TEST_F(LostSearchTest, AReplicaAloneOnItsDiskSeeksAllThatIsLostThere) {
  LoseRun();
  Reference(parent_, LoseRun());
  EXPECT_EQ(parent_.search.Count(), 2u);
  parent_.search.Tick(absl::Seconds(5));
  EXPECT_EQ(parent_.fetcher.sought(), 2u);
}

}  // namespace
}  // namespace meridian::replication
