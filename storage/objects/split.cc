#include "storage/objects/split.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"
#include "storage/objects/commands.h"
#include "storage/objects/object_reader.h"

namespace meridian::objects {
namespace {

// First byte of the `s` row. Stored: never change. What follows kKept is the child's id; what
// follows kCleaning, the last key looked at.
constexpr char kKept = 'k';
constexpr char kCleaning = 'c';

// Tags whose rows say in their values which name they belong to.
constexpr Tag kTagsByValue[] = {Tag::kRequest, Tag::kRun, Tag::kUpload};

bool IsInside(const std::string& key, const pb::PartitionMeta& meta) {
  return key > meta.range_start() && (meta.range_end().empty() || key < meta.range_end());
}

// The name that a row of kTagsByValue belongs to; empty: none.
absl::StatusOr<std::string> NameInValue(Tag tag, std::string_view value) {
  if (tag == Tag::kRequest) {
    ASSIGN_OR_RETURN(pb::RequestRecord record, DecodeRecord<pb::RequestRecord>(value));
    return std::move(*record.mutable_name());
  }
  if (tag == Tag::kUpload) {
    ASSIGN_OR_RETURN(pb::UploadRecord record, DecodeRecord<pb::UploadRecord>(value));
    return std::move(*record.mutable_object_name());
  }
  ASSIGN_OR_RETURN(pb::RunRecord record, DecodeRun(value));
  return std::move(*record.mutable_name());
}

// The versions and their index of all names that are not owned.
void DeleteForeignNames(const NameRange& owned, storage::KvBatch& batch) {
  for (const Tag tag : {Tag::kObject, Tag::kVersionIndex}) {
    batch.DeleteRange(TagBegin(tag), NamesBegin(tag, owned));
    batch.DeleteRange(NamesEnd(tag, owned), TagEnd(tag));
  }
  batch.DeleteRange(MovedKey() + static_cast<char>(Tag::kRequest), TagEnd(Tag::kMoved));
}

}  // namespace

absl::StatusOr<pb::RunRecord> DecodeRun(std::string_view value) {
  pb::RunRecord record;
  if (!record.ParseFromArray(value.data(), static_cast<int>(value.size()))) {
    return absl::DataLossError("object state: unreadable run row");
  }
  return record;
}

absl::StatusOr<bool> IsOwned(std::string_view key, std::string_view value, const NameRange& owned) {
  if (key.empty()) return absl::DataLossError("object state: an empty key");
  const Tag tag = static_cast<Tag>(key[0]);
  switch (tag) {
    case Tag::kObject:
    case Tag::kVersionIndex:
      return key >= NamesBegin(tag, owned) && key < NamesEnd(tag, owned);
    case Tag::kRequest:
    case Tag::kRun:
    case Tag::kUpload: {
      if (owned == NameRange()) return true;
      ASSIGN_OR_RETURN(const std::string name, NameInValue(tag, value));
      return (name.empty() && tag == Tag::kRequest) || owned.Contains(name);
    }
    case Tag::kMoved:
      return false;
    default:
      return true;
  }
}

absl::StatusOr<pb::Outcome> ApplySplit(const pb::SplitPartition& split, ApplyContext& context) {
  ASSIGN_OR_RETURN(const PartitionId child, DecodeId<PartitionId>(split.child_partition_id()));
  pb::PartitionMeta& meta = context.meta;
  if (meta.has_split()) {
    const bool repeated = meta.split().child_partition_id() == child.bytes();
    return MakeOutcome(repeated ? pb::Outcome::OK : pb::Outcome::SPLIT_REFUSED);
  }
  if (!meta.runs_have_names() || !IsInside(split.key(), meta) ||
      context.entry.epoch != Epoch(split.epoch())) {
    return MakeOutcome(pb::Outcome::SPLIT_REFUSED);
  }
  pb::PendingSplit& pending = *meta.mutable_split();
  pending.set_child_partition_id(split.child_partition_id());
  pending.set_key(split.key());
  pending.set_end(meta.range_end());
  pending.set_timestamp_us(context.now_us());
  pending.set_request_floor_us(meta.request_floor_us());
  pending.set_keep_versions(meta.keep_versions());
  pending.set_versioning_generation(meta.versioning_generation());
  meta.set_range_end(split.key());
  meta.set_version_count(meta.version_count() -
                         std::min(meta.version_count(), split.moved_count()));
  meta.set_version_bytes(meta.version_bytes() -
                         std::min(meta.version_bytes(), split.moved_bytes()));
  context.state.Put(MovedKey(), kKept + std::string(child.bytes()));
  return MakeOutcome(pb::Outcome::OK);
}

absl::StatusOr<pb::Outcome> ApplyFinishSplit(const pb::FinishSplit& finish, ApplyContext& context) {
  pb::PartitionMeta& meta = context.meta;
  if (meta.has_split() && meta.split().child_partition_id() == finish.child_partition_id()) {
    meta.clear_split();
    ASSIGN_OR_RETURN(const std::optional<std::string> moved, context.state.Get(MovedKey()));
    if (moved.has_value()) context.state.Put(MovedKey(), std::string(1, kCleaning));
  }
  return MakeOutcome(pb::Outcome::OK);
}

pb::Outcome ApplyBeginFreeing(ApplyContext& context) {
  context.meta.clear_holds_garbage();
  return MakeOutcome(pb::Outcome::OK);
}

absl::Status KeepMovedRequest(ApplyContext& context, RequestId request) {
  ASSIGN_OR_RETURN(const std::optional<std::string> row, context.state.Get(RequestKey(request)));
  if (!row.has_value()) return absl::OkStatus();
  context.state.Put(MovedRequestKey(request), *row);
  return absl::OkStatus();
}

absl::StatusOr<std::optional<storage::KvBatch>> CleanMoved(const storage::KvReader& state,
                                                           size_t max_rows) {
  ASSIGN_OR_RETURN(const std::optional<std::string> row, state.Get(MovedKey()));
  if (!row.has_value() || row->empty() || row->front() != kCleaning) {
    return std::optional<storage::KvBatch>();
  }
  ASSIGN_OR_RETURN(const NameRange owned, ObjectReader(state).Owned());
  storage::KvBatch batch;
  const std::string passed = row->substr(1);
  size_t looked_at = 0;
  for (const Tag tag : kTagsByValue) {
    const std::string lower = std::max(TagBegin(tag), passed.empty() ? passed : passed + '\0');
    const std::unique_ptr<storage::KvIterator> it = state.NewIterator(lower, TagEnd(tag));
    for (it->Seek(lower); it->Valid(); it->Next()) {
      ASSIGN_OR_RETURN(const bool is_owned, IsOwned(it->key(), it->value(), owned));
      if (!is_owned) batch.Delete(std::string(it->key()));
      if (++looked_at == max_rows) {
        batch.Put(MovedKey(), kCleaning + std::string(it->key()));
        return std::optional(std::move(batch));
      }
    }
    RETURN_IF_ERROR(it->status());
  }
  DeleteForeignNames(owned, batch);
  batch.Delete(MovedKey());
  return std::optional(std::move(batch));
}

absl::StatusOr<std::optional<PartitionId>> KeptFor(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(const std::optional<std::string> row, state.Get(MovedKey()));
  if (!row.has_value() || row->empty() || row->front() != kKept) {
    return std::optional<PartitionId>();
  }
  ASSIGN_OR_RETURN(const PartitionId child, DecodeId<PartitionId>(row->substr(1)));
  return std::optional(child);
}

}  // namespace meridian::objects
