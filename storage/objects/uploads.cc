#include <algorithm>

#include "storage/objects/commands.h"
#include "storage/objects/expiry.h"
#include "storage/objects/keys.h"
#include "storage/objects/runs.h"
#include "storage/objects/upload_state.h"
#include "storage/objects/version_set.h"

namespace meridian::objects {
namespace {

void PutUpload(ApplyContext& context, UploadId upload, pb::UploadRecord record) {
  context.state.Put(UploadKey(upload), EncodeRecord(std::move(record)));
}

pb::Outcome WithDurableSize(pb::Outcome::Code code, const pb::UploadRecord& record) {
  pb::Outcome outcome = MakeOutcome(code);
  outcome.set_durable_size_bytes(record.durable_size_bytes());
  return outcome;
}

// Makes `run` the only one that may add bytes.
absl::StatusOr<pb::Outcome> TakeOver(ApplyContext& context, UploadId upload, RunId run,
                                     pb::UploadRecord record) {
  if (static_cast<size_t>(record.runs_size()) >= context.limits.max_runs_per_upload) {
    return WithDurableSize(pb::Outcome::TOO_MANY_RUNS, record);
  }
  ASSIGN_OR_RETURN(const RunState state, StateOfRun(context, run));
  if (state != RunState::kFresh) return WithDurableSize(pb::Outcome::RUN_REFUSED, record);
  if (!record.streaming_run_id().empty()) {
    ASSIGN_OR_RETURN(const RunId previous, DecodeId<RunId>(record.streaming_run_id()));
    // Has an effect if it has added nothing: its chunks, if any, will never be named.
    RETURN_IF_ERROR(AbortRun(context, previous));
  }
  record.set_streaming_run_id(std::string(run.bytes()));
  pb::Outcome outcome = WithDurableSize(pb::Outcome::OK, record);
  PutUpload(context, upload, std::move(record));
  return outcome;
}

// The run as the upload has it: the last one, if it has added bytes.
pb::Run* FindStreamingRun(pb::UploadRecord& record) {
  if (record.runs_size() == 0) return nullptr;
  pb::Run* last = record.mutable_runs(record.runs_size() - 1);
  return last->run_id() == record.streaming_run_id() ? last : nullptr;
}

bool EntryCarries(const storage::LogEntry& entry, const storage::ChunkRange& added) {
  return std::find(entry.chunks.begin(), entry.chunks.end(), added) != entry.chunks.end();
}

absl::StatusOr<pb::Outcome> AddBytes(const pb::AppendUpload& append, ApplyContext& context,
                                     UploadId upload, RunId run, pb::UploadRecord record) {
  if (record.streaming_run_id() != append.run().run_id()) {
    return WithDurableSize(pb::Outcome::UPLOAD_SUPERSEDED, record);
  }
  pb::Run* existing = FindStreamingRun(record);
  const uint64_t bytes_before = existing == nullptr ? 0 : existing->plaintext_bytes();
  const uint64_t bytes_after = append.run().plaintext_bytes();
  const uint32_t chunks_before = ChunkCountOf(bytes_before);
  const uint32_t chunks_after = ChunkCountOf(bytes_after);
  // Nothing follows a chunk that is not full.
  if (bytes_after <= bytes_before || bytes_before % crypto::kChunkBytes != 0 ||
      !EntryCarries(context.entry,
                    {.run = run, .first = chunks_before, .count = chunks_after - chunks_before})) {
    return WithDurableSize(pb::Outcome::MALFORMED, record);
  }
  if (existing == nullptr) {
    ASSIGN_OR_RETURN(const RunState state, StateOfRun(context, run));
    if (state != RunState::kFresh) return WithDurableSize(pb::Outcome::RUN_REFUSED, record);
    *record.add_runs() = append.run();
    RETURN_IF_ERROR(AddReference(context, run, chunks_after));
  } else {
    existing->set_plaintext_bytes(bytes_after);
    RETURN_IF_ERROR(ExtendReference(context, run, chunks_after));
  }
  record.set_durable_size_bytes(record.durable_size_bytes() + bytes_after - bytes_before);
  record.set_durable_crc32c(append.crc32c());
  record.set_progress_mac(append.progress_mac());
  pb::Outcome outcome = WithDurableSize(pb::Outcome::OK, record);
  PutUpload(context, upload, std::move(record));
  return outcome;
}

// Whether the manifest says exactly what the upload holds.
bool NamesRunsOf(const pb::Manifest& manifest, const pb::UploadRecord& record) {
  if (manifest.size_bytes() != record.durable_size_bytes()) return false;
  return std::equal(manifest.runs().begin(), manifest.runs().end(), record.runs().begin(),
                    record.runs().end(), [](const pb::Run& a, const pb::Run& b) {
                      return a.SerializeAsString() == b.SerializeAsString();
                    });
}

}  // namespace

absl::StatusOr<pb::Outcome> ApplyStartUpload(const pb::StartUpload& start, ApplyContext& context) {
  pb::UploadRecord record = start.record();
  ASSIGN_OR_RETURN(const UploadId upload, DecodeId<UploadId>(record.upload_id()));
  ASSIGN_OR_RETURN(const std::optional<std::string> existing, context.state.Get(UploadKey(upload)));
  record.set_create_time_us(context.now_us());
  // Said by the proposer, so that it is under the record's MAC.
  if (record.expire_time_us() == 0) record.set_expire_time_us(context.now_us() + start.ttl_us());
  if (existing.has_value() || record.runs_size() != 0 ||
      record.expire_time_us() <= context.now_us()) {
    return MakeOutcome(pb::Outcome::MALFORMED);
  }
  AddExpiry(context, Queue::kUpload, record.expire_time_us(), upload.bytes());
  pb::Outcome outcome = MakeOutcome(pb::Outcome::OK);
  outcome.set_upload_id(record.upload_id());
  outcome.set_timestamp_us(record.create_time_us());
  outcome.set_expire_time_us(record.expire_time_us());
  PutUpload(context, upload, std::move(record));
  return outcome;
}

absl::StatusOr<pb::Outcome> ApplyAppendUpload(const pb::AppendUpload& append,
                                              ApplyContext& context) {
  ASSIGN_OR_RETURN(const UploadId upload, DecodeId<UploadId>(append.upload_id()));
  ASSIGN_OR_RETURN(const RunId run, DecodeId<RunId>(append.run().run_id()));
  ASSIGN_OR_RETURN(std::optional<pb::UploadRecord> record, LiveUpload(context, append.upload_id()));
  if (!record.has_value()) return MakeOutcome(pb::Outcome::UPLOAD_NOT_FOUND);
  if (append.expected_size_bytes() != record->durable_size_bytes()) {
    return WithDurableSize(pb::Outcome::UPLOAD_OFFSET, *record);
  }
  if (append.takes_over()) return TakeOver(context, upload, run, *std::move(record));
  return AddBytes(append, context, upload, run, *std::move(record));
}

absl::StatusOr<pb::Outcome> ApplyFinishUpload(const pb::FinishUpload& finish,
                                              ApplyContext& context) {
  ASSIGN_OR_RETURN(const UploadId upload, DecodeId<UploadId>(finish.upload_id()));
  ASSIGN_OR_RETURN(const std::optional<pb::UploadRecord> record,
                   LiveUpload(context, finish.upload_id()));
  if (!record.has_value()) return MakeOutcome(pb::Outcome::UPLOAD_NOT_FOUND);
  ASSIGN_OR_RETURN(const pb::Manifest manifest, ManifestOf(finish.record()));
  if (finish.record().version_id() != record->version_id()) {
    return MakeOutcome(pb::Outcome::MALFORMED);
  }
  if (!NamesRunsOf(manifest, *record)) return MakeOutcome(pb::Outcome::SOURCE_CHANGED);

  const std::string& name = record->object_name();
  ASSIGN_OR_RETURN(const std::optional<VersionRow> newest,
                   ObjectReader(context.state.base()).Newest(name));
  if (auto failed = CheckCondition(record->condition(), newest)) {
    failed->set_object_name(name);
    return *failed;
  }

  // The version takes over the upload's references: none is added, none dropped.
  context.state.Delete(UploadKey(upload));
  RemoveExpiry(context, Queue::kUpload, record->expire_time_us(), upload.bytes());
  if (!record->streaming_run_id().empty()) {
    ASSIGN_OR_RETURN(const RunId streaming, DecodeId<RunId>(record->streaming_run_id()));
    RETURN_IF_ERROR(AbortRun(context, streaming));
  }
  ASSIGN_OR_RETURN(pb::Outcome outcome, AddVersion(context, name, newest, finish.record()));
  *outcome.mutable_record() = finish.record();
  outcome.set_object_name(name);
  return outcome;
}

absl::StatusOr<pb::Outcome> ApplyAbortUpload(const pb::AbortUpload& abort, ApplyContext& context) {
  ASSIGN_OR_RETURN(const UploadId upload, DecodeId<UploadId>(abort.upload_id()));
  ASSIGN_OR_RETURN(const std::optional<pb::UploadRecord> record,
                   LiveUpload(context, abort.upload_id()));
  if (!record.has_value()) return MakeOutcome(pb::Outcome::UPLOAD_NOT_FOUND);
  RETURN_IF_ERROR(DiscardUpload(context, upload));
  RemoveExpiry(context, Queue::kUpload, record->expire_time_us(), upload.bytes());
  return MakeOutcome(pb::Outcome::OK);
}

}  // namespace meridian::objects
