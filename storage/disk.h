// One disk: a folder on a file system, as the journal and the extents see it. Implementations:
// PosixDisk, and for tests FaultDisk, which is in memory, cuts the power and injects faults; one
// conformance test holds both. RocksDB reaches its part of the disk through its own Env.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"

namespace meridian::storage {

// Whether a disk may still be written. After a failed write or sync nobody knows what is on it (the
// kernel marks the pages clean: a second fsync succeeds with the data lost), so the first failure
// is kept for good. Thread-safe.
class DiskHealth {
 public:
  absl::Status status() const {
    absl::MutexLock lock(&mutex_);
    return status_;
  }
  // Takes the disk out of service. Returns the first failure reported.
  absl::Status Fail(const absl::Status& failure) {
    absl::MutexLock lock(&mutex_);
    if (status_.ok()) status_ = failure;
    return status_;
  }

 private:
  mutable absl::Mutex mutex_;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

// An open file. Thread-safe where the ranges do not overlap. A failed Write, Preallocate or Sync
// takes the disk out of service, unless it is refused before anything is written (INVALID_ARGUMENT)
// or for want of space (RESOURCE_EXHAUSTED: part of the range may be written). A failed read
// (UNAVAILABLE) does not: one bad sector is not a bad disk.
class File {
 public:
  virtual ~File() = default;

  // Fills `out` from `offset`; the number of bytes read is smaller only at the end of the file.
  virtual absl::StatusOr<size_t> Read(uint64_t offset, std::span<char> out) const = 0;
  // As Read, from the medium itself: what a cache has of the range is dropped before, so that it
  // hides no damage, and after, so that what others read is not pushed out of it.
  virtual absl::StatusOr<size_t> ReadMedium(uint64_t offset, std::span<char> out) const = 0;
  // All of `bytes`, durable after the next Sync, or at return if opened with `durable`. Where
  // opened with `direct`, offset, address and size are multiples of kDirectUnitBytes. After a power
  // cut, any subset of the 512-byte sectors of a write that was not durable may be there.
  virtual absl::Status Write(uint64_t offset, std::string_view bytes) = 0;
  // Makes the file `size_bytes` long and its space reserved, so that no write within it can find
  // the disk full; what was there stays, the rest reads as zeros. With `fill`, zeros are really
  // written, which makes the first writes as cheap as later ones. Durable after Sync.
  // RESOURCE_EXHAUSTED if there is no space: the file is then of unknown size, to be removed.
  virtual absl::Status Preallocate(uint64_t size_bytes, bool fill) = 0;
  // Makes all earlier writes and the size durable (fdatasync).
  virtual absl::Status Sync() = 0;
  virtual absl::StatusOr<uint64_t> Size() const = 0;
};

struct OpenOptions {
  bool create = false;   // makes it if it is not there; its name is durable after SyncDir
  bool direct = false;   // O_DIRECT for writes, where the file system has it; reads are buffered
  bool durable = false;  // O_DSYNC: each write is durable when it returns
};

// Holds a folder for one process, until destroyed.
class DiskLock {
 public:
  virtual ~DiskLock() = default;
};

// Paths are relative to the disk's folder, with '/' between parts. Thread-safe. Changes of names
// are durable after SyncDir of the folder that holds the name; until then a power cut may undo any
// of them.
class Disk {
 public:
  virtual ~Disk() = default;

  // NOT_FOUND if it is not there and not to be created.
  virtual absl::StatusOr<std::unique_ptr<File>> Open(const std::string& path,
                                                     const OpenOptions& options) = 0;
  // OK if it is there already.
  virtual absl::Status CreateDir(const std::string& path) = 0;
  // Names in a folder, without "." and "..", sorted.
  virtual absl::StatusOr<std::vector<std::string>> List(const std::string& dir) const = 0;
  // Replaces `to` at once if it is there.
  virtual absl::Status Rename(const std::string& from, const std::string& to) = 0;
  virtual absl::Status Remove(const std::string& path) = 0;
  virtual absl::Status SyncDir(const std::string& dir) = 0;
  // FAILED_PRECONDITION if another process (or another owner in this one) holds it. `path` is a
  // file, created if absent.
  virtual absl::StatusOr<std::unique_ptr<DiskLock>> Lock(const std::string& path) = 0;
  // Bytes that may still be written. NOT_FOUND: the disk's folder is gone, or the device does not
  // answer for it: the disk has failed. UNAVAILABLE: it cannot be told now, which says nothing of
  // the disk.
  virtual absl::StatusOr<uint64_t> FreeBytes() const = 0;

  // Not OK once a write or sync has failed: the disk is out of service, for good.
  absl::Status health() const { return health_.status(); }
  // For users that find it broken by other ways (RocksDB's background error).
  absl::Status Fail(const absl::Status& failure) { return health_.Fail(failure); }

 protected:
  DiskHealth health_;
};

// The folder that holds `path`; "" for the disk's own.
std::string FolderOf(const std::string& path);
// The whole of a small file; at most `max_bytes`, else OUT_OF_RANGE.
absl::StatusOr<std::string> ReadWholeFile(Disk& disk, const std::string& path, size_t max_bytes);
// Replaces a small file so that after any crash it has either the old or the new content: written
// aside, synced, renamed, folder synced.
absl::Status WriteWholeFile(Disk& disk, const std::string& path, std::string_view bytes);

}  // namespace meridian::storage
