// The replica's asynchronous calls, waited for on a handler's thread.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "replication/replica.h"
#include "server/ops/context.h"
#include "storage/kv.h"
#include "storage/objects/records.h"

namespace meridian::ops {

namespace pb = ::meridian::internal::v1;

// A command with what every command of this container says.
pb::Command NewCommand(const Context& context);

// Commits a command and returns its outcome, whatever it is. An error: see FromReplica.
absl::StatusOr<pb::Outcome> Propose(replication::Replica& replica, absl::Time deadline,
                                    replication::Proposal proposal);
absl::StatusOr<pb::Outcome> Propose(const Context& context, const pb::Command& command);

// A view that holds every write acknowledged before this call (I2).
absl::StatusOr<std::unique_ptr<storage::KvReader>> ConfirmedView(replication::Replica& replica,
                                                                 absl::Time deadline);

// How the request ended if it was carried out before; an outcome of another digest is a refusal.
// For operations that read before they propose, since what they read may be gone by a retry.
absl::StatusOr<std::optional<pb::Outcome>> FindOutcome(const storage::KvReader& view,
                                                       const pb::Command& command);

}  // namespace meridian::ops
