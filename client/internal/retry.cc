#include "client/internal/retry.h"

#include <algorithm>
#include <string>

#include "absl/strings/match.h"
#include "client/internal/error_details.h"
#include "meridian/v1/errors.pb.h"

namespace meridian::client_internal {
namespace {

constexpr double kBackoffFactor = 1.6;

// How gRPC reports a connection that ends under a call, when not as UNAVAILABLE.
bool IsBrokenConnection(const absl::Status& status) {
  if (!ReasonOf(status).empty()) return false;
  switch (status.code()) {
    case absl::StatusCode::kCancelled:
      return true;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
      return absl::StrContains(status.message(), "RST_STREAM") ||
             absl::StrContains(status.message(), "Stream removed") ||
             absl::StrContains(status.message(), "GOAWAY");
    default:
      return false;
  }
}

// Whether the failure proves that the call had no effect.
bool NothingDone(const absl::Status& status, const std::string& reason) {
  if (!reason.empty()) return reason == "NOT_LEADER" || reason == "NO_LEADER";
  return status.code() == absl::StatusCode::kUnavailable &&
         absl::StrContains(status.message(), "failed to connect");
}

}  // namespace

Verdict Judge(const absl::Status& status, bool repeatable) {
  const std::string reason = ReasonOf(status);
  if (reason == "NOT_LEADER") {
    auto leader = DetailOf<v1::NotLeader>(status);
    return leader && !leader->endpoint().empty() ? Verdict::kRedirect : Verdict::kRetry;
  }
  if (reason == "OVERLOADED") return Verdict::kRetry;
  const bool passing = status.code() == absl::StatusCode::kUnavailable ||
                       status.code() == absl::StatusCode::kDeadlineExceeded ||
                       IsBrokenConnection(status);
  if (!passing) return Verdict::kGiveUp;
  return repeatable || NothingDone(status, reason) ? Verdict::kRetry : Verdict::kGiveUp;
}

absl::Duration Backoff::Next() {
  const absl::Duration bound = next_;
  next_ = std::min(next_ * kBackoffFactor, options_.max_backoff);
  const auto half_us =
      static_cast<uint64_t>(std::max<int64_t>(absl::ToInt64Microseconds(bound) / 2, 0));
  return bound / 2 + absl::Microseconds(static_cast<int64_t>(random_.Uniform(half_us + 1)));
}

}  // namespace meridian::client_internal
