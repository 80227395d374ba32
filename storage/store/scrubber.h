// Verifies a disk in the background, at a set rate: the files of rows by their block checksums, the
// log entries and inline bodies in the journal, every chunk in its extent. Damage is found before
// somebody needs the record, while its peers still have good copies.
//
// A damaged chunk is recorded as lost: its replica fetches it from a peer. The log is trimmed up to
// a damaged entry that is applied. A damaged file of rows cannot be mended singly: the disk goes
// out of service, and its replicas are made anew elsewhere.
#pragma once

#include <cstdint>
#include <memory>
#include <thread>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "storage/disk.h"
#include "storage/disk_store.h"
#include "storage/extents/extent_store.h"
#include "storage/journal/journal.h"
#include "storage/rocks/rocks_kv.h"
#include "storage/store/data_reader.h"
#include "storage/store/disk_index.h"
#include "storage/store/out_of_service.h"
#include "storage/store/scrub_state.h"

namespace meridian::storage {

// Thread-safe.
class Scrubber {
 public:
  // All outlive it.
  struct Parts {
    Disk& disk;
    RocksKv& kv;
    DiskIndex& index;
    const Journal& journal;
    ExtentStore& extents;
    const DataReader& reader;
    Executor& timers;  // only tells time, and when it is over
    Clock& clock;
    OutOfService& out_of_service;
  };
  // Goes on with the pass that the disk's file tells of.
  Scrubber(const Parts& parts, const ScrubOptions& options);
  // Finishes the read that it is at.
  ~Scrubber();

  ScrubStatus status() const;

 private:
  // What a wait is ended by; timers that come too late find it, too.
  struct Alarm {
    absl::Mutex mutex;
    absl::CondVar changed;
    bool rung ABSL_GUARDED_BY(mutex) = false;
    bool stopping ABSL_GUARDED_BY(mutex) = false;
  };

  // All below run on thread_. Errors: CANCELLED, it is being destroyed; else what keeps the pass
  // from getting on.
  void Run();
  void Load();
  absl::Status Pass();
  void BeginPass();
  absl::Status ScrubTables();
  absl::Status ScrubTable(const RocksKv::TableFile& table);
  absl::Status ScrubLog();
  absl::Status ScrubEntry(const ReplicaOnDisk& replica, const DiskIndex::OldEntry& entry);
  absl::Status ScrubChunks();
  absl::Status ScrubChunk(const ChunkKeyParts& chunk, ChunkRow row);
  absl::Status VerifyPlace(const ChunkKeyParts& chunk, const ChunkRow& row) const;

  // Until so many bytes may be read.
  absl::Status Pace(uint64_t bytes);
  absl::Status Wait(absl::Duration duration);
  absl::Duration UntilNextPass() const;
  uint64_t NowMicros() const;

  void Enter(ScrubState::Phase phase);
  void Count(uint64_t verified_bytes);
  void CountCorrupt();
  ScrubState state() const;
  // Now and then; what a crash undoes is verified again.
  void SaveIfDue();
  void Save();

  const Parts parts_;
  const ScrubOptions options_;
  const std::shared_ptr<Alarm> alarm_ = std::make_shared<Alarm>();
  // When the next read may begin, and the state be saved again; of thread_.
  absl::Duration next_read_;
  absl::Duration next_save_;

  mutable absl::Mutex mutex_;
  ScrubState state_ ABSL_GUARDED_BY(mutex_);
  absl::Status problem_ ABSL_GUARDED_BY(mutex_);

  std::thread thread_;
};

}  // namespace meridian::storage
