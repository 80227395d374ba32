// Outcomes of requests, remembered so that a retry has no second effect (P5).
#pragma once

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/objects/apply_context.h"

namespace meridian::objects {

// What to answer without carrying the command out: the remembered outcome of its request id, or a
// refusal of the id. nullopt: carry it out.
absl::StatusOr<std::optional<pb::Outcome>> AnswerWithoutEffect(ApplyContext& context);

// Remembers the outcome, if the command has a request id and the outcome is final: one that asks
// the proposer to try again is not.
absl::Status RememberOutcome(ApplyContext& context, const pb::Outcome& outcome);

}  // namespace meridian::objects
