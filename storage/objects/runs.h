// Which runs are referenced, aborted, garbage (P8).
//
// A run is fresh (no row), then referenced (`r` > 0), then garbage (`r` = 0 and a `g` row, both
// local, until this replica has freed it). One that is aborted before it was referenced has an `x`
// row, for the retention, and a `g` row.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"
#include "storage/objects/apply_context.h"

namespace meridian::objects {

enum class RunState { kFresh, kReferenced, kAborted };

// Garbage is fresh: whether it has been freed differs between replicas.
absl::StatusOr<RunState> StateOfRun(const ApplyContext& context, RunId run);

// One holder more; the run has at least `chunk_count` referenced chunks from now on.
absl::Status AddReference(ApplyContext& context, RunId run, uint32_t chunk_count);
// One holder more of each run in the manifest, which may be referenced already.
absl::Status AddReferences(ApplyContext& context, const pb::Manifest& manifest);
// The same holder references more of the run's chunks.
absl::Status ExtendReference(ApplyContext& context, RunId run, uint32_t chunk_count);
// One holder less; the last one leaves garbage. DATA_LOSS if there is none.
absl::Status DropReference(ApplyContext& context, RunId run);
absl::Status DropReferences(ApplyContext& context, const pb::Manifest& manifest);

// Refuses the run from now on, and makes its chunks garbage. No effect on one that is referenced or
// aborted.
absl::Status AbortRun(ApplyContext& context, RunId run);

// Aborts the runs whose chunks the log entry carries and that its command left unreferenced, be it
// refused or answered from memory: nothing will ever name them.
absl::Status AbortUnreferencedRuns(ApplyContext& context);

}  // namespace meridian::objects
