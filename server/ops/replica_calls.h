// The replica's asynchronous calls, waited for on a handler's thread.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

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

// A journal that refuses an entry takes its replica out of service, so what requests ask for is
// kept far below what a journal takes. The largest commands are those that finish uploads of many
// runs.
inline constexpr size_t kMaxCommandBytes = 1 << 20;

// Commits a command and returns its outcome, whatever it is. INVALID_ARGUMENT: the command is
// larger than kMaxCommandBytes. Any other error: see FromReplica.
absl::StatusOr<pb::Outcome> Propose(replication::Replica& replica, absl::Time deadline,
                                    replication::Proposal proposal);
absl::StatusOr<pb::Outcome> Propose(const Context& context, const pb::Command& command);

// A view that holds every write acknowledged before this call (I2).
absl::StatusOr<std::unique_ptr<storage::KvReader>> ConfirmedView(replication::Replica& replica,
                                                                 absl::Time deadline);

// Moved() unless the partition owns the name as of the view.
absl::Status CheckOwned(const storage::KvReader& view, std::string_view name);
// Where the names end that the context's partition owns as of the view, and that its container's
// map gives it; empty: no end. Moved() unless it owns `name`.
absl::StatusOr<std::string> OwnedEnd(const Context& context, const storage::KvReader& view,
                                     std::string_view name);

// How the request ended if it was carried out before; an outcome of another digest is a refusal.
// For operations that read before they propose, since what they read may be gone by a retry.
absl::StatusOr<std::optional<pb::Outcome>> FindOutcome(const storage::KvReader& view,
                                                       const pb::Command& command);

}  // namespace meridian::ops
