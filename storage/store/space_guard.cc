#include "storage/store/space_guard.h"

#include "absl/strings/str_cat.h"
#include "base/status.h"

namespace meridian::storage {

absl::Status SpaceGuard::Admit() const {
  RETURN_IF_ERROR(out_of_service_.health());
  const absl::StatusOr<uint64_t> told = disk_.FreeBytes();
  if (absl::IsNotFound(told.status())) {
    return out_of_service_.Fail(absl::UnavailableError(told.status().ToString()));
  }
  RETURN_IF_ERROR(told.status());
  const uint64_t free_bytes = *told;
  const uint64_t to_pack = journal_.SegmentsInUse().size() * sizes_.segment_bytes;
  // One that new data may begin, and the two that it leaves (ExtentStore::Append).
  const uint64_t needed = to_pack + 3 * sizes_.extent_bytes;
  if (free_bytes >= sizes_.reserve_bytes + needed) return absl::OkStatus();
  const uint64_t unreserved =
      free_bytes > sizes_.reserve_bytes ? free_bytes - sizes_.reserve_bytes : 0;
  if (unreserved + ReusableBytes() >= needed) return absl::OkStatus();
  return absl::ResourceExhaustedError(
      absl::StrCat("the disk is full: ", free_bytes, " bytes are free, and kept for deletes"));
}

uint64_t SpaceGuard::ReusableBytes() const {
  uint64_t bytes = 0;
  for (const ExtentInfo& extent : extents_.Extents()) {
    if (extent.open) {
      bytes += extent.size_bytes - extent.used_bytes;
    } else if (extent.live_bytes == 0) {
      bytes += extent.size_bytes;
    }
  }
  return bytes;
}

}  // namespace meridian::storage
