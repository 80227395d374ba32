#include "storage/store/ballast.h"

#include <memory>

#include "base/status.h"

namespace meridian::storage {
namespace {

constexpr char kPath[] = "ballast";

}  // namespace

absl::Status Ballast::Take() {
  absl::MutexLock lock(&mutex_);
  if (held_ || bytes_ == 0) return absl::OkStatus();
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk_.Open(kPath, {.create = true}));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  // One of an earlier life is taken over; what there is of another size goes first.
  if (size != bytes_) {
    if (size > 0) RETURN_IF_ERROR(disk_.Remove(kPath));
    const absl::StatusOr<uint64_t> free_bytes = disk_.FreeBytes();
    if (absl::IsUnavailable(free_bytes.status())) return absl::OkStatus();  // not to be told now
    RETURN_IF_ERROR(free_bytes.status());
    if (*free_bytes < 2 * bytes_) return absl::OkStatus();
    ASSIGN_OR_RETURN(const std::unique_ptr<File> made, disk_.Open(kPath, {.create = true}));
    const absl::Status taken = made->Preallocate(bytes_, /*fill=*/false);
    if (absl::IsResourceExhausted(taken)) return disk_.Remove(kPath);
    RETURN_IF_ERROR(taken);
    RETURN_IF_ERROR(made->Sync());
  }
  held_ = true;
  return absl::OkStatus();
}

absl::StatusOr<bool> Ballast::Release() {
  absl::MutexLock lock(&mutex_);
  if (!held_) return false;
  const absl::Status removed = disk_.Remove(kPath);
  // Not found: somebody needed space and did it by hand.
  if (!absl::IsNotFound(removed)) RETURN_IF_ERROR(removed);
  held_ = false;
  return removed.ok();
}

}  // namespace meridian::storage
