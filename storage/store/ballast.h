// A file that holds space back from all who write to the file system, so that rows can still be
// flushed, and deletes win space, when somebody else has taken the last byte. After the emergency
// ballast of CockroachDB.
#pragma once

#include <cstdint>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/disk.h"

namespace meridian::storage {

// Thread-safe. Its file is nothing that a disk needs: whatever a crash leaves of it is in
// order.
class Ballast {
 public:
  // `bytes` 0: none is held. The disk outlives it.
  Ballast(Disk& disk, uint64_t bytes) : disk_(disk), bytes_(bytes) {}

  // Takes the space if it is not held and twice as much is free: what is won by deletes on a full
  // disk is first used for more of them.
  absl::Status Take() ABSL_LOCKS_EXCLUDED(mutex_);
  // Gives the space back. True if any was held.
  absl::StatusOr<bool> Release() ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  Disk& disk_;
  const uint64_t bytes_;
  absl::Mutex mutex_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace meridian::storage
