#include "client/internal/retry.h"

#include <gtest/gtest.h>

#include "client/internal/error_details.h"
#include "google/rpc/error_details.pb.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::client_internal {
namespace {

absl::Status WithReason(absl::StatusCode code, const std::string& reason) {
  absl::Status status(code, "message");
  google::rpc::ErrorInfo info;
  info.set_reason(reason);
  info.set_domain("meridian");
  status.SetPayload("type.googleapis.com/google.rpc.ErrorInfo",
                    absl::Cord(info.SerializeAsString()));
  return status;
}

TEST(Judge, RetriesWhatPasses) {
  EXPECT_EQ(Judge(absl::UnavailableError("reset"), true), Verdict::kRetry);
  EXPECT_EQ(Judge(absl::DeadlineExceededError("slow"), true), Verdict::kRetry);
  EXPECT_EQ(Judge(absl::InternalError("Received RST_STREAM with error code 2"), true),
            Verdict::kRetry);
  EXPECT_EQ(Judge(WithReason(absl::StatusCode::kResourceExhausted, "OVERLOADED"), true),
            Verdict::kRetry);
}

TEST(Judge, GivesUpOnWhatStays) {
  EXPECT_EQ(Judge(absl::InvalidArgumentError("bad"), true), Verdict::kGiveUp);
  EXPECT_EQ(Judge(absl::InternalError("bug"), true), Verdict::kGiveUp);
  EXPECT_EQ(Judge(WithReason(absl::StatusCode::kResourceExhausted, "DISK_FULL"), true),
            Verdict::kGiveUp);
}

TEST(Judge, RepeatsAnUnrepeatableCallOnlyIfNothingWasDone) {
  EXPECT_EQ(Judge(absl::UnavailableError("reset"), false), Verdict::kGiveUp);
  EXPECT_EQ(Judge(WithReason(absl::StatusCode::kUnavailable, "OUTCOME_UNKNOWN"), false),
            Verdict::kGiveUp);
  EXPECT_EQ(Judge(WithReason(absl::StatusCode::kUnavailable, "NO_LEADER"), false), Verdict::kRetry);
}

TEST(Judge, RedirectsOnlyWhereALeaderIsNamed) {
  absl::Status status = WithReason(absl::StatusCode::kUnavailable, "NOT_LEADER");
  EXPECT_EQ(Judge(status, true), Verdict::kRetry);
  v1::NotLeader leader;
  leader.set_endpoint("host:1");
  status.SetPayload("type.googleapis.com/meridian.v1.NotLeader",
                    absl::Cord(leader.SerializeAsString()));
  EXPECT_EQ(Judge(status, true), Verdict::kRedirect);
}

TEST(Backoff, GrowsWithJitterUpToItsBound) {
  ClientOptions options;
  options.initial_backoff = absl::Milliseconds(100);
  options.max_backoff = absl::Milliseconds(400);
  SeededRandom random(1);
  Backoff backoff(options, random);
  absl::Duration bound = options.initial_backoff;
  for (int i = 0; i < 20; ++i) {
    const absl::Duration pause = backoff.Next();
    EXPECT_GE(pause, bound / 2);
    EXPECT_LE(pause, bound);
    bound = std::min(bound * 1.6, options.max_backoff);
  }
}

}  // namespace
}  // namespace meridian::client_internal
