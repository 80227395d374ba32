// A file system that is as large as a test wants it: a quota over real files, below a node's Disk
// and below RocksDB's environment at once.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/env.h"
#include "storage/disk.h"

namespace meridian::storage {

// What files take, by their absolute paths. Thread-safe.
class SpaceQuota {
 public:
  // Of one file, whatever its name is at the time; 0 once removed.
  struct Entry {
    uint64_t bytes = 0;
    bool removed = false;
  };

  explicit SpaceQuota(uint64_t capacity_bytes) : capacity_bytes_(capacity_bytes) {}

  void set_capacity_bytes(uint64_t bytes);
  // Somebody else takes what is free.
  void TakeRest();
  uint64_t free_bytes() const;
  // What RocksDB's environment says is free, whatever is: somebody takes it right after.
  void set_reported_free_bytes(uint64_t bytes);
  uint64_t reported_free_bytes() const;

  // The file's entry; `bytes` if it is not known yet.
  std::shared_ptr<Entry> Find(const std::string& path, uint64_t bytes);
  // False, with nothing taken, if there is not enough left.
  bool Grow(Entry& entry, uint64_t to_bytes);
  void Remove(const std::string& path);
  void Rename(const std::string& from, const std::string& to);

 private:
  void Forget(const std::string& path) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable absl::Mutex mutex_;
  uint64_t capacity_bytes_ ABSL_GUARDED_BY(mutex_);
  uint64_t used_bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  std::optional<uint64_t> reported_free_bytes_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::shared_ptr<Entry>> files_ ABSL_GUARDED_BY(mutex_);
};

// `root` as of OpenPosixDisk. `quota` outlives it.
absl::StatusOr<std::unique_ptr<Disk>> OpenQuotaDisk(std::string root, SpaceQuota& quota);

// Over the operating system's files. `quota` outlives it.
std::unique_ptr<rocksdb::Env> NewQuotaEnv(SpaceQuota& quota);

}  // namespace meridian::storage
