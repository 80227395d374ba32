#include "tests/storage/objects/partition.h"

#include <utility>

#include "base/check.h"
#include "base/status.h"
#include "storage/objects/keys.h"

namespace meridian::objects {
namespace {

template <typename T>
T Value(absl::StatusOr<T> result) {
  CHECK_INVARIANT(result.ok(), result.status().ToString().c_str());
  return *std::move(result);
}

}  // namespace

std::string NameOf(pb::Outcome::Code code) { return pb::Outcome::Code_Name(code); }

storage::LogEntry Partition::NextEntry(pb::Command command,
                                       std::vector<storage::ChunkRange> chunks) {
  storage::LogEntry entry;
  entry.epoch = Epoch(1);
  entry.index = last_index_ + 1;
  entry.timestamp = Timestamp(static_cast<uint64_t>(now_us_));
  entry.command = EncodeRecord(std::move(command));
  entry.chunks = std::move(chunks);
  return entry;
}

pb::Outcome Partition::ApplyEntry(const storage::LogEntry& entry) {
  storage::KvBatch batch;
  const std::string encoded = Value(machine_.Apply(entry, *NewView(), batch));
  kv_.Apply(batch);
  last_index_ = entry.index;
  ++now_us_;
  return Value(DecodeRecord<pb::Outcome>(encoded));
}

pb::Outcome Partition::Apply(pb::Command command, std::vector<storage::ChunkRange> chunks) {
  return ApplyEntry(NextEntry(std::move(command), std::move(chunks)));
}

pb::Command Partition::NewCommand() const {
  pb::Command command;
  command.set_geo_epoch(1);
  command.set_keep_versions(keep_versions);
  return command;
}

pb::VersionRecord Partition::RecordOf(const pb::Manifest& manifest) {
  pb::VersionRecord record;
  record.set_format_version(VersionFormatOf(kFirstClusterFormat));
  record.set_version_id(std::string(VersionId::Draw(random_).bytes()));
  record.set_manifest(EncodeRecord(manifest));
  return record;
}

pb::Command Partition::Put(std::string_view name, RunId run, uint64_t size_bytes) {
  pb::Manifest manifest;
  manifest.set_size_bytes(size_bytes);
  if (size_bytes > 0) {
    pb::Run* entry = manifest.add_runs();
    entry->set_run_id(std::string(run.bytes()));
    entry->set_plaintext_bytes(size_bytes);
  }
  pb::Command command = NewCommand();
  command.mutable_put_version()->set_name(std::string(name));
  *command.mutable_put_version()->mutable_record() = RecordOf(manifest);
  return command;
}

pb::Outcome Partition::ApplyPut(std::string_view name, RunId run, uint64_t size_bytes) {
  return Apply(Put(name, run, size_bytes), {AllChunksOf(run, size_bytes)});
}

pb::Command Partition::Delete(std::string_view name) {
  pb::Command command = NewCommand();
  command.mutable_delete_object()->set_name(std::string(name));
  command.mutable_delete_object()->set_marker_version_id(
      std::string(VersionId::Draw(random_).bytes()));
  return command;
}

pb::Command Partition::DeleteVersion(std::string_view name, std::string version_id) {
  pb::Command command = NewCommand();
  command.mutable_delete_version()->set_name(std::string(name));
  command.mutable_delete_version()->set_version_id(std::move(version_id));
  return command;
}

pb::Command Partition::Copy(std::string_view name, std::string source_version_id) {
  pb::Command command = NewCommand();
  pb::CopyVersion* copy = command.mutable_copy_version();
  copy->set_name(std::string(name));
  if (const auto source = FindVersion(name, source_version_id)) {
    *copy->mutable_record() = source->record;
  }
  copy->mutable_record()->set_version_id(std::string(VersionId::Draw(random_).bytes()));
  copy->set_source_version_id(std::move(source_version_id));
  return command;
}

pb::Command Partition::StartUpload(std::string_view name, UploadId upload, absl::Duration ttl) {
  pb::Command command = NewCommand();
  pb::StartUpload* start = command.mutable_start_upload();
  start->set_ttl_us(absl::ToInt64Microseconds(ttl));
  start->mutable_record()->set_upload_id(std::string(upload.bytes()));
  start->mutable_record()->set_object_name(std::string(name));
  start->mutable_record()->set_version_id(std::string(VersionId::Draw(random_).bytes()));
  return command;
}

pb::Outcome Partition::TakeOver(UploadId upload, RunId run, uint64_t expected_size_bytes) {
  pb::Command command = NewCommand();
  pb::AppendUpload* append = command.mutable_append_upload();
  append->set_upload_id(std::string(upload.bytes()));
  append->mutable_run()->set_run_id(std::string(run.bytes()));
  append->set_expected_size_bytes(expected_size_bytes);
  append->set_takes_over(true);
  return Apply(std::move(command));
}

pb::Outcome Partition::Append(UploadId upload, RunId run, uint64_t expected_size_bytes,
                              uint64_t run_bytes_before, uint64_t run_bytes_after) {
  pb::Command command = NewCommand();
  pb::AppendUpload* append = command.mutable_append_upload();
  append->set_upload_id(std::string(upload.bytes()));
  append->mutable_run()->set_run_id(std::string(run.bytes()));
  append->mutable_run()->set_plaintext_bytes(run_bytes_after);
  append->set_expected_size_bytes(expected_size_bytes);
  const uint32_t first = ChunkCountOf(run_bytes_before);
  return Apply(std::move(command),
               {{.run = run, .first = first, .count = ChunkCountOf(run_bytes_after) - first}});
}

pb::Command Partition::Finish(UploadId upload) {
  pb::Command command = NewCommand();
  pb::FinishUpload* finish = command.mutable_finish_upload();
  finish->set_upload_id(std::string(upload.bytes()));
  pb::Manifest manifest;
  const std::optional<pb::UploadRecord> record = FindUpload(upload);
  if (record.has_value()) {
    manifest.set_size_bytes(record->durable_size_bytes());
    *manifest.mutable_runs() = record->runs();
  }
  *finish->mutable_record() = RecordOf(manifest);
  if (record.has_value()) finish->mutable_record()->set_version_id(record->version_id());
  return command;
}

pb::Command Partition::AbortUpload(UploadId upload) {
  pb::Command command = NewCommand();
  command.mutable_abort_upload()->set_upload_id(std::string(upload.bytes()));
  return command;
}

pb::Command Partition::AbortRun(RunId run) {
  pb::Command command = NewCommand();
  command.mutable_abort_run()->set_run_id(std::string(run.bytes()));
  return command;
}

pb::Command Partition::Maintain() {
  pb::Command command = NewCommand();
  command.mutable_maintain();
  return command;
}

pb::Command Partition::Split(std::string_view key, PartitionId child) {
  pb::Command command = NewCommand();
  command.mutable_split_partition()->set_child_partition_id(std::string(child.bytes()));
  command.mutable_split_partition()->set_key(std::string(key));
  command.mutable_split_partition()->set_epoch(1);
  return command;
}

pb::Command Partition::FinishSplit(PartitionId child) {
  pb::Command command = NewCommand();
  command.mutable_finish_split()->set_child_partition_id(std::string(child.bytes()));
  return command;
}

absl::StatusOr<ChildRows::Rows> Partition::RowsOf(PartitionId child, size_t piece_bytes) const {
  const std::unique_ptr<storage::KvReader> view = NewView();
  ASSIGN_OR_RETURN(ChildRows source, ChildRows::Open(*view, child, limits_.retention));
  ChildRows::Rows all;
  while (true) {
    ASSIGN_OR_RETURN(const ChildRows::Rows rows, source.Next(piece_bytes));
    if (rows.empty()) return all;
    all.insert(all.end(), rows.begin(), rows.end());
  }
}

void Partition::Install(const ChildRows::Rows& rows) {
  storage::KvBatch batch;
  for (const auto& [key, value] : rows) batch.Put(key, value);
  kv_.Apply(batch);
}

ChildRows::Rows Partition::Snapshot() const {
  const auto filter = Value(machine_.SnapshotRows(*NewView()));
  ChildRows::Rows rows;
  for (const auto& [key, value] : kv_.Rows()) {
    if (Value(filter(key, value))) rows.emplace_back(key, value);
  }
  return rows;
}

bool Partition::CleanUp(size_t max_rows) {
  const std::optional<storage::KvBatch> changes = Value(machine_.CleanUp(*NewView(), max_rows));
  if (changes.has_value()) kv_.Apply(*changes);
  return changes.has_value();
}

pb::PartitionMeta Partition::Meta() const {
  const std::optional<std::string> row = Value(NewView()->Get(MetaKey()));
  return row.has_value() ? Value(DecodeRecord<pb::PartitionMeta>(*row)) : pb::PartitionMeta();
}

void Partition::Stamp(pb::Command& command, RequestId request, std::string digest) {
  command.mutable_request()->set_id(std::string(request.bytes()));
  command.mutable_request()->set_digest(std::move(digest));
  command.mutable_request()->set_create_time_us(now_us_);
}

std::vector<RunId> Partition::CollectGarbage(LogIndex up_to) {
  std::vector<RunId> runs;
  for (const auto& garbage :
       Value(machine_.CollectGarbage(*NewView(), up_to, 1000, [](RunId) { return false; }))) {
    kv_.Apply(garbage.forget);
    runs.push_back(garbage.run);
  }
  return runs;
}

std::optional<VersionRow> Partition::Newest(std::string_view name) const {
  return Value(ObjectReader(*NewView()).Newest(name));
}

std::optional<VersionRow> Partition::FindVersion(std::string_view name,
                                                 const std::string& id) const {
  return Value(ObjectReader(*NewView()).FindVersion(name, Value(DecodeId<VersionId>(id))));
}

std::optional<pb::UploadRecord> Partition::FindUpload(UploadId upload) const {
  return Value(ObjectReader(*NewView()).FindUpload(upload));
}

std::vector<std::string> Partition::VersionIdsOf(std::string_view name) const {
  std::vector<std::string> ids;
  const ListVersionsPage page =
      Value(ObjectReader(*NewView()).ListVersions({.name = std::string(name)}));
  for (const auto& item : page.versions) ids.push_back(item.row.record.version_id());
  return ids;
}

bool Partition::KnowsRun(RunId run) const { return Value(machine_.KnowsRun(*NewView(), run)); }

bool Partition::IsReferenced(RunId run) const {
  return Value(ObjectReader(*NewView()).IsReferenced(run));
}

std::string Partition::Digest() const { return Value(machine_.Digest(*NewView())); }

std::vector<storage::ChunkRange> Partition::Chunks() const {
  std::vector<storage::ChunkRange> chunks;
  const absl::Status visited =
      machine_.VisitChunks(*NewView(), [&chunks](const storage::ChunkRange& range) {
        chunks.push_back(range);
        return absl::OkStatus();
      });
  CHECK_INVARIANT(visited.ok(), visited.ToString().c_str());
  return chunks;
}

size_t Partition::CountRows(char tag) const {
  size_t count = 0;
  for (const auto& [key, value] : kv_.Rows()) count += key[0] == tag ? 1 : 0;
  return count;
}

}  // namespace meridian::objects
