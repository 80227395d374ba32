// Whether a disk has room for new bodies.
#pragma once

#include <cstdint>

#include "absl/status/status.h"
#include "storage/disk.h"
#include "storage/extents/extent_store.h"
#include "storage/journal/journal.h"
#include "storage/store/out_of_service.h"

namespace meridian::storage {

// New bodies are refused while what is already in the journal could not be packed into extents, so
// that a full disk never stops the journal's recycling: deletes and promises go on. Thread-safe.
class SpaceGuard {
 public:
  struct Sizes {
    uint64_t reserve_bytes = 0;
    uint64_t segment_bytes = 0;
    uint64_t extent_bytes = 0;
  };
  // All outlive it.
  SpaceGuard(const Disk& disk, const Journal& journal, const ExtentStore& extents,
             OutOfService& out_of_service, Sizes sizes)
      : disk_(disk),
        journal_(journal),
        extents_(extents),
        out_of_service_(out_of_service),
        sizes_(sizes) {}

  // RESOURCE_EXHAUSTED while there is no room. UNAVAILABLE: the disk is out of service, as it is
  // once its folder is gone, or it cannot tell its room now.
  absl::Status Admit() const;

 private:
  // In extents that exist: what is not written, and those that are free.
  uint64_t ReusableBytes() const;

  const Disk& disk_;
  const Journal& journal_;
  const ExtentStore& extents_;
  OutOfService& out_of_service_;
  const Sizes sizes_;
};

}  // namespace meridian::storage
