#include "storage/objects/object_state_machine.h"

#include <algorithm>
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
#include "storage/objects/object_reader.h"
#include "storage/objects/request_log.h"
#include "storage/objects/runs.h"
#include "storage/objects/split.h"
#include "storage/objects/upload_state.h"

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
    case pb::Command::kSplitPartition:
      return ApplySplit(command.split_partition(), context);
    case pb::Command::kFinishSplit:
      return ApplyFinishSplit(command.finish_split(), context);
    case pb::Command::kBeginFreeing:
      return ApplyBeginFreeing(context);
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

// What a command says of the object that it is about; empty if it is about none.
std::string_view NameIn(const pb::Command& command) {
  switch (command.kind_case()) {
    case pb::Command::kPutVersion:
      return command.put_version().name();
    case pb::Command::kCopyVersion:
      return command.copy_version().name();
    case pb::Command::kDeleteObject:
      return command.delete_object().name();
    case pb::Command::kDeleteVersion:
      return command.delete_version().name();
    case pb::Command::kStartUpload:
      return command.start_upload().record().object_name();
    case pb::Command::kAppendUpload:
      return command.append_upload().object_name();
    case pb::Command::kFinishUpload:
      return command.finish_upload().object_name();
    case pb::Command::kAbortUpload:
      return command.abort_upload().object_name();
    default:
      return {};
  }
}

// Empty: the command is about none.
std::string_view UploadIn(const pb::Command& command) {
  switch (command.kind_case()) {
    case pb::Command::kAppendUpload:
      return command.append_upload().upload_id();
    case pb::Command::kFinishUpload:
      return command.finish_upload().upload_id();
    case pb::Command::kAbortUpload:
      return command.abort_upload().upload_id();
    default:
      return {};
  }
}

absl::StatusOr<std::string> NameOf(const ApplyContext& context) {
  const std::string_view name = NameIn(context.command);
  const std::string_view upload_id = UploadIn(context.command);
  if (!name.empty() || upload_id.empty()) return std::string(name);
  ASSIGN_OR_RETURN(const std::optional<pb::UploadRecord> upload, LiveUpload(context, upload_id));
  return upload.has_value() ? upload->object_name() : std::string();
}

absl::StatusOr<pb::Outcome> ApplyToContext(ApplyContext& context) {
  LearnVersioning(context);
  RETURN_IF_ERROR(ForgetExpired(context));
  ASSIGN_OR_RETURN(context.object_name, NameOf(context));
  if (!context.object_name.empty() && !context.Owns(context.object_name)) {
    RETURN_IF_ERROR(AbortUnreferencedRuns(context));
    return MakeOutcome(pb::Outcome::MOVED);
  }
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
  if (!stored.has_value()) meta.set_runs_have_names(true);
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
  ASSIGN_OR_RETURN(const NameRange owned, ObjectReader(state).Owned());
  return ForEachRow(state, TagBegin(Tag::kRun), TagEnd(Tag::kRun),
                    [&](std::string_view key, std::string_view value) -> absl::Status {
                      ASSIGN_OR_RETURN(const RunId run, DecodeId<RunId>(key.substr(1)));
                      ASSIGN_OR_RETURN(const pb::RunRecord record, DecodeRun(value));
                      if (record.references() == 0 || !owned.Contains(record.name())) {
                        return absl::OkStatus();
                      }
                      return visit({.run = run, .first = 0, .count = record.chunk_count()});
                    });
}

absl::StatusOr<std::vector<storage::StateMachine::Garbage>> ObjectStateMachine::CollectGarbage(
    const storage::KvReader& state, LogIndex up_to, size_t max_runs,
    const std::function<bool(RunId)>& held) const {
  std::vector<Garbage> collected;
  ASSIGN_OR_RETURN(const std::optional<pb::PartitionMeta> meta, ObjectReader(state).Meta());
  if (meta.has_value() && meta->holds_garbage()) return collected;
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

absl::StatusOr<std::string> ObjectStateMachine::DigestRange(const storage::KvReader& state,
                                                            std::string_view first,
                                                            std::string_view end) const {
  ASSIGN_OR_RETURN(const NameRange owned, ObjectReader(state).Owned());
  crypto::Sha256Stream hash;
  for (const Tag tag : {Tag::kExpiry, Tag::kVersionIndex, Tag::kMeta, Tag::kObject, Tag::kRequest,
                        Tag::kRun, Tag::kUpload, Tag::kAbortedRun}) {
    const std::string lower = std::max(TagBegin(tag), std::string(first));
    const std::string upper = std::min(TagEnd(tag), std::string(end));
    if (lower >= upper) continue;
    RETURN_IF_ERROR(ForEachRow(state, lower, upper,
                               [&](std::string_view key, std::string_view value) -> absl::Status {
                                 ASSIGN_OR_RETURN(const bool is_owned, IsOwned(key, value, owned));
                                 if (!is_owned) return absl::OkStatus();
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

absl::StatusOr<storage::StateMachine::RowFilter> ObjectStateMachine::SnapshotRows(
    const storage::KvReader& state) const {
  ASSIGN_OR_RETURN(NameRange owned, ObjectReader(state).Owned());
  return RowFilter([owned = std::move(owned)](std::string_view key, std::string_view value) {
    return IsOwned(key, value, owned);
  });
}

absl::StatusOr<std::optional<storage::KvBatch>> ObjectStateMachine::CleanUp(
    const storage::KvReader& state, size_t max_rows) const {
  return CleanMoved(state, max_rows);
}

}  // namespace meridian::objects
