#include "client/internal/attempts.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "client/internal/error_details.h"

namespace meridian::client_internal {

Attempts::Attempts(Session& session, CallPlan plan)
    : session_(session),
      plan_(std::move(plan)),
      subject_(plan_.subject),
      timeout_(plan_.timeout > absl::ZeroDuration() ? plan_.timeout
                                                    : session.options().default_timeout),
      backoff_(session.options(), session.random()) {
  Progress();
}

void Attempts::Progress() {
  deadline_ = session_.clock().MonotonicNow() + timeout_;
  next_attempt_timeout_ = plan_.attempt_timeout > absl::ZeroDuration()
                              ? plan_.attempt_timeout
                              : session_.options().attempt_timeout;
  backoff_.Reset();
}

absl::Duration Attempts::Remaining() const { return deadline_ - session_.clock().MonotonicNow(); }

std::shared_ptr<Endpoint> Attempts::Begin() {
  server_ = session_.FindServer(subject_, unreachable_);
  unreachable_.clear();
  ++attempts_;
  return server_;
}

absl::Duration Attempts::attempt_timeout() const {
  return std::clamp(next_attempt_timeout_, absl::ZeroDuration(),
                    std::max(Remaining(), absl::ZeroDuration()));
}

bool Attempts::ShouldRetry(const absl::Status& status) {
  const Verdict verdict = Judge(status, plan_.repeatable);
  if (verdict == Verdict::kGiveUp) return false;
  session_.Learn(subject_, *server_, status);
  if (ReasonOf(status).empty()) {
    unreachable_ = server_->address();
  } else {
    last_reasoned_ = status;
  }
  if (status.code() == absl::StatusCode::kDeadlineExceeded) next_attempt_timeout_ *= 2;
  if (verdict == Verdict::kRedirect && ++redirects_ <= kMaxRedirects) {
    return Remaining() > absl::ZeroDuration();
  }
  redirects_ = 0;
  const absl::Duration pause = backoff_.Next();
  if (pause >= Remaining()) return false;
  server_->PauseConnecting(pause);
  return true;
}

absl::Status Attempts::Explain(const absl::Status& status) const {
  if (Judge(status, plan_.repeatable) == Verdict::kGiveUp) return Annotate(status, plan_.what);
  const bool reasoned = !ReasonOf(status).empty() || last_reasoned_.ok();
  return Annotate(reasoned ? status : last_reasoned_,
                  absl::StrCat(plan_.what, ", given up after attempt ", attempts_, ", timeout ",
                               absl::FormatDuration(timeout_)));
}

}  // namespace meridian::client_internal
