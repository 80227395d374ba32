// What bodies over gRPC's streams need beside the stream: a bound on waiting for the client, and
// the caller's key looked at again, since a stream may outlive it by far.
#pragma once

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/handlers/call.h"
#include "server/handlers/stream_watchdog.h"

namespace meridian::server {

// One streaming call whose caller was authenticated just now. Of one thread.
class Stream {
 public:
  Stream(Api& api, StreamWatchdog& watchdog, grpc::ServerContext& context)
      : api_(api),
        context_(context),
        watched_(watchdog, DeadlineOf(context), [&context] { context.TryCancel(); }),
        authenticated_(absl::Now()) {}

  // gRPC's Read or Write. False: the stream has ended, or the client has kept it waiting.
  template <typename Blocking>
  bool Wait(const Blocking& blocking) {
    return watched_.Wait(blocking);
  }
  bool IsCancelled() const { return context_.IsCancelled(); }

  // To be called for every message. UNAUTHENTICATED: the key has been revoked.
  absl::Status CheckKey() {
    // With what the authenticator caches, within the 5 seconds that RevokeAccessKey promises.
    constexpr absl::Duration kInterval = absl::Seconds(2);
    const absl::Time now = absl::Now();
    if (now - authenticated_ < kInterval) return absl::OkStatus();
    authenticated_ = now;
    return Authenticate(api_, context_).status();
  }

 private:
  Api& api_;
  grpc::ServerContext& context_;
  StreamWatchdog::Call watched_;
  absl::Time authenticated_;
};

}  // namespace meridian::server
