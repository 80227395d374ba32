#include "storage/objects/runs.h"

#include <algorithm>
#include <string>

#include "storage/objects/expiry.h"
#include "storage/objects/keys.h"

namespace meridian::objects {
namespace {

absl::StatusOr<pb::RunRecord> GetRun(const ApplyContext& context, RunId run) {
  ASSIGN_OR_RETURN(const std::optional<std::string> value, context.state.Get(RunKey(run)));
  pb::RunRecord record;
  if (value.has_value() && !record.ParseFromString(*value)) {
    return absl::DataLossError("object state: unreadable run row");
  }
  // A row that moved in a split: when it goes differs between replicas.
  if (!context.Owns(record.name())) record.Clear();
  return record;
}

void PutRun(ApplyContext& context, RunId run, const pb::RunRecord& record) {
  context.state.Put(RunKey(run), record.SerializeAsString());
}

void AddGarbage(ApplyContext& context, RunId run) {
  context.state.Put(EncodeGarbageKey({.index = context.entry.index, .run = run}),
                    std::string(kPresent));
}

}  // namespace

absl::StatusOr<RunState> StateOfRun(const ApplyContext& context, RunId run) {
  ASSIGN_OR_RETURN(const pb::RunRecord record, GetRun(context, run));
  if (record.references() > 0) return RunState::kReferenced;
  ASSIGN_OR_RETURN(const std::optional<std::string> aborted, context.state.Get(AbortedRunKey(run)));
  return aborted.has_value() ? RunState::kAborted : RunState::kFresh;
}

absl::Status AddReference(ApplyContext& context, RunId run, uint32_t chunk_count) {
  ASSIGN_OR_RETURN(pb::RunRecord record, GetRun(context, run));
  record.set_references(record.references() + 1);
  record.set_name(context.object_name);
  record.set_chunk_count(std::max(record.chunk_count(), chunk_count));
  PutRun(context, run, record);
  return absl::OkStatus();
}

absl::Status ExtendReference(ApplyContext& context, RunId run, uint32_t chunk_count) {
  ASSIGN_OR_RETURN(pb::RunRecord record, GetRun(context, run));
  if (record.references() == 0) {
    return absl::DataLossError("object state: an upload holds a run without a row");
  }
  record.set_chunk_count(std::max(record.chunk_count(), chunk_count));
  PutRun(context, run, record);
  return absl::OkStatus();
}

absl::Status DropReference(ApplyContext& context, RunId run) {
  ASSIGN_OR_RETURN(pb::RunRecord record, GetRun(context, run));
  if (record.references() == 0) {
    return absl::DataLossError("object state: a version holds a run without a row");
  }
  record.set_references(record.references() - 1);
  PutRun(context, run, record);
  if (record.references() == 0) AddGarbage(context, run);
  return absl::OkStatus();
}

absl::Status AddReferences(ApplyContext& context, const pb::Manifest& manifest) {
  for (const pb::Run& run : manifest.runs()) {
    ASSIGN_OR_RETURN(const RunId id, DecodeId<RunId>(run.run_id()));
    RETURN_IF_ERROR(AddReference(context, id, ChunkCountOf(run.plaintext_bytes())));
  }
  return absl::OkStatus();
}

absl::Status DropReferences(ApplyContext& context, const pb::Manifest& manifest) {
  for (const pb::Run& run : manifest.runs()) {
    ASSIGN_OR_RETURN(const RunId id, DecodeId<RunId>(run.run_id()));
    RETURN_IF_ERROR(DropReference(context, id));
  }
  return absl::OkStatus();
}

absl::Status AbortRun(ApplyContext& context, RunId run) {
  ASSIGN_OR_RETURN(const RunState state, StateOfRun(context, run));
  if (state != RunState::kFresh) return absl::OkStatus();
  context.state.Put(AbortedRunKey(run), std::string(kPresent));
  AddExpiry(context, Queue::kAbortedRun,
            context.now_us() + absl::ToInt64Microseconds(context.limits.retention), run.bytes());
  AddGarbage(context, run);
  return absl::OkStatus();
}

absl::Status AbortUnreferencedRuns(ApplyContext& context) {
  if (!context.entry.inline_body.empty()) {
    RETURN_IF_ERROR(AbortRun(context, context.entry.inline_run));
  }
  for (const storage::ChunkRange& range : context.entry.chunks) {
    RETURN_IF_ERROR(AbortRun(context, range.run));
  }
  return absl::OkStatus();
}

}  // namespace meridian::objects
