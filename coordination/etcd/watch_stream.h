// The one watch stream of a store, over all its keys.
#pragma once

#include <grpcpp/support/status.h>

#include <memory>
#include <string>

#include "absl/time/time.h"
#include "coordination/etcd/call.h"
#include "coordination/watch_registry.h"

namespace meridian::coordination {

// Confined to the strand, apart from construction and destruction. Hints the watches of the
// registry that a change concerns; whenever the stream was created, all of them, since anything may
// have changed before. Created anew, at a member that is usable, as often as it ends.
class WatchStream {
 public:
  // All outlive it.
  WatchStream(CallEnvironment& environment, std::string key_prefix, WatchRegistry& registry);
  ~WatchStream();

  // From now on there is a stream.
  void Start();
  // Leaves a member that is no longer usable, which a silent stream would not notice.
  void OnMemberDown(const EtcdMember& member);

 private:
  class Stream;

  void Open();
  void OnResponse(Stream& stream);
  // Not OK ends the stream.
  absl::Status Take(const Stream& stream);
  void OnEnd(Stream& stream, const grpc::Status& status);

  CallEnvironment& environment_;
  const std::string key_prefix_;
  WatchRegistry& registry_;
  bool started_ = false;
  std::shared_ptr<Stream> stream_;  // null: waits for a member, or to try again
  absl::Duration retry_delay_;
};

}  // namespace meridian::coordination
