// Lets RocksDB wait where a disk is full, in place of failing: after one failed flush or
// compaction, RocksDB 7.8 with atomic flushes may wait for ever for memtables that it has forgotten
// to give back.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "rocksdb/file_system.h"

namespace meridian::storage {

// Thread-safe.
class SpaceGate {
 public:
  // Compactions leave `floor_bytes` free: what they have written is of no use until they end, and
  // they may never do, while each flush lets deletes win space. `no_space` is called, one call at a
  // time and none after Close, by everything else (flushes) that begins to wait: it may make some
  // room, and must not wait for RocksDB. May be empty.
  SpaceGate(uint64_t floor_bytes, std::function<void()> no_space)
      : floor_bytes_(floor_bytes), no_space_(std::move(no_space)) {}

  // Begins to hold back what finds the disk full; until then that fails at once.
  void Open() ABSL_LOCKS_EXCLUDED(mutex_);
  // From now on nothing waits any more: what does, fails. Returns once `no_space` does not run.
  void Close() ABSL_LOCKS_EXCLUDED(mutex_);
  bool is_open() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Something waits for space.
  bool waiting() const ABSL_LOCKS_EXCLUDED(mutex_);
  // And is no compaction. True before no_space is called for it.
  bool flush_waiting() const ABSL_LOCKS_EXCLUDED(mutex_);

  // The calling thread compacts from now on, or does not any more.
  static void SetCompacting(bool is);
  static bool IsCompacting();
  uint64_t floor_bytes() const { return floor_bytes_; }

  // Repeats `attempt`, which does nothing where there is no space, until it says something else
  // than that there is none.
  rocksdb::IOStatus Await(const std::function<rocksdb::IOStatus()>& attempt)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // False: do not wait.
  bool BeginToWait() ABSL_LOCKS_EXCLUDED(mutex_);
  void CallNoSpace() ABSL_LOCKS_EXCLUDED(mutex_);
  void EndWait() ABSL_LOCKS_EXCLUDED(mutex_);

  const uint64_t floor_bytes_;
  const std::function<void()> no_space_;
  mutable absl::Mutex mutex_;
  bool open_ ABSL_GUARDED_BY(mutex_) = false;
  int flushes_waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  int compactions_waiting_ ABSL_GUARDED_BY(mutex_) = 0;
  // Not under mutex_, which strands take: a disk may be slow to give room.
  bool calling_no_space_ ABSL_GUARDED_BY(mutex_) = false;
};

// `base`, of which every operation that takes space awaits it at the gate.
std::shared_ptr<rocksdb::FileSystem> NewGatedFileSystem(std::shared_ptr<rocksdb::FileSystem> base,
                                                        std::shared_ptr<SpaceGate> gate);

}  // namespace meridian::storage
