// P5: request ids.
#include <gtest/gtest.h>

#include <string>

#include "base/random.h"
#include "storage/objects/expiry.h"
#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

class Requests : public testing::Test {
 protected:
  static Limits SmallLimits() {
    Limits limits;
    limits.max_requests = 3;
    return limits;
  }

  pb::Outcome PutWithId(Partition& partition, std::string_view name, RequestId request,
                        int64_t create_time_us, const std::string& digest = "digest") {
    const RunId run = RunId::Draw(partition.random());
    pb::Command command = partition.Put(name, run);
    partition.Stamp(command, request, digest);
    command.mutable_request()->set_create_time_us(create_time_us);
    last_run_ = run;
    return partition.Apply(command, {AllChunksOf(run, 1)});
  }

  RequestId NewId() { return RequestId::Draw(random_); }

  SeededRandom random_{3};
  RunId last_run_;
};

TEST_F(Requests, TheSameIdHasOneEffectAndOneAnswer) {
  Partition partition;
  const RequestId id = NewId();
  const int64_t created = partition.now_us();
  const pb::Outcome first = PutWithId(partition, "a", id, created);
  ASSERT_EQ(first.code(), pb::Outcome::OK);
  const std::string between = partition.ApplyPut("a").version_id();
  const pb::Outcome retry = PutWithId(partition, "a", id, created);
  EXPECT_EQ(retry.SerializeAsString(), first.SerializeAsString());
  EXPECT_EQ(partition.Newest("a")->record.version_id(), between);
  // What the retry wrote is garbage, and stays refused.
  EXPECT_FALSE(partition.IsReferenced(last_run_));
  EXPECT_EQ(partition.ApplyPut("b", last_run_).code(), pb::Outcome::RUN_REFUSED);
}

TEST_F(Requests, ARefusalIsRememberedToo) {
  Partition partition;
  pb::Command command = partition.Delete("a");
  partition.Stamp(command, NewId());
  EXPECT_EQ(partition.Apply(command).code(), pb::Outcome::OBJECT_NOT_FOUND);
  partition.ApplyPut("a");
  EXPECT_EQ(partition.Apply(command).code(), pb::Outcome::OBJECT_NOT_FOUND);
  EXPECT_TRUE(partition.Newest("a").has_value());
}

TEST_F(Requests, AnAnswerThatAsksToTryAgainIsNotRemembered) {
  Partition partition;
  const std::string source = partition.ApplyPut("a").version_id();
  pb::Command stale = partition.Copy("a", source);
  stale.mutable_copy_version()->set_source_must_be_newest(true);
  partition.Stamp(stale, NewId());
  const std::string newest = partition.ApplyPut("a").version_id();
  ASSERT_EQ(partition.Apply(stale).code(), pb::Outcome::SOURCE_CHANGED);
  pb::Command again = partition.Copy("a", newest);
  again.mutable_copy_version()->set_source_must_be_newest(true);
  *again.mutable_request() = stale.request();
  EXPECT_EQ(partition.Apply(again).code(), pb::Outcome::OK);
}

TEST_F(Requests, AnotherDigestIsRefused) {
  Partition partition;
  const RequestId id = NewId();
  const int64_t created = partition.now_us();
  ASSERT_EQ(PutWithId(partition, "a", id, created).code(), pb::Outcome::OK);
  EXPECT_EQ(PutWithId(partition, "b", id, created, "other").code(), pb::Outcome::REQUEST_ID_REUSED);
  EXPECT_FALSE(partition.Newest("b").has_value());
}

TEST_F(Requests, IdsThatAreTooOldOrTooFarAheadAreRefused) {
  Partition partition;
  const Limits limits;
  const int64_t retention = absl::ToInt64Microseconds(limits.retention);
  const int64_t ahead = absl::ToInt64Microseconds(limits.max_request_ahead);
  EXPECT_EQ(PutWithId(partition, "a", NewId(), partition.now_us() - retention).code(),
            pb::Outcome::REQUEST_ID_EXPIRED);
  EXPECT_EQ(PutWithId(partition, "a", NewId(), partition.now_us() - retention + 1).code(),
            pb::Outcome::OK);
  EXPECT_EQ(PutWithId(partition, "a", NewId(), partition.now_us() + ahead).code(), pb::Outcome::OK);
  EXPECT_EQ(PutWithId(partition, "a", NewId(), partition.now_us() + ahead + 1).code(),
            pb::Outcome::REQUEST_ID_EXPIRED);
}

TEST_F(Requests, AreForgottenAfterTheRetentionAndRefusedFromThenOn) {
  Partition partition;
  const RequestId id = NewId();
  const int64_t created = partition.now_us();
  ASSERT_EQ(PutWithId(partition, "a", id, created).code(), pb::Outcome::OK);
  partition.Advance(Limits().retention - absl::Seconds(1));
  EXPECT_EQ(PutWithId(partition, "a", id, created).code(), pb::Outcome::OK);
  ASSERT_EQ(partition.CountRows('q'), 1u);
  partition.Advance(absl::Seconds(1));
  EXPECT_EQ(PutWithId(partition, "a", id, created).code(), pb::Outcome::REQUEST_ID_EXPIRED);
  EXPECT_EQ(partition.CountRows('q'), 0u);
}

// Else a client whose clock is ahead could be served twice in the gap.
TEST_F(Requests, OfAClockThatIsAheadAreRememberedUntilTheyAreTooOld) {
  Partition partition;
  const RequestId id = NewId();
  const int64_t created = partition.now_us() + absl::ToInt64Microseconds(absl::Minutes(14));
  const pb::Outcome first = PutWithId(partition, "a", id, created);
  partition.Advance(Limits().retention + absl::Minutes(13));
  const pb::Outcome retry = PutWithId(partition, "a", id, created);
  EXPECT_EQ(retry.version_id(), first.version_id());
}

TEST_F(Requests, AreBoundedInNumberByForgettingTheOldestAndRefusingItsLike) {
  Partition partition(SmallLimits());
  const RequestId first = NewId();
  const int64_t created = partition.now_us();
  ASSERT_EQ(PutWithId(partition, "a", first, created).code(), pb::Outcome::OK);
  for (int i = 0; i < 2; ++i) PutWithId(partition, "a", NewId(), partition.now_us());
  // Too young to be forgotten: new ids are refused, and nothing is done twice.
  EXPECT_EQ(PutWithId(partition, "b", NewId(), partition.now_us()).code(),
            pb::Outcome::REQUESTS_EXHAUSTED);
  partition.Advance(Limits().min_retention);
  EXPECT_EQ(PutWithId(partition, "b", NewId(), partition.now_us()).code(), pb::Outcome::OK);
  EXPECT_EQ(partition.CountRows('q'), 3u);
  EXPECT_EQ(PutWithId(partition, "a", first, created).code(), pb::Outcome::REQUEST_ID_EXPIRED);
}

TEST_F(Requests, ThatExpireTogetherAreForgottenAFewWithEachCommand) {
  Partition partition;
  const int64_t created = partition.now_us() + absl::ToInt64Microseconds(absl::Minutes(10));
  constexpr int kCount = 3 * kMaxExpiredRequests;
  for (int i = 0; i < kCount; ++i) PutWithId(partition, "a", NewId(), created);
  partition.Advance(absl::Hours(25));
  for (int left = kCount - kMaxExpiredRequests; left >= 0; left -= kMaxExpiredRequests) {
    partition.Apply(partition.Maintain());
    EXPECT_EQ(partition.CountRows('q'), static_cast<size_t>(left));
  }
  // All the same expiry time: none was taken twice, so that the count is right.
  EXPECT_EQ(PutWithId(partition, "a", NewId(), partition.now_us()).code(), pb::Outcome::OK);
}

TEST_F(Requests, AreForgottenOneByOneOnceTheirNumberIsReached) {
  Limits limits = SmallLimits();
  limits.min_retention = absl::ZeroDuration();
  Partition partition(limits);
  const int64_t created = partition.now_us() - 1;
  for (int i = 0; i < 3; ++i) {
    ASSERT_EQ(PutWithId(partition, "a", NewId(), partition.now_us()).code(), pb::Outcome::OK);
  }
  for (int i = 0; i < 10; ++i) {
    ASSERT_EQ(PutWithId(partition, "a", NewId(), partition.now_us()).code(), pb::Outcome::OK);
    EXPECT_EQ(partition.CountRows('q'), 3u);
  }
  EXPECT_EQ(PutWithId(partition, "a", NewId(), created).code(), pb::Outcome::REQUEST_ID_EXPIRED);
}

}  // namespace
}  // namespace meridian::objects
