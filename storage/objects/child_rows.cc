#include "storage/objects/child_rows.h"

#include <algorithm>
#include <iterator>

#include "absl/time/time.h"
#include "base/status.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/split.h"

namespace meridian::objects {
namespace {

constexpr char kMovedRequest = static_cast<char>(Tag::kRequest);

struct RowsOf {
  Tag tag;
  bool by_name;  // the keys begin with the name
};
// What belongs to a name.
constexpr RowsOf kRanges[] = {{Tag::kVersionIndex, true}, {Tag::kObject, true},
                              {Tag::kRequest, false},     {Tag::kRun, false},
                              {Tag::kUpload, false},      {Tag::kMoved, false}};

}  // namespace

absl::StatusOr<std::optional<pb::PendingSplit>> FindSplit(const storage::KvReader& state) {
  ASSIGN_OR_RETURN(std::optional<pb::PartitionMeta> meta, ObjectReader(state).Meta());
  if (!meta.has_value() || !meta->has_split()) return std::optional<pb::PendingSplit>();
  return std::optional(std::move(*meta->mutable_split()));
}

ChildRows::Rows RowsOfNothing(const NameRange& names) {
  pb::PartitionMeta meta;
  meta.set_range_start(names.start);
  meta.set_range_end(names.end);
  meta.set_runs_have_names(true);
  meta.set_holds_garbage(true);  // as a split's child, which it may be
  return {{MetaKey(), EncodeRecord(std::move(meta))}};
}

absl::StatusOr<ChildRows> ChildRows::Open(const storage::KvReader& parent, PartitionId child,
                                          absl::Duration retention) {
  ASSIGN_OR_RETURN(std::optional<pb::PendingSplit> split, FindSplit(parent));
  ASSIGN_OR_RETURN(const std::optional<PartitionId> kept_for, KeptFor(parent));
  if (!split.has_value() || kept_for != child || split->child_partition_id() != child.bytes()) {
    return absl::FailedPreconditionError("the parent's state does not hold the child's rows");
  }
  return ChildRows(parent, *std::move(split), retention);
}

ChildRows::ChildRows(const storage::KvReader& parent, pb::PendingSplit split,
                     absl::Duration retention)
    : parent_(&parent),
      split_(std::move(split)),
      retention_(retention),
      names_{split_.key(), split_.end()} {}

Timestamp ChildRows::timestamp() const {
  return Timestamp(static_cast<uint64_t>(split_.timestamp_us()));
}

bool ChildRows::NextRange() {
  if (ranges_begun_ == std::size(kRanges)) return false;
  const auto [tag, by_name] = kRanges[ranges_begun_++];
  std::string lower = by_name ? NamesBegin(tag, names_) : TagBegin(tag);
  const std::string upper = by_name ? NamesEnd(tag, names_) : TagEnd(tag);
  // Of the local rows, the requests that another name has taken the place of.
  if (tag == Tag::kMoved) lower = MovedKey() + kMovedRequest;
  it_ = parent_->NewIterator(lower, upper);
  it_->Seek(lower);
  return true;
}

void ChildRows::AddExpiry(Queue queue, int64_t expire_time_us, std::string_view id, Rows& rows) {
  rows.emplace_back(EncodeExpiryKey(queue, expire_time_us, id), kPresent);
}

absl::Status ChildRows::Copy(std::string_view key, std::string_view value, Rows& rows) {
  if (static_cast<Tag>(key[0]) == Tag::kMoved) key.remove_prefix(1);
  const Tag tag = static_cast<Tag>(key[0]);
  if (tag == Tag::kObject) {
    meta_.set_version_count(meta_.version_count() + 1);
    meta_.set_version_bytes(meta_.version_bytes() + key.size() + value.size());
  } else if (tag == Tag::kRequest) {
    ASSIGN_OR_RETURN(const pb::RequestRecord record, DecodeRecord<pb::RequestRecord>(value));
    if (!names_.Contains(record.name())) return absl::OkStatus();
    AddExpiry(Queue::kRequest, record.base_time_us() + absl::ToInt64Microseconds(retention_),
              key.substr(1), rows);
    meta_.set_request_count(meta_.request_count() + 1);
  } else if (tag == Tag::kUpload) {
    ASSIGN_OR_RETURN(const pb::UploadRecord record, DecodeRecord<pb::UploadRecord>(value));
    if (!names_.Contains(record.object_name())) return absl::OkStatus();
    AddExpiry(Queue::kUpload, record.expire_time_us(), key.substr(1), rows);
  } else if (tag == Tag::kRun) {
    ASSIGN_OR_RETURN(const pb::RunRecord record, DecodeRun(value));
    // Garbage is the parent's to free.
    if (record.references() == 0 || !names_.Contains(record.name())) return absl::OkStatus();
  }
  rows.emplace_back(key, value);
  return absl::OkStatus();
}

std::string ChildRows::Meta() const {
  pb::PartitionMeta meta = meta_;
  meta.set_range_start(split_.key());
  meta.set_range_end(split_.end());
  meta.set_runs_have_names(true);
  meta.set_holds_garbage(true);
  meta.set_request_floor_us(split_.request_floor_us());
  meta.set_keep_versions(split_.keep_versions());
  meta.set_versioning_generation(split_.versioning_generation());
  return EncodeRecord(std::move(meta));
}

absl::StatusOr<ChildRows::Rows> ChildRows::Next(size_t max_bytes) {
  Rows rows;
  size_t bytes = 0;
  while (rows.empty() || bytes < max_bytes) {
    if (it_ == nullptr || !it_->Valid()) {
      if (it_ != nullptr) RETURN_IF_ERROR(it_->status());
      if (NextRange()) continue;
      if (!std::exchange(meta_done_, true)) rows.emplace_back(MetaKey(), Meta());
      break;
    }
    RETURN_IF_ERROR(Copy(it_->key(), it_->value(), rows));
    bytes += it_->key().size() + it_->value().size();
    it_->Next();
  }
  return rows;
}

}  // namespace meridian::objects
