// Which failures are worth another attempt, and when to make it.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "client/options.h"

namespace meridian::client_internal {

enum class Verdict {
  kGiveUp,
  // At once, where the NotLeader detail says.
  kRedirect,
  // After a pause.
  kRetry,
};

// `repeatable`: the call may take effect twice, or carries a request id so that it does not. Others
// are repeated only if the server, or gRPC, says that nothing was done.
Verdict Judge(const absl::Status& status, bool repeatable);

// Exponential, with jitter. Not thread-safe.
class Backoff {
 public:
  Backoff(const ClientOptions& options, Random& random)
      : options_(options), random_(random), next_(options.initial_backoff) {}
  // How long to pause now.
  absl::Duration Next();
  void Reset() { next_ = options_.initial_backoff; }

 private:
  const ClientOptions& options_;
  Random& random_;
  absl::Duration next_;
};

}  // namespace meridian::client_internal
