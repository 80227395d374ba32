// What is forgotten by time: request outcomes, uploads, aborted runs. Decided by commit time, so
// that replicas agree; a bounded amount with each command, so that none takes long.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/objects/apply_context.h"
#include "storage/objects/keys.h"

namespace meridian::objects {

// Rows that one command forgets, of each queue. An upload may hold many runs: one at a time.
inline constexpr int kMaxExpiredRequests = 4;
inline constexpr int kMaxExpiredAbortedRuns = 4;
inline constexpr int kMaxExpiredUploads = 1;

void AddExpiry(ApplyContext& context, Queue queue, int64_t expire_time_us, std::string_view id);
void RemoveExpiry(ApplyContext& context, Queue queue, int64_t expire_time_us, std::string_view id);

// Forgets what has expired by the entry's timestamp, within the bounds above. Before anything else
// of the command.
absl::Status ForgetExpired(ApplyContext& context);

// Forgets the oldest request's outcome before its time and raises the floor of accepted ids above
// it; false, and nothing done, if that one is younger than Limits::min_retention.
absl::StatusOr<bool> ForgetOldestRequest(ApplyContext& context);

}  // namespace meridian::objects
