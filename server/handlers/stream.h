// What bodies over gRPC's streams need beside the stream: a bound on waiting for the client, and
// the caller's key looked at again, since a stream may outlive it by far.
#pragma once

#include <grpcpp/server_context.h>

#include "absl/status/status.h"
#include "server/handlers/call.h"
#include "server/handlers/stream_watchdog.h"
#include "server/telemetry/call_record.h"

namespace meridian::server {

// One streaming call whose caller was authenticated just now. Of one thread.
class Stream {
 public:
  Stream(Api& api, StreamWatchdog& watchdog, grpc::ServerContext& context)
      : api_(api),
        context_(context),
        watched_(watchdog, DeadlineOf(context), [&context] { context.TryCancel(); }) {}

  // gRPC's Read or Write. False: the stream has ended, or the client has kept it waiting.
  template <typename Blocking>
  bool Wait(const Blocking& blocking) {
    const PhaseTimer timer(CallPhase::kClient);
    return watched_.Wait(blocking);
  }
  bool IsCancelled() const { return context_.IsCancelled(); }

  // To be called after every Wait, which may have taken minutes. UNAUTHENTICATED: the key has been
  // revoked. Of a key in use it costs a look-up in memory.
  absl::Status CheckKey() { return Authenticate(api_, context_).status(); }

 private:
  Api& api_;
  grpc::ServerContext& context_;
  StreamWatchdog::Call watched_;
};

}  // namespace meridian::server
