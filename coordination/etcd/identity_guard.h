// Recognises answers of another store, and of this one's past (P11).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "coordination/etcd/etcd_store.h"
#include "etcd/rpc.pb.h"

namespace meridian::coordination {

// Thread-safe.
class IdentityGuard {
 public:
  // Without a remembered cluster id, the first answer's is the one.
  explicit IdentityGuard(const StoreIdentity& remembered) : seen_(remembered) {}

  StoreIdentity seen() const ABSL_LOCKS_EXCLUDED(mutex_);

  // UNAVAILABLE if the answer, of `member`, cannot be trusted. `floor`: seen().revision when the
  // request was sent, below which no linearizable answer can be; nullopt for one that a member may
  // give from its own state, which may be late.
  absl::Status Check(const std::string& member, const etcdserverpb::ResponseHeader& header,
                     std::optional<int64_t> floor) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  mutable absl::Mutex mutex_;
  StoreIdentity seen_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::coordination
