// P7: an empty partition that is closed, and the neighbour that takes its names over.
#include "storage/objects/merge.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

// A partition that has been split at "m". The right one is emptied and merged into the left one
// where not said otherwise.
class Merges : public testing::Test {
 protected:
  void SetUp() override {
    left_.ApplyPut("a");
    left_.ApplyPut("m");
    SplitInto(right_);
  }
  void SplitInto(Partition& right) {
    ASSERT_EQ(left_.Apply(left_.Split("m", right_id_)).code(), pb::Outcome::OK);
    right.Install(*left_.RowsOf(right_id_));
    right.Advance(absl::Microseconds(left_.now_us() - right.now_us()));
    left_.Apply(left_.FinishSplit(right_id_));
    pb::Command free = right.Maintain();
    free.mutable_begin_freeing();
    right.Apply(free);
  }
  void EmptyRight() { ASSERT_EQ(right_.Apply(right_.Delete("m")).code(), pb::Outcome::OK); }
  pb::Outcome::Code CloseRight() { return right_.Apply(right_.Close(left_id_)).code(); }
  pb::Outcome::Code AbsorbRight() {
    return left_.Apply(left_.Absorb(right_names_, ClosedOf(right_))).code();
  }
  void CatchUp(Partition& partition, const Partition& other) {
    partition.Advance(absl::Microseconds(other.now_us() + 1 - partition.now_us()));
  }
  // Until nothing that has expired is remembered.
  void Forget(Partition& partition) {
    partition.Advance(absl::Hours(25));
    for (int i = 0; i < 5; ++i) partition.Apply(partition.Maintain());
  }

  static pb::ClosedPartition ClosedOf(const Partition& partition) {
    const auto closed = FindClosed(*partition.NewView());
    EXPECT_TRUE(closed.ok() && closed->has_value());
    return closed->value_or(pb::ClosedPartition());
  }
  static bool MayClose(const Partition& partition) { return *MayBeClosed(*partition.NewView()); }
  static NameRange NamesOf(const Partition& partition) {
    return *ObjectReader(*partition.NewView()).Owned();
  }
  static std::vector<std::string> ListOf(const Partition& partition) {
    const auto view = partition.NewView();
    const auto page = ObjectReader(*view).ListObjects({});
    std::vector<std::string> names;
    for (const VersionRow& row : page->objects) names.push_back(row.name);
    return names;
  }
  pb::Outcome PutAs(Partition& partition, std::string_view name, RequestId request,
                    int64_t created) {
    const RunId run = RunId::Draw(random_);
    pb::Command command = partition.Put(name, run);
    partition.Stamp(command, request);
    command.mutable_request()->set_create_time_us(created);
    return partition.Apply(command, {AllChunksOf(run, 1)});
  }

  SeededRandom random_{5};
  const PartitionId left_id_ = PartitionId::Draw(random_);
  const PartitionId right_id_ = PartitionId::Draw(random_);
  const NameRange right_names_{"m", ""};
  Partition left_;
  Partition right_;
};

TEST_F(Merges, FromItsCloseOnAPartitionOwnsNothing) {
  EmptyRight();
  EXPECT_TRUE(MayClose(right_));
  ASSERT_EQ(CloseRight(), pb::Outcome::OK);
  EXPECT_FALSE(NamesOf(right_).Contains("m"));
  EXPECT_FALSE(NamesOf(right_).Contains("z"));
  EXPECT_EQ(right_.ApplyPut("m").code(), pb::Outcome::MOVED);
  EXPECT_EQ(right_.Apply(right_.Delete("z")).code(), pb::Outcome::MOVED);
  EXPECT_EQ(right_.Apply(right_.Split("x", PartitionId::Draw(random_))).code(),
            pb::Outcome::SPLIT_REFUSED);
  EXPECT_FALSE(MayClose(right_));
  // Until the other has taken them over, nobody has the names.
  EXPECT_EQ(left_.ApplyPut("m").code(), pb::Outcome::MOVED);
}

TEST_F(Merges, TheNeighbourTakesTheNamesOver) {
  EmptyRight();
  CloseRight();
  CatchUp(left_, right_);
  ASSERT_EQ(AbsorbRight(), pb::Outcome::OK);
  EXPECT_EQ(NamesOf(left_), NameRange());
  EXPECT_EQ(left_.ApplyPut("z").code(), pb::Outcome::OK);
  EXPECT_EQ(ListOf(left_), (std::vector<std::string>{"a", "z"}));
}

TEST_F(Merges, TheFirstPartitionGoesIntoTheOneBehindIt) {
  ASSERT_EQ(left_.Apply(left_.Delete("a")).code(), pb::Outcome::OK);
  ASSERT_EQ(left_.Apply(left_.Close(right_id_)).code(), pb::Outcome::OK);
  EXPECT_FALSE(NamesOf(left_).Contains("a"));
  CatchUp(right_, left_);
  ASSERT_EQ(right_.Apply(right_.Absorb({"", "m"}, ClosedOf(left_))).code(), pb::Outcome::OK);
  EXPECT_EQ(NamesOf(right_), NameRange());
  EXPECT_EQ(ListOf(right_), std::vector<std::string>{"m"});
}

TEST_F(Merges, ThePartInTheMiddleIsJoinedToEitherSide) {
  Partition last;
  const PartitionId last_id = PartitionId::Draw(random_);
  right_.ApplyPut("t");
  ASSERT_EQ(right_.Apply(right_.Split("t", last_id)).code(), pb::Outcome::OK);
  last.Install(*right_.RowsOf(last_id));
  right_.Apply(right_.FinishSplit(last_id));
  EmptyRight();
  ASSERT_EQ(right_.Apply(right_.Close(last_id)).code(), pb::Outcome::OK);
  CatchUp(last, right_);
  ASSERT_EQ(last.Apply(last.Absorb({"m", "t"}, ClosedOf(right_))).code(), pb::Outcome::OK);
  EXPECT_EQ(NamesOf(last), (NameRange{"m", ""}));
  EXPECT_EQ(NamesOf(left_), (NameRange{"", "m"}));
  EXPECT_EQ(ListOf(last), std::vector<std::string>{"t"});
}

TEST_F(Merges, OnlyAPartitionInWhichNothingIsLeftIsClosed) {
  EXPECT_FALSE(MayClose(right_));
  EXPECT_EQ(CloseRight(), pb::Outcome::MERGE_REFUSED);
  EmptyRight();
  // A delete marker, and what it is on top of.
  right_.keep_versions = true;
  right_.ApplyPut("n");
  right_.Apply(right_.Delete("n"));
  EXPECT_EQ(CloseRight(), pb::Outcome::MERGE_REFUSED);
  for (const std::string& version : right_.VersionIdsOf("n")) {
    right_.Apply(right_.DeleteVersion("n", version));
  }
  // An upload.
  const UploadId upload = UploadId::Draw(random_);
  right_.Apply(right_.StartUpload("n", upload, absl::Hours(1)));
  EXPECT_EQ(CloseRight(), pb::Outcome::MERGE_REFUSED);
  right_.Apply(right_.AbortUpload(upload));
  // A run that no manifest may name any more.
  right_.Apply(right_.AbortRun(RunId::Draw(random_)));
  EXPECT_EQ(CloseRight(), pb::Outcome::MERGE_REFUSED);
  Forget(right_);
  // How a request ended.
  pb::Command stamped = right_.Delete("m");
  right_.Stamp(stamped, RequestId::Draw(random_));
  right_.Apply(stamped);
  EXPECT_EQ(CloseRight(), pb::Outcome::MERGE_REFUSED);
  EXPECT_EQ(NamesOf(right_), right_names_);
  EXPECT_EQ(right_.ApplyPut("m").code(), pb::Outcome::OK);
  right_.Apply(right_.DeleteVersion("m", right_.Newest("m")->record.version_id()));
  Forget(right_);
  EXPECT_EQ(CloseRight(), pb::Outcome::OK);
}

TEST_F(Merges, WhatTheCommandItselfForgetsIsNothingLeft) {
  pb::Command stamped = right_.Delete("m");
  right_.Stamp(stamped, RequestId::Draw(random_));
  right_.Apply(stamped);
  right_.Advance(absl::Hours(25));
  EXPECT_FALSE(MayClose(right_));
  EXPECT_EQ(CloseRight(), pb::Outcome::OK);
}

TEST_F(Merges, NothingIsClosedDuringASplitOrByAnEarlierEpochOrWithoutANeighbour) {
  Partition whole;
  EXPECT_EQ(whole.Apply(whole.Close(left_id_)).code(), pb::Outcome::MERGE_REFUSED);
  EmptyRight();
  pb::Command other_epoch = right_.Close(left_id_);
  other_epoch.mutable_close_partition()->set_epoch(2);
  EXPECT_EQ(right_.Apply(other_epoch).code(), pb::Outcome::MERGE_REFUSED);
  const PartitionId child = PartitionId::Draw(random_);
  right_.Apply(right_.Split("x", child));
  EXPECT_EQ(CloseRight(), pb::Outcome::MERGE_REFUSED);
  right_.Apply(right_.FinishSplit(child));
  EXPECT_EQ(CloseRight(), pb::Outcome::OK);
}

// P8: a member of its parent may still be brought to an entry of what it was split off with.
TEST_F(Merges, AChildWhoseSplitIsNotOverIsNotClosed) {
  Partition parent;
  Partition child;
  const PartitionId child_id = PartitionId::Draw(random_);
  parent.Apply(parent.Split("m", child_id));
  child.Install(*parent.RowsOf(child_id));
  EXPECT_EQ(child.Apply(child.Close(left_id_)).code(), pb::Outcome::MERGE_REFUSED);
  pb::Command free = child.Maintain();
  free.mutable_begin_freeing();
  child.Apply(free);
  EXPECT_EQ(child.Apply(child.Close(left_id_)).code(), pb::Outcome::OK);
}

TEST_F(Merges, EachOfTheTwoEntriesCountsOnce) {
  EmptyRight();
  CloseRight();
  const pb::ClosedPartition closed = ClosedOf(right_);
  right_.Advance(absl::Minutes(1));
  EXPECT_EQ(CloseRight(), pb::Outcome::OK);
  EXPECT_EQ(ClosedOf(right_).SerializeAsString(), closed.SerializeAsString());
  EXPECT_EQ(right_.Apply(right_.Close(PartitionId::Draw(random_))).code(),
            pb::Outcome::MERGE_REFUSED);
  CatchUp(left_, right_);
  ASSERT_EQ(AbsorbRight(), pb::Outcome::OK);
  left_.ApplyPut("z");
  const std::string digest = left_.Digest();
  EXPECT_EQ(AbsorbRight(), pb::Outcome::OK);
  EXPECT_EQ(left_.Digest(), digest);
  // Not after these names have gone elsewhere again.
  left_.Apply(left_.Split("m", PartitionId::Draw(random_)));
  EXPECT_EQ(AbsorbRight(), pb::Outcome::MERGE_REFUSED);
  EXPECT_EQ(NamesOf(left_), (NameRange{"", "m"}));
}

TEST_F(Merges, OnlyANeighbourAbsorbs) {
  EmptyRight();
  CloseRight();
  CatchUp(left_, right_);
  const pb::ClosedPartition closed = ClosedOf(right_);
  EXPECT_EQ(left_.Apply(left_.Absorb({"n", ""}, closed)).code(), pb::Outcome::MERGE_REFUSED);
  EXPECT_EQ(left_.Apply(left_.Absorb({"b", ""}, closed)).code(), pb::Outcome::MERGE_REFUSED);
  pb::Command other_epoch = left_.Absorb(right_names_, closed);
  other_epoch.mutable_absorb_partition()->set_epoch(2);
  EXPECT_EQ(left_.Apply(other_epoch).code(), pb::Outcome::MERGE_REFUSED);
  EXPECT_EQ(NamesOf(left_), (NameRange{"", "m"}));
  // Nor one that is closed itself.
  Partition closed_too;
  closed_too.Install(left_.Snapshot());
  CatchUp(closed_too, left_);
  closed_too.Apply(closed_too.Delete("a"));
  ASSERT_EQ(closed_too.Apply(closed_too.Close(left_id_)).code(), pb::Outcome::OK);
  EXPECT_EQ(closed_too.Apply(closed_too.Absorb(right_names_, closed)).code(),
            pb::Outcome::MERGE_REFUSED);
  EXPECT_FALSE(NamesOf(closed_too).Contains("z"));
}

// P14: else a version of after the merge could be older than one of before it.
TEST_F(Merges, TheNeighbourAbsorbsAboveTheLastTimestampOfTheOther) {
  EmptyRight();
  right_.Advance(absl::Minutes(1));
  CloseRight();
  const int64_t closed_us = ClosedOf(right_).timestamp_us();
  EXPECT_EQ(AbsorbRight(), pb::Outcome::MERGE_REFUSED);
  EXPECT_EQ(NamesOf(left_), (NameRange{"", "m"}));
  CatchUp(left_, right_);
  ASSERT_EQ(AbsorbRight(), pb::Outcome::OK);
  EXPECT_GT(left_.ApplyPut("m").timestamp_us(), closed_us);
}

// P5: a request id that was forgotten is not taken for a new one.
TEST_F(Merges, ARequestThatTheOtherHasForgottenIsTooOld) {
  const RequestId request = RequestId::Draw(random_);
  const int64_t created = right_.now_us();
  EXPECT_EQ(PutAs(right_, "m", request, created).code(), pb::Outcome::OK);
  EmptyRight();
  Forget(right_);
  ASSERT_EQ(CloseRight(), pb::Outcome::OK);
  CatchUp(left_, right_);
  ASSERT_EQ(AbsorbRight(), pb::Outcome::OK);
  EXPECT_EQ(PutAs(left_, "m", request, created).code(), pb::Outcome::REQUEST_ID_EXPIRED);
}

TEST_F(Merges, TheHigherFloorOfRequestIdsGoesOn) {
  EmptyRight();
  CloseRight();
  CatchUp(left_, right_);
  pb::ClosedPartition closed = ClosedOf(right_);
  closed.set_request_floor_us(left_.now_us() - 1'000'000);
  ASSERT_EQ(left_.Apply(left_.Absorb(right_names_, closed)).code(), pb::Outcome::OK);
  EXPECT_EQ(PutAs(left_, "m", RequestId::Draw(random_), closed.request_floor_us()).code(),
            pb::Outcome::REQUEST_ID_EXPIRED);
  EXPECT_EQ(PutAs(left_, "m", RequestId::Draw(random_), closed.request_floor_us() + 1).code(),
            pb::Outcome::OK);
}

TEST_F(Merges, TheNewerVersioningOfTheTwoCounts) {
  EmptyRight();
  CloseRight();
  CatchUp(left_, right_);
  pb::Command absorb = left_.Absorb(right_names_, ClosedOf(right_));
  absorb.set_keep_versions(true);
  absorb.set_versioning_generation(7);
  ASSERT_EQ(left_.Apply(absorb).code(), pb::Outcome::OK);
  EXPECT_TRUE(left_.Meta().keep_versions());
  EXPECT_EQ(left_.Meta().versioning_generation(), 7u);
}

// What a split took away and is not cleaned up yet must not come into sight again.
TEST_F(Merges, RowsOfBeforeTheSplitDoNotComeBack) {
  const RequestId request = RequestId::Draw(random_);
  const UploadId upload = UploadId::Draw(random_);
  const RunId run = RunId::Draw(random_);
  Partition clean;   // cleans up at once
  Partition behind;  // cleans up nothing
  Partition halfway;
  Partition snapshot;
  const auto all = [&](pb::Command command, std::vector<storage::ChunkRange> chunks = {}) {
    const storage::LogEntry entry = clean.NextEntry(std::move(command), std::move(chunks));
    pb::Outcome outcome = clean.ApplyEntry(entry);
    behind.ApplyEntry(entry);
    halfway.ApplyEntry(entry);
    return outcome.code();
  };
  for (const char* name : {"a", "m", "n"}) all(clean.Put(name, RunId(), 0));
  pb::Command put = clean.Put("o", run);
  clean.Stamp(put, request);
  all(put, {AllChunksOf(run, 1)});
  all(clean.StartUpload("p", upload, absl::Hours(1)));
  all(clean.Split("m", right_id_));
  all(clean.FinishSplit(right_id_));
  while (clean.CleanUp()) {
  }
  halfway.CleanUp(1);
  ASSERT_EQ(behind.CountRows('o'), 4u);

  EmptyRight();
  CloseRight();
  clean.Advance(absl::Hours(1));
  ASSERT_EQ(all(clean.Absorb(right_names_, ClosedOf(right_))), pb::Outcome::OK);
  for (Partition* const replica : {&behind, &halfway}) {
    EXPECT_EQ(ListOf(*replica), std::vector<std::string>{"a"});
    EXPECT_FALSE(replica->FindUpload(upload).has_value());
    EXPECT_FALSE(replica->IsReferenced(run));
    EXPECT_EQ(replica->CountRows('s'), 0u);
    EXPECT_FALSE(replica->CleanUp());
    EXPECT_EQ(replica->Digest(), clean.Digest());
    EXPECT_EQ(replica->Snapshot(), clean.Snapshot());
  }
  snapshot.Install(behind.Snapshot());
  EXPECT_EQ(snapshot.Digest(), clean.Digest());
  // The id of before is known to be used by nobody here.
  ASSERT_EQ(all(clean.Put("m", RunId(), 0)), pb::Outcome::OK);
  EXPECT_EQ(ListOf(behind), (std::vector<std::string>{"a", "m"}));
  EXPECT_EQ(behind.Digest(), clean.Digest());
}

TEST_F(Merges, WhatWasMergedCanBeSplitAndMergedAgain) {
  EmptyRight();
  ASSERT_EQ(CloseRight(), pb::Outcome::OK);
  CatchUp(left_, right_);
  ASSERT_EQ(AbsorbRight(), pb::Outcome::OK);
  for (int round = 0; round < 3; ++round) {
    ASSERT_EQ(left_.ApplyPut("m").code(), pb::Outcome::OK);
    EXPECT_EQ(ListOf(left_), (std::vector<std::string>{"a", "m"}));
    Partition right;
    SplitInto(right);
    EXPECT_EQ(ListOf(right), std::vector<std::string>{"m"});
    ASSERT_EQ(right.Apply(right.Delete("m")).code(), pb::Outcome::OK);
    ASSERT_EQ(right.Apply(right.Close(left_id_)).code(), pb::Outcome::OK);
    CatchUp(left_, right);
    ASSERT_EQ(left_.Apply(left_.Absorb(right_names_, ClosedOf(right))).code(), pb::Outcome::OK);
  }
}

}  // namespace
}  // namespace meridian::objects
