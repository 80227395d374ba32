// Reads the groups of one life after a crash, and tells a torn tail from corruption (P9).
#pragma once

#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/journal/journal.h"
#include "storage/journal/segment_file.h"

namespace meridian::storage {

struct ScanResult {
  GroupNumber next_group = 0;  // the one after the last valid
  uint32_t digest = 0;         // after the last valid
  uint32_t end_block = 0;      // after the last valid group
};

struct ScanRequest {
  // Records of earlier groups are checked and not visited.
  GroupNumber visit_from = 1;
  // The first group of the life that follows: this one must hold all before it. nullopt: nothing
  // follows, the end is wherever the groups end, and may be torn.
  std::optional<GroupNumber> end_group;
};

// DATA_LOSS if anything that may have been acknowledged is damaged; else an error of the visitor or
// UNAVAILABLE if the disk cannot read.
absl::StatusOr<ScanResult> ScanLife(const SegmentLife& life, const ScanRequest& request,
                                    const Journal::Visitor& visitor);

}  // namespace meridian::storage
