// Reads objects from a view of a partition's state. Records come as they are stored: whoever shows
// them to a client verifies their MAC first (P20).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "storage/kv.h"
#include "storage/objects/keys.h"
#include "storage/objects/records.h"

namespace meridian::objects {

struct VersionRow {
  std::string name;
  VersionPlace place;
  pb::VersionRecord record;
};

struct ListObjectsOptions {
  // Only names that begin with it.
  std::string prefix = {};
  // Only names below it; empty: no end.
  std::string end = {};
  // Not empty: names that hold it after the prefix are folded into common prefixes.
  std::string delimiter = {};
  // Only names and common prefixes above it.
  std::string start_after = {};
  // Only names from this on, as a previous page's `next` says.
  std::optional<std::string> resume = {};
  size_t limit = 1000;  // names and common prefixes together; > 0
  // Rows looked at in one call; a page ends early at it. > 0
  size_t max_rows = 20000;
};

struct ListObjectsPage {
  std::vector<VersionRow> objects;  // current versions, in byte order of names
  std::vector<std::string> prefixes;
  // Set: there may be more, from this name on; goes into ListObjectsOptions::resume. Ordered as
  // names are, but not text.
  std::optional<std::string> next;
};

struct ListVersionsOptions {
  std::string prefix = {};
  // Not empty: only this name; prefix is ignored.
  std::string name = {};
  // Only names below it; empty: no end.
  std::string end = {};
  // A previous page's `next`, or a name: from this name on.
  std::optional<std::string> resume = {};
  size_t limit = 1000;
};

struct ListVersionsPage {
  struct Item {
    VersionRow row;
    bool latest = false;
  };
  std::vector<Item> versions;  // of a name, newest first
  // Begins with the last version's name and a 0x00.
  std::optional<std::string> next;
};

struct ListUploadsPage {
  std::vector<pb::UploadRecord> uploads;
  // The last upload of the page; goes into `after`.
  std::optional<UploadId> next;
};

// As thread-safe as the view. DATA_LOSS: a row that cannot be decoded.
class ObjectReader {
 public:
  explicit ObjectReader(const storage::KvReader& view) : view_(view) {}

  // nullopt: nothing has ever been applied.
  absl::StatusOr<std::optional<pb::PartitionMeta>> Meta() const;
  // The names that this partition owns (P7): of others it knows nothing, whatever rows are left of
  // them. The functions below that take a name expect an owned one; lists show only such.
  absl::StatusOr<NameRange> Owned() const;
  absl::StatusOr<bool> Owns(std::string_view name) const;

  // The newest version, which may be a delete marker.
  absl::StatusOr<std::optional<VersionRow>> Newest(std::string_view name) const;
  absl::StatusOr<std::optional<VersionRow>> FindVersion(std::string_view name,
                                                        VersionId version) const;
  // The newest version older than `place`.
  absl::StatusOr<std::optional<VersionRow>> Before(std::string_view name,
                                                   const VersionPlace& place) const;

  absl::StatusOr<ListObjectsPage> ListObjects(const ListObjectsOptions& options) const;
  absl::StatusOr<ListVersionsPage> ListVersions(const ListVersionsOptions& options) const;

  absl::StatusOr<std::optional<pb::UploadRecord>> FindUpload(UploadId upload) const;
  absl::StatusOr<ListUploadsPage> ListUploads(std::optional<UploadId> after, size_t limit) const;

  // How a request ended, if it is remembered (P5).
  absl::StatusOr<std::optional<pb::RequestRecord>> FindRequest(RequestId request) const;

  // Whether versions or uploads hold the run.
  absl::StatusOr<bool> IsReferenced(RunId run) const;

  // Whether there is no version, no delete marker and no upload.
  absl::StatusOr<bool> IsEmpty() const;

  // Whether something has expired by `now` that a Maintain command would forget.
  absl::StatusOr<bool> HasExpired(Timestamp now) const;

 private:
  absl::StatusOr<std::optional<VersionRow>> FirstVersionFrom(std::string_view name,
                                                             std::string_view from) const;

  const storage::KvReader& view_;
};

}  // namespace meridian::objects
