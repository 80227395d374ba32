// Gives a disk's space back: empties old journal segments, flushes the rows, frees what they
// superseded, compacts extents that are mostly garbage.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "storage/extents/extent_store.h"
#include "storage/journal/journal.h"
#include "storage/rocks/rocks_kv.h"
#include "storage/store/ballast.h"
#include "storage/store/commit_pipeline.h"
#include "storage/store/data_reader.h"
#include "storage/store/disk_index.h"
#include "storage/store/out_of_service.h"
#include "storage/store/space_guard.h"

namespace meridian::storage {

// Thread-safe.
class Checkpointer {
 public:
  // All outlive it.
  struct Parts {
    RocksKv& kv;
    DiskIndex& index;
    CommitPipeline& pipeline;
    Journal& journal;
    ExtentStore& extents;
    const DataReader& reader;
    const SpaceGuard& space;
    OutOfService& out_of_service;
    Ballast& ballast;
  };
  Checkpointer(Parts parts, absl::Duration interval);
  // Finishes the step it is at.
  ~Checkpointer();

  // Soon, on its own thread: the journal has many segments in use.
  void Kick();
  // Flushes the rows and calls `done`, on any thread; it must not block. RESOURCE_EXHAUSTED: there
  // is no space, and the flush may come later by itself; CANCELLED: after BeginStop.
  using Done = std::function<void(absl::Status)>;
  void FlushThen(Done done);
  // A flush waits for space: who waits for it goes on without. Must not be called under a lock that
  // a `done` takes.
  void OnNoSpace();
  // From now on no flush is waited for. RocksKv::StopWaiting ends the one that runs.
  void BeginStop();
  // The whole, now; blocks.
  absl::Status Run();

  uint64_t checkpoints() const;

 private:
  void Loop();
  // Those that have been asked for, and wait or run.
  void AnswerFlushes(const absl::Status& status) ABSL_LOCKS_EXCLUDED(mutex_);
  // Frees all segments but the last: inline bodies go to extents, log entries that were not
  // trimmed into rows; then a flush, then the release (P2).
  absl::Status EmptySegments() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // For those of flushes_.
  void FlushForWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Takes the disk out of service if it fails again and again for other reasons than space.
  absl::Status EmptySegmentsOrFail() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Whether what could not be read so is given up.
  bool IsLost(const absl::Status& read) const ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // With the ballast's space where there is no other.
  absl::Status Flush() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  absl::Status FlushAndFree() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Wins space without emptying segments.
  absl::Status GiveBack() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  absl::Status Compact() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Those worth it, the most garbage first, without those in stuck_.
  std::vector<uint32_t> ExtentsToCompact() ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Copies what is good in it, and has the rest recorded as lost.
  absl::Status Evacuate(uint32_t extent) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);

  absl::Status PackBodies(uint64_t life) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  // Packs bodies from `next` on, about kPackBatchBytes of them, and moves `next` behind them.
  absl::Status PackSomeBodies(const std::vector<DiskIndex::Body>& bodies, size_t& next,
                              uint64_t life) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  absl::Status PackEntries(ReplicaId replica, uint64_t life)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);
  absl::StatusOr<LogRow> PackEntry(const LogRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(run_mutex_);

  const Parts parts_;
  const absl::Duration interval_;

  // One at a time: a release follows its own flush.
  absl::Mutex run_mutex_;
  int failed_attempts_ ABSL_GUARDED_BY(run_mutex_) = 0;  // one after the other
  // Extents whose last evacuation left something in them, as they were then: while they are the
  // same, another one would win nothing either, and take the others' turn. Tried again now and
  // then all the same. As many as there are extents, at most.
  struct Stuck {
    uint64_t generation = 0;
    uint64_t live_bytes = 0;
    uint64_t until_pass = 0;
  };
  std::map<uint32_t, Stuck> stuck_ ABSL_GUARDED_BY(run_mutex_);
  uint64_t passes_ ABSL_GUARDED_BY(run_mutex_) = 0;  // of Compact

  mutable absl::Mutex mutex_ ABSL_ACQUIRED_AFTER(run_mutex_);
  absl::CondVar changed_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  bool kicked_ ABSL_GUARDED_BY(mutex_) = false;
  bool stops_flushes_ ABSL_GUARDED_BY(mutex_) = false;
  // As many as strands and builders of replicas wait for.
  std::vector<Done> flushes_ ABSL_GUARDED_BY(mutex_);
  std::vector<Done> running_flushes_ ABSL_GUARDED_BY(mutex_);
  uint64_t checkpoints_ ABSL_GUARDED_BY(mutex_) = 0;

  std::thread thread_;
};

}  // namespace meridian::storage
