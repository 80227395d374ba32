// What all calls of one Client share.
#pragma once

#include <grpcpp/grpcpp.h>

#include <atomic>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "client/internal/endpoint.h"
#include "client/internal/route_cache.h"
#include "client/options.h"
#include "client/profile.h"
#include "meridian/v1/types.pb.h"

namespace meridian::client_internal {

// What a call is about: decides which server it goes to.
struct Subject {
  // `tenants/{tenant}/containers/{container}`; empty: any server will do.
  std::string container;
  // Empty: the container's first partition.
  std::string object;
};

// Thread-safe.
class Session {
 public:
  Session(const Profile& profile, const ClientOptions& options)
      : profile_(profile), options_(options), endpoints_(profile_, options_) {}

  const ClientOptions& options() const { return options_; }
  Clock& clock() { return clock_; }
  Random& random() { return random_; }

  // A call's context, with the access key. Infinite: the caller watches over the time.
  std::unique_ptr<grpc::ClientContext> NewContext(absl::Duration timeout) const;

  // The leader for the subject as known or asked for, else a server of the profile; also if the
  // leader is at `unreachable` (empty: none): the other may know more by now, or why.
  std::shared_ptr<Endpoint> FindServer(const Subject& subject, const std::string& unreachable);

  // Learns from a failure of a call to `server`: where the leader is now, or where it is not. If
  // the server says that the call is about other names than the subject's, as it may of a list with
  // a page token, the subject is that from then on.
  void Learn(Subject& subject, const Endpoint& server, const absl::Status& failure);

  v1::RequestId DrawRequestId();

 private:
  std::shared_ptr<Endpoint> Front();
  // If it is the front, another one is from now on.
  void LeaveFront(const Endpoint& server);

  const Profile profile_;
  const ClientOptions options_;
  SystemClock clock_;
  SystemRandom random_;
  EndpointPool endpoints_;
  RouteCache routes_;
  // Which of the profile's endpoints to use; moves on when one fails.
  std::atomic<size_t> front_{0};
};

// The status of a finished call with its typed details, and if it failed its request id, as
// payloads.
absl::Status FromGrpc(const grpc::Status& status, const grpc::ClientContext& call);

}  // namespace meridian::client_internal
