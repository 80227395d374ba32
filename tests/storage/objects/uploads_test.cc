#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "base/random.h"
#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

constexpr uint64_t kMiB = 1 << 20;

class Uploads : public testing::Test {
 protected:
  void Start(absl::Duration ttl = absl::Hours(1)) {
    ASSERT_EQ(partition_.Apply(partition_.StartUpload("a", upload_, ttl)).code(), pb::Outcome::OK);
  }
  RunId NewRun() { return RunId::Draw(partition_.random()); }

  Partition partition_;
  const UploadId upload_ = UploadId::Draw(partition_.random());
};

TEST_F(Uploads, BecomeAVersionOfTheirRunsInOrder) {
  Start();
  const RunId first = NewRun();
  const RunId second = NewRun();
  ASSERT_EQ(partition_.TakeOver(upload_, first, 0).code(), pb::Outcome::OK);
  ASSERT_EQ(partition_.Append(upload_, first, 0, 0, 2 * kMiB).code(), pb::Outcome::OK);
  ASSERT_EQ(
      partition_.Append(upload_, first, 2 * kMiB, 2 * kMiB, 2 * kMiB + 5).durable_size_bytes(),
      2 * kMiB + 5);
  ASSERT_EQ(partition_.TakeOver(upload_, second, 2 * kMiB + 5).code(), pb::Outcome::OK);
  ASSERT_EQ(partition_.Append(upload_, second, 2 * kMiB + 5, 0, 7).code(), pb::Outcome::OK);
  EXPECT_FALSE(partition_.Newest("a").has_value());
  const pb::Outcome finished = partition_.Apply(partition_.Finish(upload_));
  ASSERT_EQ(finished.code(), pb::Outcome::OK);
  const auto manifest = ManifestOf(partition_.Newest("a")->record);
  ASSERT_TRUE(manifest.ok());
  EXPECT_EQ(manifest->size_bytes(), 2 * kMiB + 12);
  ASSERT_EQ(manifest->runs_size(), 2);
  EXPECT_EQ(manifest->runs(0).run_id(), first.bytes());
  EXPECT_EQ(partition_.CountRows('u'), 0u);
  EXPECT_EQ(partition_.CountRows('e'), 0u);
  std::vector<storage::ChunkRange> chunks = partition_.Chunks();
  EXPECT_EQ(chunks.size(), 2u);
  EXPECT_EQ(partition_.Apply(partition_.Finish(upload_)).code(), pb::Outcome::UPLOAD_NOT_FOUND);
}

TEST_F(Uploads, AcceptOnlyBytesThatFollowTheDurableOnes) {
  Start();
  const RunId run = NewRun();
  ASSERT_EQ(partition_.TakeOver(upload_, run, 0).code(), pb::Outcome::OK);
  ASSERT_EQ(partition_.Append(upload_, run, 0, 0, kMiB).code(), pb::Outcome::OK);
  const pb::Outcome again = partition_.Append(upload_, run, 0, 0, kMiB);
  EXPECT_EQ(again.code(), pb::Outcome::UPLOAD_OFFSET);
  EXPECT_EQ(again.durable_size_bytes(), kMiB);
  EXPECT_EQ(partition_.TakeOver(upload_, NewRun(), 0).code(), pb::Outcome::UPLOAD_OFFSET);
}

TEST_F(Uploads, EndAnEarlierStreamWhenALaterOneTakesOver) {
  Start();
  const RunId earlier = NewRun();
  const RunId later = NewRun();
  ASSERT_EQ(partition_.TakeOver(upload_, earlier, 0).code(), pb::Outcome::OK);
  ASSERT_EQ(partition_.TakeOver(upload_, later, 0).code(), pb::Outcome::OK);
  EXPECT_EQ(partition_.Append(upload_, earlier, 0, 0, 9).code(), pb::Outcome::UPLOAD_SUPERSEDED);
  EXPECT_EQ(partition_.Append(upload_, later, 0, 0, 9).code(), pb::Outcome::OK);
  // What the earlier stream wrote comes back.
  EXPECT_EQ(partition_.CollectGarbage(partition_.last_index()), std::vector{earlier});
}

TEST_F(Uploads, LetNothingFollowAChunkThatIsNotFull) {
  Start();
  const RunId run = NewRun();
  partition_.TakeOver(upload_, run, 0);
  ASSERT_EQ(partition_.Append(upload_, run, 0, 0, 9).code(), pb::Outcome::OK);
  EXPECT_EQ(partition_.Append(upload_, run, 9, 9, kMiB).code(), pb::Outcome::MALFORMED);
  EXPECT_EQ(partition_.FindUpload(upload_)->durable_size_bytes(), 9u);
}

TEST_F(Uploads, GiveTheirSpaceBackWhenAborted) {
  Start();
  const RunId full = NewRun();
  const RunId empty = NewRun();
  partition_.TakeOver(upload_, full, 0);
  partition_.Append(upload_, full, 0, 0, kMiB);
  partition_.TakeOver(upload_, empty, kMiB);
  ASSERT_EQ(partition_.Apply(partition_.AbortUpload(upload_)).code(), pb::Outcome::OK);
  EXPECT_EQ(partition_.Append(upload_, empty, kMiB, 0, 5).code(), pb::Outcome::UPLOAD_NOT_FOUND);
  std::vector<RunId> garbage = partition_.CollectGarbage(partition_.last_index());
  EXPECT_EQ(garbage.size(), 2u);
  EXPECT_TRUE(partition_.Chunks().empty());
  // P8: a manifest that names what was aborted is refused.
  EXPECT_EQ(partition_.ApplyPut("b", full).code(), pb::Outcome::RUN_REFUSED);
  EXPECT_EQ(partition_.ApplyPut("b", empty).code(), pb::Outcome::RUN_REFUSED);
  EXPECT_EQ(partition_.Apply(partition_.AbortUpload(upload_)).code(),
            pb::Outcome::UPLOAD_NOT_FOUND);
}

TEST_F(Uploads, ExpireByCommitTime) {
  Start(absl::Minutes(1));
  const RunId run = NewRun();
  partition_.TakeOver(upload_, run, 0);
  partition_.Append(upload_, run, 0, 0, kMiB);
  partition_.Advance(absl::Minutes(1));
  EXPECT_EQ(partition_.Append(upload_, run, kMiB, kMiB, 2 * kMiB).code(),
            pb::Outcome::UPLOAD_NOT_FOUND);
  EXPECT_EQ(partition_.CountRows('u'), 0u);
  EXPECT_FALSE(partition_.IsReferenced(run));
  EXPECT_EQ(partition_.CollectGarbage(partition_.last_index()), std::vector{run});
}

TEST_F(Uploads, AreGoneForCommandsOnceExpiredEvenIfNotCleanedUpYet) {
  const UploadId other = UploadId::Draw(partition_.random());
  ASSERT_EQ(partition_.Apply(partition_.StartUpload("b", other, absl::Minutes(1))).code(),
            pb::Outcome::OK);
  Start(absl::Minutes(1));
  partition_.Advance(absl::Minutes(2));
  // One expired upload goes with each command: the second is still there for this one.
  EXPECT_EQ(partition_.Apply(partition_.AbortUpload(upload_)).code(),
            pb::Outcome::UPLOAD_NOT_FOUND);
  partition_.Apply(partition_.Maintain());
  EXPECT_EQ(partition_.CountRows('u'), 0u);
}

TEST_F(Uploads, DecideTheirConditionWhenFinished) {
  pb::Command start = partition_.StartUpload("a", upload_, absl::Hours(1));
  start.mutable_start_upload()->mutable_record()->mutable_condition()->set_if_none_match(true);
  partition_.Apply(start);
  const RunId run = NewRun();
  partition_.TakeOver(upload_, run, 0);
  partition_.Append(upload_, run, 0, 0, 9);
  partition_.ApplyPut("a");
  EXPECT_EQ(partition_.Apply(partition_.Finish(upload_)).code(), pb::Outcome::PRECONDITION_FAILED);
  // The upload stays: the client may remove the obstacle, or abort.
  EXPECT_TRUE(partition_.IsReferenced(run));
  partition_.Apply(partition_.Delete("a"));
  EXPECT_EQ(partition_.Apply(partition_.Finish(upload_)).code(), pb::Outcome::OK);
}

TEST_F(Uploads, AreNotFinishedWithWhatWasReadBeforeMoreBytesCame) {
  Start();
  const RunId run = NewRun();
  partition_.TakeOver(upload_, run, 0);
  partition_.Append(upload_, run, 0, 0, kMiB);
  const pb::Command stale = partition_.Finish(upload_);
  partition_.Append(upload_, run, kMiB, kMiB, kMiB + 1);
  EXPECT_EQ(partition_.Apply(stale).code(), pb::Outcome::SOURCE_CHANGED);
}

TEST_F(Uploads, HaveABoundedNumberOfRuns) {
  Limits limits;
  limits.max_runs_per_upload = 2;
  Partition partition(limits);
  partition.Apply(partition.StartUpload("a", upload_, absl::Hours(1)));
  for (uint64_t i = 0; i < 2; ++i) {
    const RunId run = RunId::Draw(partition.random());
    ASSERT_EQ(partition.TakeOver(upload_, run, i).code(), pb::Outcome::OK);
    ASSERT_EQ(partition.Append(upload_, run, i, 0, 1).code(), pb::Outcome::OK);
  }
  EXPECT_EQ(partition.TakeOver(upload_, RunId::Draw(partition.random()), 2).code(),
            pb::Outcome::TOO_MANY_RUNS);
}

TEST_F(Uploads, FinishWithoutAnyBytesAsAnEmptyObject) {
  Start();
  ASSERT_EQ(partition_.Apply(partition_.Finish(upload_)).code(), pb::Outcome::OK);
  EXPECT_TRUE(partition_.Newest("a").has_value());
}

}  // namespace
}  // namespace meridian::objects
