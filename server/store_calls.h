// The coordination store's asynchronous calls, waited for.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "coordination/coordination_store.h"

namespace meridian::server {

// Block, for five seconds at most; not on a strand. UNAVAILABLE: the store does not answer; of
// CommitTo the outcome is then unknown.
absl::StatusOr<std::optional<coordination::KeyValue>> GetFrom(
    coordination::CoordinationStore& store, const std::string& key);
absl::StatusOr<std::vector<coordination::KeyValue>> ListFrom(coordination::CoordinationStore& store,
                                                             const std::string& prefix);
// ABORTED: a compare did not hold, nothing was written.
absl::Status CommitTo(coordination::CoordinationStore& store,
                      coordination::Transaction transaction);

}  // namespace meridian::server
