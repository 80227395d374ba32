#include "replication/disk_log.h"

#include <gtest/gtest.h>

#include <memory>
#include <utility>

#include "base/random.h"
#include "tests/fakes/manual_executor.h"
#include "tests/fakes/memory_replica_storage.h"
#include "tests/replication/faulty_storage.h"

namespace meridian::replication {
namespace {

class DiskLogTest : public testing::Test {
 protected:
  DiskLogTest() {
    storage::PersistRequest request;
    for (uint64_t i = 1; i <= 20; ++i) {
      storage::LogEntry entry;
      entry.epoch = Epoch(1);
      entry.index = LogIndex(i);
      request.entries.push_back(entry);
    }
    bool done = false;
    storage_.Persist(std::move(request), [&](const absl::Status&) { done = true; });
    executor_.RunUntil([&] { return done; });
    faults_.hold_reads = true;
  }
  absl::StatusOr<std::vector<storage::LogEntry>> Read(uint64_t first) {
    return log_.ReadLog(LogIndex(first), LogIndex(first), 1000);
  }
  void FinishReads() {
    for (auto& read : std::exchange(faults_.held, {})) read();
  }

  SeededRandom random_{1};
  ManualExecutor executor_;
  storage::MemoryReplicaDisk disk_{storage::MemoryDiskOptions{}};
  StorageFaults faults_;
  FaultyStorage storage_{std::make_unique<storage::MemoryReplicaStorage>(disk_, executor_, random_),
                         faults_};
  int ready_ = 0;
  DiskLog log_{storage_, [this] { ++ready_; }};
};

// Four peers that are far behind ask again and again, before everybody else.
TEST_F(DiskLogTest, WhoeverAskedFirstIsServedFirst) {
  for (uint64_t peer = 1; peer <= 4; ++peer) EXPECT_TRUE(IsReadUnderWay(Read(peer).status()));
  EXPECT_TRUE(IsReadUnderWay(Read(20).status()));
  EXPECT_EQ(faults_.held.size(), 4u);
  FinishReads();
  EXPECT_EQ(ready_, 4);
  for (uint64_t peer = 1; peer <= 4; ++peer) {
    EXPECT_TRUE(Read(peer).ok());
    EXPECT_TRUE(IsReadUnderWay(Read(peer + 4).status()));
  }
  EXPECT_EQ(faults_.held.size(), 4u);
  FinishReads();
  auto entries = Read(20);
  ASSERT_TRUE(entries.ok()) << entries.status();
  EXPECT_EQ(entries->front().index, LogIndex(20));
}

TEST_F(DiskLogTest, WhatNobodyComesForMakesRoom) {
  for (uint64_t first = 1; first <= 6; ++first) EXPECT_TRUE(IsReadUnderWay(Read(first).status()));
  FinishReads();
  log_.Tick();
  log_.Tick();
  EXPECT_EQ(faults_.held.size(), 2u);
  FinishReads();
  EXPECT_TRUE(Read(5).ok());
  EXPECT_TRUE(Read(6).ok());
}

// A donor of a log waits for its own disk and nothing else: nobody would ask it again.
TEST_F(DiskLogTest, AReadThatTheDiskRefusesIsAskedForAgainSoon) {
  faults_.busy_reads = true;
  EXPECT_TRUE(IsReadUnderWay(Read(1).status()));
  EXPECT_EQ(ready_, 0);
  faults_.busy_reads = faults_.hold_reads = false;
  log_.Tick();
  EXPECT_EQ(ready_, 1);
  EXPECT_TRUE(Read(1).ok());
}

// The queue has an end; beyond, too, somebody is told to ask again.
TEST_F(DiskLogTest, TheQueueIsBounded) {
  for (uint64_t first = 1; first <= 20; ++first) EXPECT_TRUE(IsReadUnderWay(Read(first).status()));
  EXPECT_TRUE(IsReadUnderWay(log_.ReadLog(LogIndex(21), LogIndex(21), 1).status()));
  log_.Tick();
  EXPECT_EQ(ready_, 1);
}

}  // namespace
}  // namespace meridian::replication
