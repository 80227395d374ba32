// Orphans are found among many runs, a few runs at a time.
#include "replication/garbage_collector.h"

#include <gtest/gtest.h>

#include <set>

#include "base/crc32c.h"
#include "base/random.h"
#include "tests/fakes/manual_executor.h"
#include "tests/fakes/memory_replica_storage.h"
#include "tests/replication/faulty_storage.h"
#include "tests/replication/toy_state_machine.h"

namespace meridian::replication {
namespace {

constexpr absl::Duration kOrphanAge = absl::Minutes(10);

class GarbageCollectorTest : public testing::Test {
 protected:
  RunId WriteRun() {
    const RunId run = RunId::Draw(random_);
    bool done = false;
    storage_.WriteChunk({run, 0}, Buffer::FromString("x"), Crc32c("x"), [&](absl::Status status) {
      EXPECT_TRUE(status.ok()) << status;
      done = true;
    });
    executor_.RunUntil([&] { return done; });
    return run;
  }
  void Reference(RunId run) {
    storage::KvBatch batch;
    batch.Put("r" + run.ToHex(), "1");
    EXPECT_TRUE(storage_.Apply(batch, LogIndex(), Timestamp()).ok());
  }
  // One call, as each turn of a replica's background work makes.
  std::vector<RunId> Turn() {
    faults_.runs_listed = 0;
    auto orphans = collector_.FindOrphans(now_);
    EXPECT_TRUE(orphans.ok()) << orphans.status();
    EXPECT_LE(faults_.runs_listed, 128u);
    now_ += absl::Milliseconds(150);
    return *std::move(orphans);
  }

  SeededRandom random_{1};
  ManualExecutor executor_;
  storage::MemoryReplicaDisk disk_{storage::MemoryDiskOptions{}};
  StorageFaults faults_;
  FaultyStorage storage_{std::make_unique<storage::MemoryReplicaStorage>(disk_, executor_, random_),
                         faults_};
  ToyStateMachine state_machine_;
  std::set<RunId> in_use_;
  GarbageCollector collector_{storage_, state_machine_, kOrphanAge,
                              [this](RunId run) { return in_use_.contains(run); }};
  absl::Duration now_;
};

TEST_F(GarbageCollectorTest, LooksAtABoundedNumberOfRunsAtOnceAndFindsEveryOrphan) {
  std::set<RunId> orphans;
  for (int i = 0; i < 1000; ++i) {
    const RunId run = WriteRun();
    if (i % 3 == 0) {
      Reference(run);
    } else if (i % 3 == 1) {
      in_use_.insert(run);
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
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(storage_.DropRun(runs[i]).ok());
  for (int i = 100; i < 200; ++i) in_use_.insert(runs[i]);
  for (const absl::Duration end = now_ + kOrphanAge / 2; now_ < end;) EXPECT_TRUE(Turn().empty());
  in_use_.clear();
  std::set<RunId> found;
  for (const absl::Duration end = now_ + kOrphanAge / 2; now_ < end;) {
    for (const RunId& run : Turn()) found.insert(run);
  }
  EXPECT_EQ(found, std::set<RunId>(runs.begin() + 200, runs.end()));
}

TEST_F(GarbageCollectorTest, DoesNothingBetweenPasses) {
  WriteRun();
  Turn();
  Turn();
  EXPECT_EQ(faults_.runs_listed, 0u);
}

}  // namespace
}  // namespace meridian::replication
