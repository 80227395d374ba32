#include "storage/objects/object_state_machine.h"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "crypto/hash.h"
#include "storage/objects/apply_context.h"
#include "storage/objects/commands.h"
#include "storage/objects/expiry.h"
#include "storage/objects/keys.h"
#include "storage/objects/request_log.h"
#include "storage/objects/runs.h"

namespace meridian::objects {
namespace {

absl::StatusOr<pb::Outcome> CarryOut(ApplyContext& context) {
  const pb::Command& command = context.command;
  switch (command.kind_case()) {
    case pb::Command::kPutVersion:
      return ApplyPutVersion(command.put_version(), context);
    case pb::Command::kCopyVersion:
      return ApplyCopyVersion(command.copy_version(), context);
    case pb::Command::kDeleteObject:
      return ApplyDeleteObject(command.delete_object(), context);
    case pb::Command::kDeleteVersion:
      return ApplyDeleteVersion(command.delete_version(), context);
    case pb::Command::kStartUpload:
      return ApplyStartUpload(command.start_upload(), context);
    case pb::Command::kAppendUpload:
      return ApplyAppendUpload(command.append_upload(), context);
    case pb::Command::kFinishUpload:
      return ApplyFinishUpload(command.finish_upload(), context);
    case pb::Command::kAbortUpload:
      return ApplyAbortUpload(command.abort_upload(), context);
    case pb::Command::kAbortRun:
      return ApplyAbortRun(command.abort_run(), context);
    case pb::Command::kMaintain:
      return MakeOutcome(pb::Outcome::OK);
    case pb::Command::KIND_NOT_SET:
      break;
  }
  // A newer leader's command: to go on without its effect would let replicas differ.
  return absl::UnimplementedError("object state: a command of an unknown kind");
}

void LearnVersioning(ApplyContext& context) {
  const pb::Command& command = context.command;
  if (command.versioning_generation() <= context.meta.versioning_generation()) return;
  context.meta.set_keep_versions(command.keep_versions());
  context.meta.set_versioning_generation(command.versioning_generation());
}

absl::StatusOr<pb::Outcome> ApplyToContext(ApplyContext& context) {
  LearnVersioning(context);
  RETURN_IF_ERROR(ForgetExpired(context));
  ASSIGN_OR_RETURN(std::optional<pb::Outcome> outcome, AnswerWithoutEffect(context));
  if (!outcome.has_value()) {
    ASSIGN_OR_RETURN(outcome, CarryOut(context));
    RETURN_IF_ERROR(RememberOutcome(context, *outcome));
  }
  RETURN_IF_ERROR(AbortUnreferencedRuns(context));
  return *std::move(outcome);
}

// Calls `visit` for each row of [lower, upper) until it returns an error.
absl::Status ForEachRow(
    const storage::KvReader& state, const std::string& lower, const std::string& upper,
    const std::function<absl::Status(std::string_view key, std::string_view value)>& visit) {
  const std::unique_ptr<storage::KvIterator> it = state.NewIterator(lower, upper);
  for (it->Seek(lower); it->Valid(); it->Next()) RETURN_IF_ERROR(visit(it->key(), it->value()));
  return it->status();
}

absl::StatusOr<pb::RunRecord> DecodeRun(std::string_view value) {
  pb::RunRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return absl::DataLossError("object state: unreadable run row");
  }
  return record;
}

void HashSized(crypto::Sha256Stream& hash, std::string_view bytes) {
  std::string size;
  for (int shift = 56; shift >= 0; shift -= 8) {
    size.push_back(static_cast<char>(uint64_t{bytes.size()} >> shift));
  }
  hash.Update(size);
  hash.Update(bytes);
}

}  // namespace

absl::StatusOr<pb::Outcome> ApplyAbortRun(const pb::AbortRun& abort, ApplyContext& context) {
  ASSIGN_OR_RETURN(const RunId run, DecodeId<RunId>(abort.run_id()));
  ASSIGN_OR_RETURN(const RunState state, StateOfRun(context, run));
  if (state == RunState::kReferenced) return MakeOutcome(pb::Outcome::RUN_REFERENCED);
  RETURN_IF_ERROR(AbortRun(context, run));
  return MakeOutcome(pb::Outcome::OK);
}

absl::StatusOr<std::string> ObjectStateMachine::Apply(const storage::LogEntry& entry,
                                                      const storage::KvReader& state,
                                                      storage::KvBatch& batch) const {
  ASSIGN_OR_RETURN(const pb::Command command, DecodeRecord<pb::Command>(entry.command));
  StateEditor editor(state);
  ASSIGN_OR_RETURN(const std::optional<pb::PartitionMeta> stored,
                   editor.GetRecord<pb::PartitionMeta>(MetaKey()));
  pb::PartitionMeta meta = stored.value_or(pb::PartitionMeta());
  const std::string meta_before = EncodeRecord(meta);
  ApplyContext context{
      .command = command, .entry = entry, .limits = limits_, .state = editor, .meta = meta};
  ASSIGN_OR_RETURN(pb::Outcome outcome, ApplyToContext(context));
  if (std::string meta_after = EncodeRecord(meta); meta_after != meta_before) {
    editor.Put(MetaKey(), std::move(meta_after));
  }
  editor.MoveTo(batch);
  return EncodeRecord(std::move(outcome));
}

absl::Status ObjectStateMachine::VisitChunks(
    const storage::KvReader& state,
    const std::function<absl::Status(const storage::ChunkRange&)>& visit) const {
  return ForEachRow(state, TagBegin(Tag::kRun), TagEnd(Tag::kRun),
                    [&visit](std::string_view key, std::string_view value) -> absl::Status {
                      ASSIGN_OR_RETURN(const RunId run, DecodeId<RunId>(key.substr(1)));
                      ASSIGN_OR_RETURN(const pb::RunRecord record, DecodeRun(value));
                      if (record.references() == 0) return absl::OkStatus();
                      return visit({.run = run, .first = 0, .count = record.chunk_count()});
                    });
}

absl::StatusOr<std::vector<storage::StateMachine::Garbage>> ObjectStateMachine::CollectGarbage(
    const storage::KvReader& state, LogIndex up_to, size_t max_runs,
    const std::function<bool(RunId)>& held) const {
  std::vector<Garbage> collected;
  const std::string lower = TagBegin(Tag::kGarbage);
  const std::unique_ptr<storage::KvIterator> it = state.NewIterator(lower, TagEnd(Tag::kGarbage));
  for (it->Seek(lower); it->Valid() && collected.size() < max_runs; it->Next()) {
    ASSIGN_OR_RETURN(const GarbageKey key, DecodeGarbageKey(it->key()));
    if (key.index > up_to) break;
    if (held(key.run)) continue;
    Garbage garbage{.run = key.run, .forget = {}};
    garbage.forget.Delete(std::string(it->key()));
    ASSIGN_OR_RETURN(const std::optional<std::string> row, state.Get(RunKey(key.run)));
    if (row.has_value()) {
      ASSIGN_OR_RETURN(const pb::RunRecord record, DecodeRun(*row));
      // Never free what is referenced, whatever the list says.
      if (record.references() > 0) continue;
      garbage.forget.Delete(RunKey(key.run));
    }
    collected.push_back(std::move(garbage));
  }
  RETURN_IF_ERROR(it->status());
  return collected;
}

absl::StatusOr<bool> ObjectStateMachine::KnowsRun(const storage::KvReader& state, RunId run) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> row, state.Get(RunKey(run)));
  if (row.has_value()) return true;
  ASSIGN_OR_RETURN(const std::optional<std::string> aborted, state.Get(AbortedRunKey(run)));
  return aborted.has_value();
}

absl::StatusOr<std::string> ObjectStateMachine::Digest(const storage::KvReader& state) const {
  crypto::Sha256Stream hash;
  for (const Tag tag : {Tag::kExpiry, Tag::kVersionIndex, Tag::kMeta, Tag::kObject, Tag::kRequest,
                        Tag::kRun, Tag::kUpload, Tag::kAbortedRun}) {
    RETURN_IF_ERROR(
        ForEachRow(state, TagBegin(tag), TagEnd(tag),
                   [tag, &hash](std::string_view key, std::string_view value) -> absl::Status {
                     if (tag == Tag::kRun) {
                       ASSIGN_OR_RETURN(const pb::RunRecord record, DecodeRun(value));
                       if (record.references() == 0) return absl::OkStatus();
                     }
                     HashSized(hash, key);
                     HashSized(hash, value);
                     return absl::OkStatus();
                   }));
  }
  return hash.Finish();
}

}  // namespace meridian::objects
