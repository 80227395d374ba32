// The rows that a split's child begins with, read from its parent's state (split.h).
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/kv.h"
#include "storage/objects/keys.h"
#include "storage/objects/records.h"

namespace meridian::objects {

// The split that a partition's state is in the middle of; nullopt: none.
absl::StatusOr<std::optional<pb::PendingSplit>> FindSplit(const storage::KvReader& state);

// Not thread-safe.
class ChildRows {
 public:
  // FAILED_PRECONDITION if the parent's state does not hold the rows for this child: it is not, or
  // no more, in the middle of that split, or has come here by a snapshot. `parent` outlives this.
  // `retention` is that of the state machine's limits.
  static absl::StatusOr<ChildRows> Open(const storage::KvReader& parent, PartitionId child,
                                        absl::Duration retention);

  using Rows = std::vector<std::pair<std::string, std::string>>;
  // The next rows, about so many bytes of them; none: that was all. The same rows, whichever of the
  // parent's replicas they come from.
  absl::StatusOr<Rows> Next(size_t max_bytes);

  // No timestamp of the child's is below.
  Timestamp timestamp() const;

 private:
  ChildRows(const storage::KvReader& parent, pb::PendingSplit split, absl::Duration retention);

  // Opens the next range of the parent's rows; false: there is none.
  bool NextRange();
  absl::Status Copy(std::string_view key, std::string_view value, Rows& rows);
  void AddExpiry(Queue queue, int64_t expire_time_us, std::string_view id, Rows& rows);
  std::string Meta() const;

  const storage::KvReader* parent_;
  pb::PendingSplit split_;
  absl::Duration retention_;
  NameRange names_;
  size_t ranges_begun_ = 0;
  std::unique_ptr<storage::KvIterator> it_;
  bool meta_done_ = false;
  pb::PartitionMeta meta_;
};

// The rows of a partition that owns these names and holds nothing.
ChildRows::Rows RowsOfNothing(const NameRange& names);

}  // namespace meridian::objects
