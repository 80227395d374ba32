// One function for each kind of command: decides it against the state, and changes the state. An
// error means that the state or the command cannot be read; a refusal is an outcome.
#pragma once

#include "absl/status/statusor.h"
#include "storage/objects/apply_context.h"

namespace meridian::objects {

// put_version.cc
absl::StatusOr<pb::Outcome> ApplyPutVersion(const pb::PutVersion& put, ApplyContext& context);
// copy_version.cc
absl::StatusOr<pb::Outcome> ApplyCopyVersion(const pb::CopyVersion& copy, ApplyContext& context);
// delete.cc
absl::StatusOr<pb::Outcome> ApplyDeleteObject(const pb::DeleteObject& deletion,
                                              ApplyContext& context);
absl::StatusOr<pb::Outcome> ApplyDeleteVersion(const pb::DeleteVersion& deletion,
                                               ApplyContext& context);
// uploads.cc
absl::StatusOr<pb::Outcome> ApplyStartUpload(const pb::StartUpload& start, ApplyContext& context);
absl::StatusOr<pb::Outcome> ApplyAppendUpload(const pb::AppendUpload& append,
                                              ApplyContext& context);
absl::StatusOr<pb::Outcome> ApplyFinishUpload(const pb::FinishUpload& finish,
                                              ApplyContext& context);
absl::StatusOr<pb::Outcome> ApplyAbortUpload(const pb::AbortUpload& abort, ApplyContext& context);
// split.cc
absl::StatusOr<pb::Outcome> ApplySplit(const pb::SplitPartition& split, ApplyContext& context);
absl::StatusOr<pb::Outcome> ApplyFinishSplit(const pb::FinishSplit& finish, ApplyContext& context);
pb::Outcome ApplyBeginFreeing(ApplyContext& context);
// object_state_machine.cc
absl::StatusOr<pb::Outcome> ApplyAbortRun(const pb::AbortRun& abort, ApplyContext& context);

}  // namespace meridian::objects
