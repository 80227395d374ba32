#include "storage/objects/object_reader.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"

namespace meridian::objects {
namespace {

absl::StatusOr<VersionRow> DecodeRow(std::string_view key, std::string_view value) {
  ASSIGN_OR_RETURN(ObjectKey decoded, DecodeObjectKey(key));
  ASSIGN_OR_RETURN(pb::VersionRecord record, DecodeRecord<pb::VersionRecord>(value));
  return VersionRow{
      .name = std::move(decoded.name), .place = decoded.place, .record = std::move(record)};
}

template <typename Record>
absl::StatusOr<std::optional<Record>> GetRecord(const storage::KvReader& view,
                                                const std::string& key) {
  ASSIGN_OR_RETURN(const std::optional<std::string> value, view.Get(key));
  if (!value.has_value()) return std::optional<Record>();
  ASSIGN_OR_RETURN(Record record, DecodeRecord<Record>(*value));
  return std::optional<Record>(std::move(record));
}

// Whether a range has a row.
absl::StatusOr<bool> HasRow(const storage::KvReader& view, const std::string& lower,
                            const std::string& upper) {
  const std::unique_ptr<storage::KvIterator> it = view.NewIterator(lower, upper);
  it->Seek(lower);
  const bool valid = it->Valid();
  RETURN_IF_ERROR(it->status());
  return valid;
}

}  // namespace

absl::StatusOr<std::optional<pb::PartitionMeta>> ObjectReader::Meta() const {
  return GetRecord<pb::PartitionMeta>(view_, MetaKey());
}

absl::StatusOr<NameRange> ObjectReader::Owned() const {
  ASSIGN_OR_RETURN(const std::optional<pb::PartitionMeta> meta, Meta());
  if (!meta.has_value()) return NameRange();
  return NameRange{meta->range_start(), meta->range_end()};
}

absl::StatusOr<bool> ObjectReader::Owns(std::string_view name) const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  return owned.Contains(name);
}

absl::StatusOr<std::optional<VersionRow>> ObjectReader::FirstVersionFrom(
    std::string_view name, std::string_view from) const {
  const std::unique_ptr<storage::KvIterator> it = view_.NewNameIterator(ObjectRangeBegin(name));
  it->Seek(from);
  if (!it->Valid()) {
    RETURN_IF_ERROR(it->status());
    return std::optional<VersionRow>();
  }
  ASSIGN_OR_RETURN(VersionRow row, DecodeRow(it->key(), it->value()));
  return std::optional(std::move(row));
}

absl::StatusOr<std::optional<VersionRow>> ObjectReader::Newest(std::string_view name) const {
  return FirstVersionFrom(name, ObjectRangeBegin(name));
}

absl::StatusOr<std::optional<VersionRow>> ObjectReader::Before(std::string_view name,
                                                               const VersionPlace& place) const {
  return FirstVersionFrom(name, EncodeObjectKey(name, place) + '\0');
}

absl::StatusOr<std::optional<VersionRow>> ObjectReader::FindVersion(std::string_view name,
                                                                    VersionId version) const {
  ASSIGN_OR_RETURN(std::optional<VersionRow> newest, Newest(name));
  // Only versions that are not the newest are in the index.
  if (!newest.has_value() || newest->place.version == version) return newest;
  ASSIGN_OR_RETURN(const std::optional<std::string> place,
                   view_.Get(VersionIndexKey(name, version)));
  if (!place.has_value()) return std::optional<VersionRow>();
  ASSIGN_OR_RETURN(const VersionPlace decoded, DecodeVersionIndexValue(version, *place));
  const std::string key = EncodeObjectKey(name, decoded);
  ASSIGN_OR_RETURN(const std::optional<std::string> value, view_.Get(key));
  if (!value.has_value()) {
    return absl::DataLossError("object state: the version index names a version that is missing");
  }
  ASSIGN_OR_RETURN(VersionRow row, DecodeRow(key, *value));
  return std::optional(std::move(row));
}

absl::StatusOr<ListVersionsPage> ObjectReader::ListVersions(
    const ListVersionsOptions& options) const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  std::string lower = TagBegin(Tag::kObject) + options.prefix;
  std::string upper = std::min(PrefixSuccessor(lower), NamesEnd(Tag::kObject, owned));
  lower = std::max(lower, NamesBegin(Tag::kObject, owned));
  if (!options.name.empty()) {
    lower = ObjectRangeBegin(options.name);
    upper = ObjectRangeEnd(options.name);
  }
  if (!options.end.empty()) upper = std::min(upper, TagBegin(Tag::kObject) + options.end);
  ListVersionsPage page;
  std::string previous_name;
  // A page resumes after a version: whether the next one is its name's newest depends on that one.
  std::string from = lower;
  if (options.resume.has_value()) {
    std::string position = TagBegin(Tag::kObject) + *options.resume;
    if (options.resume->find('\0') != std::string::npos) {
      ASSIGN_OR_RETURN(const ObjectKey last, DecodeObjectKey(position));
      previous_name = last.name;
      position.push_back('\0');
    }
    from = std::max(lower, position);
  }
  const std::unique_ptr<storage::KvIterator> it = view_.NewIterator(lower, upper);
  std::string last_key;
  for (it->Seek(from); it->Valid(); it->Next()) {
    if (page.versions.size() == options.limit) {
      page.next = last_key.substr(TagBegin(Tag::kObject).size());
      break;
    }
    ASSIGN_OR_RETURN(VersionRow row, DecodeRow(it->key(), it->value()));
    const bool latest = row.name != previous_name;
    previous_name = row.name;
    last_key = std::string(it->key());
    page.versions.push_back({.row = std::move(row), .latest = latest});
  }
  RETURN_IF_ERROR(it->status());
  return page;
}

absl::StatusOr<std::optional<pb::UploadRecord>> ObjectReader::FindUpload(UploadId upload) const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  ASSIGN_OR_RETURN(std::optional<pb::UploadRecord> record,
                   GetRecord<pb::UploadRecord>(view_, UploadKey(upload)));
  if (record.has_value() && !owned.Contains(record->object_name())) record.reset();
  return record;
}

absl::StatusOr<ListUploadsPage> ObjectReader::ListUploads(std::optional<UploadId> after,
                                                          size_t limit) const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  const std::string lower = TagBegin(Tag::kUpload);
  const std::string from = after.has_value() ? UploadKey(*after) + '\0' : lower;
  const std::unique_ptr<storage::KvIterator> it = view_.NewIterator(lower, TagEnd(Tag::kUpload));
  ListUploadsPage page;
  for (it->Seek(from); it->Valid(); it->Next()) {
    if (page.uploads.size() == limit) {
      ASSIGN_OR_RETURN(page.next, DecodeId<UploadId>(page.uploads.back().upload_id()));
      break;
    }
    ASSIGN_OR_RETURN(pb::UploadRecord record, DecodeRecord<pb::UploadRecord>(it->value()));
    if (!owned.Contains(record.object_name())) continue;
    page.uploads.push_back(std::move(record));
  }
  RETURN_IF_ERROR(it->status());
  return page;
}

absl::StatusOr<std::optional<pb::RequestRecord>> ObjectReader::FindRequest(
    RequestId request) const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  ASSIGN_OR_RETURN(std::optional<pb::RequestRecord> record,
                   GetRecord<pb::RequestRecord>(view_, RequestKey(request)));
  if (record.has_value() && !record->name().empty() && !owned.Contains(record->name())) {
    record.reset();
  }
  return record;
}

absl::StatusOr<bool> ObjectReader::IsReferenced(RunId run) const {
  ASSIGN_OR_RETURN(const std::optional<std::string> value, view_.Get(RunKey(run)));
  if (!value.has_value()) return false;
  pb::RunRecord record;
  if (!record.ParseFromString(*value)) {
    return absl::DataLossError("object state: unreadable run row");
  }
  return record.references() > 0;
}

absl::StatusOr<bool> ObjectReader::IsEmpty() const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  ASSIGN_OR_RETURN(const bool has_version,
                   HasRow(view_, NamesBegin(Tag::kObject, owned), NamesEnd(Tag::kObject, owned)));
  if (has_version) return false;
  ASSIGN_OR_RETURN(const ListUploadsPage uploads, ListUploads(std::nullopt, 1));
  return uploads.uploads.empty();
}

absl::StatusOr<bool> ObjectReader::HasExpired(Timestamp now) const {
  ASSIGN_OR_RETURN(const std::optional<pb::PartitionMeta> meta, Meta());
  if (!meta.has_value()) return false;
  const int64_t now_us = static_cast<int64_t>(now.value());
  const std::pair<Queue, int64_t> queues[] = {
      {Queue::kRequest, meta->request_queue_start_us()},
      {Queue::kUpload, meta->upload_queue_start_us()},
      {Queue::kAbortedRun, meta->aborted_run_queue_start_us()},
  };
  for (const auto& [queue, start_us] : queues) {
    if (start_us > now_us) continue;
    ASSIGN_OR_RETURN(const bool has_row,
                     HasRow(view_, ExpiryFrom(queue, start_us), ExpiryFrom(queue, now_us + 1)));
    if (has_row) return true;
  }
  return false;
}

}  // namespace meridian::objects
