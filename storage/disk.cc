#include "storage/disk.h"

#include <utility>

#include "base/status.h"

namespace meridian::storage {
std::string FolderOf(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "" : path.substr(0, slash);
}

absl::StatusOr<std::string> ReadWholeFile(Disk& disk, const std::string& path, size_t max_bytes) {
  ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.Open(path, {}));
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (size > max_bytes) {
    return absl::OutOfRangeError(path + " is larger than " + std::to_string(max_bytes) + " bytes");
  }
  std::string bytes(size, '\0');
  ASSIGN_OR_RETURN(const size_t read, file->Read(0, bytes));
  if (read != size) return absl::UnavailableError(path + " shrank while it was read");
  return bytes;
}

absl::Status WriteWholeFile(Disk& disk, const std::string& path, std::string_view bytes) {
  const std::string aside = path + ".new";
  // What a crash left there is of no use.
  const absl::Status removed = disk.Remove(aside);
  if (!removed.ok() && !absl::IsNotFound(removed)) return removed;
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.Open(aside, {.create = true}));
    RETURN_IF_ERROR(file->Write(0, bytes));
    RETURN_IF_ERROR(file->Sync());
  }
  RETURN_IF_ERROR(disk.Rename(aside, path));
  return disk.SyncDir(FolderOf(path));
}

}  // namespace meridian::storage
