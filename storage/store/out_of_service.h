// Tells the owner of a disk, once, that the disk has gone out of service.
#pragma once

#include <functional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "storage/disk.h"

namespace meridian::storage {

// Thread-safe.
class OutOfService {
 public:
  OutOfService(Disk& disk, std::function<void(const absl::Status&)> tell)
      : disk_(disk), tell_(std::move(tell)) {}

  absl::Status health() const { return disk_.health(); }

  // After any failed write: tells if it was the disk's failure.
  void Check() {
    const absl::Status health = disk_.health();
    if (health.ok()) return;
    {
      absl::MutexLock lock(&mutex_);
      if (told_) return;
      told_ = true;
    }
    if (tell_ != nullptr) tell_(health);
  }

  // RocksDB failed. A full disk passes, damage to a row concerns that row: all else takes the disk
  // out of service. Returns `failure`.
  absl::Status Fail(const absl::Status& failure) {
    if (absl::IsUnavailable(failure)) disk_.Fail(failure).IgnoreError();
    Check();
    return failure;
  }

 private:
  Disk& disk_;
  const std::function<void(const absl::Status&)> tell_;
  absl::Mutex mutex_;
  bool told_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace meridian::storage
