// Operations on a partition as a whole, for the node that leads it.
#pragma once

#include <cstdint>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "replication/replica.h"

namespace meridian::ops {

// Whether the partition holds no version, delete marker or upload, confirmed by a quorum.
absl::StatusOr<bool> IsEmpty(replication::Replica& replica, absl::Time deadline);

// A container's versioning, by a generation of its record.
struct Versioning {
  bool keep = false;
  uint64_t generation = 0;
};
// Once it has returned OK, whatever is applied is decided by this or a newer generation (P5).
absl::Status SetVersioning(replication::Replica& replica, const Versioning& versioning,
                           absl::Time deadline);

// Proposes that the state machine forgets what has expired by `now`, if anything has: uploads above
// all, whose space comes back by it. Without this an idle partition would keep them. To be called
// now and then (a minute is fine) by the leader; blocks.
absl::Status ForgetExpired(replication::Replica& replica, absl::Time now, absl::Time deadline);

}  // namespace meridian::ops
