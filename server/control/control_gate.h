// A bound on the calls that use the coordination store.
#pragma once

#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "base/id.h"

namespace meridian::server {

// So many calls at a time: they wait for the store on threads that objects' requests need too
// (I12), and one tenant's must not fill the store's queue. Thread-safe.
class ControlGate {
 public:
  static constexpr int kMaxCalls = 64;
  // Administrators' count for the first bound only.
  static constexpr int kMaxCallsOfTenant = 8;

  // One call, which ends with it. RESOURCE_EXHAUSTED (OVERLOADED) of both: not now.
  class Call {
   public:
    explicit Call(ControlGate& gate) : gate_(gate) {}
    ~Call();
    Call(const Call&) = delete;
    Call& operator=(const Call&) = delete;

    absl::Status Enter();
    // Once the caller is known, nil for an administrator; after Enter.
    absl::Status EnterAs(TenantId tenant);

   private:
    ControlGate& gate_;
    bool entered_ = false;
    TenantId tenant_;  // nil: not counted
  };

 private:
  absl::Mutex mutex_;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::map<TenantId, int> of_tenants_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
