// Orphans are found among many runs, a few runs at a time; nothing goes that a sibling needs.
#include "replication/garbage_collector.h"

#include <gtest/gtest.h>

#include <set>

#include "base/crc32c.h"
#include "base/random.h"
#include "replication/own_needs.h"
#include "tests/fakes/manual_executor.h"
#include "tests/fakes/memory_replica_storage.h"
#include "tests/replication/faulty_storage.h"
#include "tests/replication/toy_state_machine.h"

namespace meridian::replication {
namespace {

constexpr absl::Duration kOrphanAge = absl::Minutes(10);

// One partition's replica.
struct Side {
  Side(Executor& executor, Random& random, const storage::StateMachine& state_machine,
       const std::shared_ptr<storage::MemoryChunks>& chunks)
      : disk({}, PartitionId::Draw(random), chunks, /*installing=*/false),
        storage(std::make_unique<storage::MemoryReplicaStorage>(disk, executor, random), faults),
        own(storage, state_machine,
            {[this] { return may_need_any; }, [this](RunId run) { return in_use.contains(run); }}),
        collector(storage, state_machine, own, kOrphanAge) {
    storage.TellNeeds(own);
  }

  storage::MemoryReplicaDisk disk;
  StorageFaults faults;
  FaultyStorage storage;
  bool may_need_any = false;
  std::set<RunId> in_use;
  OwnNeeds own;
  GarbageCollector collector;
};

class GarbageCollectorTest : public testing::Test {
 protected:
  void Await(const std::function<void(storage::ReplicaStorage::Done)>& start) {
    bool done = false;
    start([&](absl::Status status) {
      EXPECT_TRUE(status.ok()) << status;
      done = true;
    });
    executor_.RunUntil([&] { return done; });
  }
  RunId WriteRun() { return WriteRun(self_); }
  RunId WriteRun(Side& side) {
    const RunId run = RunId::Draw(random_);
    Await([&](auto done) {
      side.storage.WriteChunk({run, 0}, Buffer::FromString("x"), Crc32c("x"), std::move(done));
    });
    return run;
  }
  void Reference(RunId run) { Reference(self_, run); }
  void Reference(Side& side, RunId run) {
    storage::KvBatch batch;
    batch.Put("r" + run.ToHex(), "1");
    EXPECT_TRUE(side.storage.Apply(batch, LogIndex(), Timestamp()).ok());
  }
  // The run's last reference is dropped by the entry at index 1.
  void MakeGarbage(Side& side, RunId run) {
    if (side.storage.base_index() == LogIndex() && !persisted_.contains(&side)) {
      storage::LogEntry entry;
      entry.epoch = Epoch(1);
      entry.index = LogIndex(1);
      Await([&](auto done) { side.storage.Persist({.entries = {entry}}, std::move(done)); });
      persisted_.insert(&side);
    }
    storage::KvBatch batch;
    batch.Delete("r" + run.ToHex());
    batch.Put("g000000000001" + run.ToHex(), "");
    EXPECT_TRUE(side.storage.Apply(batch, LogIndex(1), Timestamp(1)).ok());
  }
  size_t Collect(Side& side) {
    const auto collected = side.collector.Collect(LogIndex(1), LogIndex(1), Timestamp(1));
    EXPECT_TRUE(collected.ok()) << collected.status();
    return *collected;
  }
  bool IsHere(RunId run) { return self_.storage.StatChunk({run, 0}).value().has_value(); }
  // One call, as each turn of a replica's background work makes.
  std::vector<RunId> Turn() {
    self_.faults.runs_listed = 0;
    auto orphans = self_.collector.FindOrphans(now_);
    EXPECT_TRUE(orphans.ok()) << orphans.status();
    EXPECT_LE(self_.faults.runs_listed, 128u);
    now_ += absl::Milliseconds(150);
    freed_ += orphans->freed;
    return std::move(orphans->to_abort);
  }
  // What turns of twice the orphan age find.
  std::set<RunId> FindOrphans() {
    std::set<RunId> found;
    for (const absl::Duration end = now_ + 2 * kOrphanAge; now_ < end;) {
      for (const RunId& run : Turn()) found.insert(run);
    }
    return found;
  }

  SeededRandom random_{1};
  ManualExecutor executor_;
  ToyStateMachine state_machine_;
  const std::shared_ptr<storage::MemoryChunks> chunks_ = std::make_shared<storage::MemoryChunks>();
  Side self_{executor_, random_, state_machine_, chunks_};
  std::set<Side*> persisted_;
  absl::Duration now_;
  size_t freed_ = 0;
};

// Beside another partition's replica on the same disk, its child by a split, say.
class GarbageOfSiblingsTest : public GarbageCollectorTest {
 protected:
  std::unique_ptr<Side> MakeSide() {
    return std::make_unique<Side>(executor_, random_, state_machine_, chunks_);
  }

  std::unique_ptr<Side> sibling_ = MakeSide();
};

TEST_F(GarbageCollectorTest, LooksAtABoundedNumberOfRunsAtOnceAndFindsEveryOrphan) {
  std::set<RunId> orphans;
  for (int i = 0; i < 1000; ++i) {
    const RunId run = WriteRun();
    if (i % 3 == 0) {
      Reference(run);
    } else if (i % 3 == 1) {
      self_.in_use.insert(run);
    } else {
      orphans.insert(run);
    }
  }
  std::set<RunId> found;
  const absl::Duration begin = now_;
  while (now_ < begin + 2 * kOrphanAge) {
    for (const RunId& run : Turn()) {
      EXPECT_GE(now_ - begin, kOrphanAge);
      found.insert(run);
    }
  }
  EXPECT_EQ(found, orphans);
}

TEST_F(GarbageCollectorTest, ForgetsSinceWhenAGoneOrReferencedRunWasUnknown) {
  std::vector<RunId> runs;
  for (int i = 0; i < 300; ++i) runs.push_back(WriteRun());
  for (const absl::Duration end = now_ + kOrphanAge / 2; now_ < end;) EXPECT_TRUE(Turn().empty());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(self_.storage.DropRun(runs[i]).ok());
  for (int i = 100; i < 200; ++i) self_.in_use.insert(runs[i]);
  for (const absl::Duration end = now_ + kOrphanAge / 2; now_ < end;) EXPECT_TRUE(Turn().empty());
  self_.in_use.clear();
  std::set<RunId> found;
  for (const absl::Duration end = now_ + kOrphanAge / 2; now_ < end;) {
    for (const RunId& run : Turn()) found.insert(run);
  }
  EXPECT_EQ(found, std::set<RunId>(runs.begin() + 200, runs.end()));
}

// P8: what the parent's log drops, the child may reference.
TEST_F(GarbageOfSiblingsTest, GarbageThatASiblingKnowsIsForgottenHereAndFreedByTheSibling) {
  const RunId shared = WriteRun();
  const RunId garbage = WriteRun();
  Reference(*sibling_, shared);
  MakeGarbage(self_, shared);
  MakeGarbage(self_, garbage);
  EXPECT_EQ(Collect(self_), 2u);
  EXPECT_TRUE(IsHere(shared));
  EXPECT_FALSE(IsHere(garbage));
  EXPECT_EQ(Collect(self_), 0u);
  MakeGarbage(*sibling_, shared);
  EXPECT_EQ(Collect(*sibling_), 1u);
  EXPECT_FALSE(IsHere(shared));
}

TEST_F(GarbageOfSiblingsTest, NothingIsFreedWhileASiblingMayNeedIt) {
  const RunId garbage = WriteRun();
  const RunId orphan = WriteRun();
  MakeGarbage(self_, garbage);
  auto nothing_goes = [&] {
    EXPECT_EQ(Collect(self_), 0u);
    EXPECT_TRUE(FindOrphans().empty());
    EXPECT_TRUE(IsHere(garbage));
  };
  // It installs a snapshot, or has not read its log.
  sibling_->may_need_any = true;
  nothing_goes();
  // It writes the runs, or an entry that is not applied names them.
  sibling_->may_need_any = false;
  sibling_->in_use = {garbage, orphan};
  nothing_goes();
  sibling_->in_use.clear();
  EXPECT_EQ(Collect(self_), 1u);
  EXPECT_FALSE(IsHere(garbage));
  EXPECT_EQ(FindOrphans(), std::set<RunId>{orphan});
}

// Not open: it is about to be, or its state cannot be read.
TEST_F(GarbageOfSiblingsTest, NothingIsFreedWhileNobodySpeaksForASibling) {
  const RunId garbage = WriteRun();
  const RunId orphan = WriteRun();
  MakeGarbage(self_, garbage);
  storage::MemoryReplicaDisk closed({}, PartitionId::Draw(random_), chunks_, /*installing=*/true);
  EXPECT_EQ(Collect(self_), 0u);
  EXPECT_TRUE(FindOrphans().empty());
  EXPECT_TRUE(IsHere(garbage) && IsHere(orphan));
  closed.Remove(state_machine_);
  EXPECT_EQ(Collect(self_), 1u);
  EXPECT_EQ(FindOrphans(), std::set<RunId>{orphan});
}

TEST_F(GarbageOfSiblingsTest, OrphansAreThoseThatThisPartitionWroteAndNoSiblingKnows) {
  const RunId orphan = WriteRun();
  const RunId known = WriteRun();
  const RunId held = WriteRun();
  const RunId of_sibling = WriteRun(*sibling_);
  Reference(*sibling_, known);
  sibling_->in_use.insert(held);
  EXPECT_EQ(FindOrphans(), std::set<RunId>{orphan});
  EXPECT_TRUE(IsHere(of_sibling));
  EXPECT_EQ(freed_, 0u);
  // As a member whose disk has no such sibling reports them: that this partition's log refuses a
  // run harms no other partition.
  EXPECT_EQ(self_.collector.UnknownOf({orphan, known}).value(),
            (std::vector<RunId>{orphan, known}));
}

TEST_F(GarbageOfSiblingsTest, RunsOfAPartitionThatIsGoneAreFreedHereUnlessSomebodyKnowsThem) {
  const auto gone = MakeSide();
  const RunId of_gone = WriteRun(*gone);
  const RunId referenced_by_gone = WriteRun();  // written before the split
  const RunId known_here = WriteRun(*gone);
  const RunId known_by_sibling = WriteRun(*gone);
  const RunId held_by_sibling = WriteRun(*gone);
  Reference(*gone, referenced_by_gone);
  Reference(*gone, known_here);
  Reference(self_, known_here);
  Reference(*sibling_, known_by_sibling);
  sibling_->in_use.insert(held_by_sibling);
  gone->disk.Remove(state_machine_);
  sibling_->may_need_any = true;
  EXPECT_TRUE(FindOrphans().empty());
  EXPECT_EQ(freed_, 0u);
  sibling_->may_need_any = false;
  EXPECT_TRUE(FindOrphans().empty()) << "no group speaks for them";
  EXPECT_EQ(freed_, 2u);
  EXPECT_FALSE(IsHere(of_gone) || IsHere(referenced_by_gone));
  EXPECT_TRUE(IsHere(known_here) && IsHere(known_by_sibling) && IsHere(held_by_sibling));
}

TEST_F(GarbageCollectorTest, DoesNothingBetweenPasses) {
  WriteRun();
  Turn();
  Turn();
  EXPECT_EQ(self_.faults.runs_listed, 0u);
}

}  // namespace
}  // namespace meridian::replication
