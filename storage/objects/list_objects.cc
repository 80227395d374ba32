// Listing current versions. The cost is in names and groups shown, not in what they hide: the
// versions below a current one and the names below a common prefix are skipped by seeking.
#include <algorithm>
#include <memory>
#include <utility>

#include "base/status.h"
#include "storage/objects/object_reader.h"

namespace meridian::objects {
namespace {

// How many rows of one name are passed with Next before Seek is cheaper.
constexpr int kMaxNexts = 3;

// Walks the names of a range; stands on the newest version of each.
class NameCursor {
 public:
  NameCursor(const storage::KvReader& view, const std::string& lower, const std::string& upper,
             const std::string& from, size_t max_rows)
      : it_(view.NewIterator(lower, upper)), rows_left_(max_rows) {
    it_->Seek(std::max(lower, from));
  }

  bool Valid() const { return it_->Valid(); }
  absl::Status status() const { return it_->status(); }
  // Whether as many rows as allowed have been looked at.
  bool exhausted() const { return rows_left_ == 0; }
  std::string_view name() const { return NameOfObjectKey(it_->key()); }

  absl::StatusOr<VersionRow> Read() {
    --rows_left_;
    ASSIGN_OR_RETURN(ObjectKey key, DecodeObjectKey(it_->key()));
    ASSIGN_OR_RETURN(pb::VersionRecord record, DecodeRecord<pb::VersionRecord>(it_->value()));
    return VersionRow{.name = std::move(key.name), .place = key.place, .record = std::move(record)};
  }

  void SkipName() {
    const std::string end = ObjectRangeEnd(name());
    for (int i = 0; i < kMaxNexts; ++i) {
      it_->Next();
      if (!it_->Valid() || it_->key() >= end) return;
    }
    it_->Seek(end);
  }

  void SeekTo(const std::string& key) { it_->Seek(key); }

 private:
  const std::unique_ptr<storage::KvIterator> it_;
  size_t rows_left_;
};

// The common prefix that `name` falls into, empty if none.
std::string_view CommonPrefix(std::string_view name, const ListObjectsOptions& options) {
  if (options.delimiter.empty()) return {};
  const size_t at = name.find(options.delimiter, options.prefix.size());
  if (at == std::string_view::npos) return {};
  return name.substr(0, at + options.delimiter.size());
}

std::string AfterPrefix(std::string_view prefix) {
  return PrefixSuccessor(TagBegin(Tag::kObject) + std::string(prefix));
}

// The first key that may belong to the page.
std::string FirstKey(const ListObjectsOptions& options) {
  std::string from = TagBegin(Tag::kObject) + options.prefix;
  if (!options.start_after.empty()) from = std::max(from, ObjectRangeEnd(options.start_after));
  if (options.resume.has_value()) {
    from = std::max(from, TagBegin(Tag::kObject) + *options.resume);
  }
  return from;
}

std::string EndKey(const ListObjectsOptions& options, const std::string& lower) {
  std::string end = PrefixSuccessor(lower);
  if (!options.end.empty()) end = std::min(end, TagBegin(Tag::kObject) + options.end);
  return end;
}

}  // namespace

absl::StatusOr<ListObjectsPage> ObjectReader::ListObjects(const ListObjectsOptions& options) const {
  ASSIGN_OR_RETURN(const NameRange owned, Owned());
  const std::string with_prefix = TagBegin(Tag::kObject) + options.prefix;
  NameCursor cursor(view_, std::max(with_prefix, NamesBegin(Tag::kObject, owned)),
                    std::min(EndKey(options, with_prefix), NamesEnd(Tag::kObject, owned)),
                    FirstKey(options), options.max_rows);
  ListObjectsPage page;
  // The key from which the next page goes on.
  std::string next;
  while (cursor.Valid()) {
    if (page.objects.size() + page.prefixes.size() == options.limit || cursor.exhausted()) {
      page.next = next.substr(TagBegin(Tag::kObject).size());
      break;
    }
    const std::string group(CommonPrefix(cursor.name(), options));
    if (!group.empty() && group <= options.start_after) {
      next = AfterPrefix(group);
      cursor.SeekTo(next);
      continue;
    }
    ASSIGN_OR_RETURN(VersionRow row, cursor.Read());
    next = ObjectRangeEnd(row.name);
    if (row.record.delete_marker()) {
      cursor.SkipName();
    } else if (!group.empty()) {
      page.prefixes.push_back(group);
      next = AfterPrefix(group);
      cursor.SeekTo(next);
    } else {
      page.objects.push_back(std::move(row));
      cursor.SkipName();
    }
  }
  RETURN_IF_ERROR(cursor.status());
  return page;
}

}  // namespace meridian::objects
