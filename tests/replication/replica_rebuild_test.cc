// Copies that are made anew go at a set rate, and nothing else does.
#include <gtest/gtest.h>

#include "tests/replication/replica_group.h"

namespace meridian::replication {
namespace {

constexpr uint64_t kRate = 1 << 20;
const std::string kBytes(256 << 10, 'c');

void PutRowsOf4MiB(ReplicaGroup& group) {
  for (int i = 0; i < 40; ++i) {
    const std::string put = "put key" + std::to_string(i) + " " + std::string(100 << 10, 'v');
    ASSERT_TRUE(group.Propose(1, put).ok());
  }
  group.RunFor(absl::Seconds(2));
}

TEST(ReplicaRebuild, ANewMembersChunksComeAtTheRateWhileWritesGoOn) {
  ReplicaGroup group(3);
  ASSERT_EQ(group.Leader(), 1);
  for (int i = 0; i < 40; ++i) ASSERT_TRUE(group.PutRun(1, group.NewRun(), 1, kBytes).ok());
  group.RunFor(absl::Seconds(2));
  group.ThrottleRebuilds(kRate);
  group.Add(4);
  const absl::Duration start = group.executor().MonotonicNow();
  group.replica(1).ChangeMembers({MemberOf(1), MemberOf(2), MemberOf(4)},
                                 [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
  size_t writes = 0;
  do {
    const absl::Duration before = group.executor().MonotonicNow();
    ASSERT_TRUE(group.PutRun(1, group.NewRun(), 1, "small").ok());
    EXPECT_LT(group.executor().MonotonicNow() - before, absl::Milliseconds(500));
    ++writes;
    group.RunFor(absl::Milliseconds(100));
  } while (group.Status(1).config.members.back() != MemberOf(4));
  const absl::Duration taken = group.executor().MonotonicNow() - start;
  EXPECT_GT(taken, absl::Seconds(8)) << "10 MiB, of which 1 may come at once";
  EXPECT_LT(taken, absl::Seconds(14));
  EXPECT_GT(writes, 40u);
  EXPECT_EQ(group.replica(4).StoredBytes(), group.replica(1).StoredBytes());
}

TEST(ReplicaRebuild, RowsCountToo) {
  ReplicaGroup group(3);
  ASSERT_EQ(group.Leader(), 1);
  PutRowsOf4MiB(group);
  group.ThrottleRebuilds(kRate);
  group.Add(4);
  const absl::Duration start = group.executor().MonotonicNow();
  group.replica(1).ChangeMembers({MemberOf(1), MemberOf(2), MemberOf(4)},
                                 [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
  while (group.Status(1).config.members.back() != MemberOf(4)) {
    group.RunFor(absl::Milliseconds(100));
    ASSERT_LT(group.executor().MonotonicNow() - start, absl::Seconds(30));
  }
  EXPECT_GT(group.executor().MonotonicNow() - start, absl::Seconds(2)) << "4 MB of rows";
}

// Rows of 4 MiB, so that an install takes seconds; more is written meanwhile than is kept for
// members that are silent.
TEST(ReplicaRebuild, ASnapshotThatIsSlowerThanWritesIsTheLast) {
  ReplicaOptions options = ReplicaGroup::Options();
  options.retained_for_answering = 10'000;
  ReplicaGroup group(3, options);
  ASSERT_EQ(group.Leader(), 1);
  PutRowsOf4MiB(group);
  group.ThrottleRebuilds(kRate);
  group.Crash(2);
  for (int i = 0; i < 20; ++i) ASSERT_TRUE(group.Propose(1, "put small v").ok());
  group.RunFor(absl::Seconds(15));  // silent for long: the log goes on without it
  group.Start(2);
  const absl::Duration start = group.executor().MonotonicNow();
  int writes = 0;
  while (group.Status(2).applied_index + 5 < group.Status(1).applied_index) {
    ASSERT_TRUE(group.Propose(1, "put small v").ok());
    ++writes;
    group.RunFor(absl::Milliseconds(20));
    ASSERT_LT(group.executor().MonotonicNow() - start, absl::Seconds(30));
  }
  EXPECT_GT(writes, 50);
  EXPECT_EQ(group.Status(2).counters.snapshots_installed, 1u);
}

// Of members that were heard a moment ago the log waits for more, but not on a full disk.
TEST(ReplicaRebuild, AFullDiskKeepsNoMoreOfTheLogForAMemberThatWasJustHeard) {
  for (const bool full : {false, true}) {
    ReplicaOptions options = ReplicaGroup::Options();
    options.retained_for_answering = 10'000;
    ReplicaGroup group(3, options);
    ASSERT_EQ(group.Leader(), 1);
    group.Crash(2);
    group.faults(1).refuses_new_data = full;
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(group.Propose(1, "put small v").ok());
    group.RunFor(absl::Seconds(1));
    group.Start(2);
    const LogIndex last = group.Status(1).last_index;
    group.RunUntil([&] { return group.Status(2).applied_index >= last; });
    EXPECT_EQ(group.Status(2).counters.snapshots_installed, full ? 1u : 0u);
  }
}

TEST(ReplicaRebuild, SmallChunksComeManyAtATime) {
  ReplicaGroup group(3);
  ASSERT_EQ(group.Leader(), 1);
  constexpr int kChunks = 1000;
  for (int i = 0; i < kChunks; ++i) ASSERT_TRUE(group.PutRun(1, group.NewRun(), 1, "small").ok());
  group.RunFor(absl::Seconds(2));
  group.Add(4);
  const absl::Duration start = group.executor().MonotonicNow();
  group.replica(1).ChangeMembers({MemberOf(1), MemberOf(2), MemberOf(4)},
                                 [](const absl::Status& status) { EXPECT_TRUE(status.ok()); });
  group.RunUntil([&] { return group.Status(1).config.members.back() == MemberOf(4); });
  // Simulated time; 180 ms with eight at a time.
  EXPECT_LT(group.executor().MonotonicNow() - start, absl::Milliseconds(100));
  EXPECT_EQ(group.replica(4).StoredBytes(), group.replica(1).StoredBytes());
}

// I1: a quorum may wait for it.
TEST(ReplicaRebuild, AMemberThatWasAwayCatchesUpHoweverMuchIsOwed) {
  ReplicaGroup group(3);
  ASSERT_EQ(group.Leader(), 1);
  group.ThrottleRebuilds(kRate).Take(1 << 30);
  group.Crash(2);
  group.Start(2);
  group.Isolate(2);
  const RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(1, run, 4, kBytes).ok());
  const LogIndex last = group.Status(1).last_index;
  group.Heal();
  const absl::Duration start = group.executor().MonotonicNow();
  while (group.Status(2).applied_index < last) {
    group.RunFor(absl::Milliseconds(100));
    ASSERT_LT(group.executor().MonotonicNow() - start, absl::Seconds(10));
  }
}

TEST(ReplicaRebuild, AReadsRepairDoesNotWait) {
  ReplicaGroup group(3);
  ASSERT_EQ(group.Leader(), 1);
  const RunId run = group.NewRun();
  ASSERT_TRUE(group.PutRun(1, run, 1, kBytes).ok());
  group.ThrottleRebuilds(kRate).Take(1 << 30);
  group.Crash(2);
  group.Start(2);
  std::optional<absl::Status> fetched;
  const absl::Duration start = group.executor().MonotonicNow();
  group.replica(2).FetchChunk({run, 0}, [&](auto bytes) { fetched = bytes.status(); });
  group.RunUntil([&] { return fetched.has_value(); });
  EXPECT_TRUE(fetched->ok()) << *fetched;
  EXPECT_LT(group.executor().MonotonicNow() - start, absl::Seconds(2));
}

}  // namespace
}  // namespace meridian::replication
