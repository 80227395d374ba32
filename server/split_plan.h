// When and where a partition is split (P7).
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "storage/kv.h"

namespace meridian::server {

struct SplitOptions {
  absl::Duration interval = absl::Seconds(2);
  // For so long all of the group's members have to have kept up with one leader: a split's child
  // is copied and chooses a leader of its own, for which its names wait, and has none to spare.
  absl::Duration steady = absl::Seconds(10);
  // A partition with more versions, or rows of versions with more bytes, is split. What a split
  // copies, and how long the child's names wait for it, is in proportion.
  uint64_t max_versions = 100'000;
  uint64_t max_bytes = uint64_t{64} << 20;
  // So is one that commits more entries a second than this over a minute, unless it has fewer than
  // min_versions.
  double max_entries_per_second = 1000;
  uint64_t min_versions = 1000;
  // A container is deleted with all its partitions in one transaction of the coordination store,
  // which holds 28 of them; splits under way may add to them.
  size_t max_partitions = 24;
};

// Whether the partition's state has grown beyond the options.
absl::StatusOr<bool> IsTooLarge(const storage::KvReader& state, const SplitOptions& options);
// About how many versions there are.
absl::StatusOr<uint64_t> CountVersions(const storage::KvReader& state);
// Whether there is enough in it to make two of it.
absl::StatusOr<bool> MayBeSplit(const storage::KvReader& state, const SplitOptions& options);

struct SplitPoint {
  // The shortest bytes that separate the names of the two halves.
  std::string key;
  uint64_t moved_count = 0;
  uint64_t moved_bytes = 0;
};
// In the middle by number of versions; reads half of the versions' rows. nullopt: all versions are
// of one name.
absl::StatusOr<std::optional<SplitPoint>> FindSplitPoint(const storage::KvReader& state);

}  // namespace meridian::server
