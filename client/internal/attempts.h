// One logical call: its attempts, their bounds, and unary calls made of them.
#pragma once

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "client/internal/retry.h"
#include "client/internal/session.h"

namespace meridian::client_internal {

struct CallPlan {
  // For messages: "read object x".
  std::string what;
  Subject subject;
  // Zero: the client's default.
  absl::Duration timeout;
  // See Judge.
  bool repeatable = true;
  // Zero: the client's attempt_timeout. For calls that are slow by nature.
  absl::Duration attempt_timeout;
};

// Not thread-safe. Use: for (;;) { server = Begin(); try it; if (!ShouldRetry(status)) return
// Explain(status); }
class Attempts {
 public:
  Attempts(Session& session, CallPlan plan);

  // Where the next attempt goes.
  std::shared_ptr<Endpoint> Begin();
  // How long it may take, or with a body each of its messages.
  absl::Duration attempt_timeout() const;
  // After a failed attempt: pauses and returns true if another one is worth it and in time.
  bool ShouldRetry(const absl::Status& status);
  // The call moved on: its timeout and its pauses start anew.
  void Progress();
  // For the caller: the status, or the last one with a reason, with what was tried.
  absl::Status Explain(const absl::Status& status) const;

 private:
  // So many in a row without a pause: two servers may name each other.
  static constexpr int kMaxRedirects = 3;

  absl::Duration Remaining() const;

  Session& session_;
  const CallPlan plan_;
  // The plan's, until a server knows better.
  Subject subject_;
  const absl::Duration timeout_;
  Backoff backoff_;
  std::shared_ptr<Endpoint> server_;
  // The server that the attempt before did not reach; empty: it answered.
  std::string unreachable_;
  // The last failure that a server gave a reason for: says more than a refused connection.
  absl::Status last_reasoned_;
  absl::Duration deadline_;
  absl::Duration next_attempt_timeout_;
  int attempts_ = 0;
  int redirects_ = 0;
};

// Calls `method` of a service, for instance &Stubs::objects, &v1::ObjectService::Stub::GetObject.
template <typename Stub, typename Request, typename Response>
absl::Status CallUnary(Session& session, const CallPlan& plan,
                       const std::unique_ptr<Stub> Stubs::*service,
                       grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                    Response*),
                       const Request& request, Response* response) {
  Attempts attempts(session, plan);
  for (;;) {
    const std::shared_ptr<Endpoint> server = attempts.Begin();
    auto context = session.NewContext(attempts.attempt_timeout());
    const grpc::Status answer =
        (*(server->stubs().*service).*method)(context.get(), request, response);
    const absl::Status status = FromGrpc(answer, *context);
    if (status.ok()) return status;
    if (!attempts.ShouldRetry(status)) return attempts.Explain(status);
  }
}

}  // namespace meridian::client_internal
