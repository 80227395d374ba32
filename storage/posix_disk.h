// A disk that is a folder of a POSIX file system.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "storage/disk.h"

namespace meridian::storage {

// `root` is made if it is not there (its parent must be). Where the file system refuses O_DIRECT
// (tmpfs), writes are buffered and durable writes end with fdatasync.
absl::StatusOr<std::unique_ptr<Disk>> OpenPosixDisk(std::string root);

}  // namespace meridian::storage
