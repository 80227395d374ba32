// What keeps a run's chunks from being freed here: running reads, and log entries that a member may
// still have to complete (P8).
#pragma once

#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "storage/log_entry.h"

namespace meridian::replication {

// Pins of reads. Thread-safe; pins may outlive it.
class ReadPins {
 public:
  std::shared_ptr<void> Pin(RunId run);
  bool IsPinned(RunId run) const;

 private:
  struct State {
    mutable absl::Mutex mutex;
    std::map<RunId, int> pins ABSL_GUARDED_BY(mutex);
  };
  std::shared_ptr<State> state_ = std::make_shared<State>();
};

// The highest log entry that references each run. A run is free of the log once every member has
// passed that entry. Confined to the replica's strand.
class LogPins {
 public:
  // The entry's chunks, and the run of the body that it carries.
  void Add(const storage::LogEntry& entry);
  void Add(LogIndex index, const std::vector<storage::ChunkRange>& chunks);
  void Add(LogIndex index, RunId run);
  bool IsPinned(RunId run, LogIndex freeable) const;
  // Every member has passed `freeable`.
  void Forget(LogIndex freeable);

 private:
  absl::flat_hash_map<RunId, LogIndex> highest_;
  std::multimap<LogIndex, RunId> by_index_;
};

}  // namespace meridian::replication
