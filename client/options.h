// How a client waits and retries.
#pragma once

#include "absl/time/time.h"

namespace meridian {

struct ClientOptions {
  // For calls that give no timeout of their own.
  absl::Duration default_timeout = absl::Seconds(60);
  // A server that accepts no connection for so long is left for another.
  absl::Duration connect_timeout = absl::Seconds(2);
  // How long the first attempt of a call may take, or of a call that carries a body each of its
  // messages, before the call is repeated or resumed where the leader is by then. Doubles with each
  // attempt that runs into it, so that a slow cluster is not flooded.
  absl::Duration attempt_timeout = absl::Seconds(3);
  // Pause before the second attempt; grows by 1.6 each time up to max_backoff, each pause drawn
  // evenly between half and all of that.
  absl::Duration initial_backoff = absl::Milliseconds(50);
  absl::Duration max_backoff = absl::Seconds(1);
  // TCP connections to a server, 1-16: one carries about 1 GB/s of TLS at most.
  int connections_per_endpoint = 2;
};

struct CallOptions {
  // Retries included. Of calls that carry a body: the longest time without progress. Zero: the
  // client's default_timeout.
  absl::Duration timeout = absl::ZeroDuration();
};

}  // namespace meridian
