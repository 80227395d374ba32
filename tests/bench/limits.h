// What this machine can do at best: the yardstick beside the store's figures.
#pragma once

#include <string>

#include "absl/status/statusor.h"

namespace meridian::bench {

struct Limits {
  // 4 KiB overwritten and synced, one after the other.
  double fdatasync_per_s = 0;
  // 1 MiB at a time past the page cache, where the file system can.
  double seq_write_mb_per_s = 0;
  double seq_read_mb_per_s = 0;
  // Frames of 64 KiB on one core.
  double aes_256_gcm_mb_per_s = 0;
};

// About four seconds; files are made in `folder`, which should be on the store's disk, and removed.
absl::StatusOr<Limits> MeasureLimits(const std::string& folder);

}  // namespace meridian::bench
