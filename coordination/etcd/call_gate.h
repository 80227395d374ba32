// The gRPC calls in flight, so that a store which closes can end them and wait for their end.
#pragma once

#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"

namespace grpc {
class ClientContext;
}

namespace meridian::coordination {

// Thread-safe.
class CallGate {
 public:
  // Before the call is started. False: the gate is closed, and it must not be.
  bool Enter(std::shared_ptr<grpc::ClientContext> call) ABSL_LOCKS_EXCLUDED(mutex_);
  // The last thing that the call's completion does.
  void Leave(const grpc::ClientContext* call) ABSL_LOCKS_EXCLUDED(mutex_);
  // Cancels what is in flight; returns when every call has left.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  using Calls =
      absl::flat_hash_map<const grpc::ClientContext*, std::shared_ptr<grpc::ClientContext>>;

  absl::Mutex mutex_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  Calls calls_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::coordination
