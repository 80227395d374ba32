// Everything that one disk keeps: the journal (what was promised and appended), extents (chunks)
// and RocksDB (log index, object state, chunk index), for all replicas that live there.
//
// RocksDB has no log of its own: its rows follow the journal, and hold the journal position that
// they stand at. After a crash they are back at their last flush, and the journal is replayed from
// that position. What a row supersedes (a segment, a place in an extent) is used again only after a
// flush that holds the row (P2). Destroying a DiskStore flushes nothing: it is a crash.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "storage/disk.h"
#include "storage/record_sealer.h"
#include "storage/replica_storage.h"
#include "storage/rocks/file_cipher.h"
#include "storage/state_machine.h"
#include "storage/sync_meter.h"

namespace rocksdb {
class Env;
}  // namespace rocksdb

namespace meridian::storage {

class RocksMemory;

// How a disk is verified in the background: every file of rows, every log entry and every chunk is
// read from the medium and checked, one pass after another.
struct ScrubOptions {
  uint64_t bytes_per_second = 0;  // 0: not at all
  // From the begin of a pass to that of the next, at least: a small disk is not read all the time.
  absl::Duration pass_interval = absl::Hours(1);
};

// One opening of a disk, to be recorded outside of it (P11): by what was recorded last, the disk is
// told from a copy of its past.
struct DiskOpening {
  DiskId disk;
  // What the disk knows to be recorded: an opening and its number; nil and 0: none.
  OpeningId last;
  uint64_t incarnation = 0;
  // What follows it. It may be recorded already.
  OpeningId next;
};

struct DiskStoreOptions {
  ClusterId cluster;
  NodeId node;

  // Outlive the store.
  Executor* strand = nullptr;  // all callbacks are posted there
  Clock* clock = nullptr;
  Random* random = nullptr;  // thread-safe
  FileCipherFactory* file_ciphers = nullptr;
  const RecordSealerFactory* record_sealers = nullptr;

  // Where RocksDB keeps its files: a folder on the same disk, as its environment names it.
  std::string rocks_folder;
  rocksdb::Env* rocks_env = nullptr;              // nullptr: the operating system's
  std::shared_ptr<RocksMemory> memory = nullptr;  // of all disks of the process; nullptr: its own
  size_t memtable_bytes = 4 << 20;

  uint32_t segment_bytes = 16 << 20;
  uint32_t max_record_bytes = 4 << 20;
  uint32_t min_segments = 4;
  uint32_t max_segments = 16;
  // With so many segments in use, the older ones are emptied and recycled.
  uint32_t pressure_segments = 3;
  uint32_t extent_bytes = 64 << 20;
  uint32_t max_chunk_bytes = 2 << 20;  // of ciphertext
  // Free space that only RocksDB may use, so that deletes and promises go on when the disk is full.
  uint64_t reserve_bytes = 64 << 20;
  // Held in a file, against those who do not know of the reserve, and given up when rows could not
  // be flushed otherwise. A flush of all families needs four times memtable_bytes. 0: none.
  uint64_t ballast_bytes = 32 << 20;
  // Recent entries that a replica keeps in memory for ReadLog.
  size_t log_cache_bytes = 4 << 20;
  // Chunks that wait for the extents; beyond, WriteChunk answers RESOURCE_EXHAUSTED.
  uint64_t max_queued_chunk_bytes = 64 << 20;
  // Log entries that wait for the journal (a slow disk, a slow flush). Proposals are bounded far
  // below; beyond, Persist fails with RESOURCE_EXHAUSTED, and the replica has to be opened again.
  uint64_t max_queued_log_bytes = 256 << 20;
  // How often the disk looks for space to give back. A crash forgets nothing meanwhile.
  absl::Duration maintenance_interval = absl::Seconds(5);
  ScrubOptions scrub;

  // Called by Open, before anything on the disk is used, and by RecordOpening; may block. OK: it is
  // recorded. FAILED_PRECONDITION: another than `last` was recorded since, so this is a copy.
  // NOT_FOUND: the disk was taken out for good. Other errors: whether it was recorded is not known.
  // nullptr: nothing is recorded.
  std::function<absl::Status(const DiskOpening&)> record_opening;

  // Once, when the disk goes out of service: a write or sync has failed. On a thread of the
  // store's.
  std::function<void(const absl::Status&)> on_out_of_service;
};

// The owner of a partition's rows on this disk (P6). Replicas of one container share its chunks.
struct ReplicaOnDisk {
  ReplicaId replica;
  PartitionId partition;
  ContainerId container;
  bool operator==(const ReplicaOnDisk&) const = default;
};

struct DiskStats {
  uint64_t free_bytes = 0;         // of the file system
  uint64_t chunk_live_bytes = 0;   // in extents, framing included
  uint64_t chunk_space_bytes = 0;  // of all extents' files
  uint32_t segments_in_use = 0;
  uint64_t checkpoints = 0;
  uint64_t corrupt_reads = 0;  // reads that found damage, since the start
  // Chunks of which there is no good copy here now: they wait for one from a peer.
  uint64_t lost_chunks = 0;
  uint32_t extents = 0;  // their files
  // Given to the journal and not answered yet.
  uint64_t journal_waiting_bytes = 0;
  SyncCounts journal_syncs;
  SyncCounts extent_syncs;
};

// All but the rate is kept over restarts.
struct ScrubStatus {
  uint64_t bytes_per_second = 0;  // 0: the disk is not verified
  bool running = false;           // a pass is under way; else the next one waits for its time
  absl::Time pass_begin = absl::InfinitePast();     // of the last pass that began
  absl::Time last_pass_end = absl::InfinitePast();  // of the last pass that ended
  uint64_t verified_bytes = 0;                      // in that pass
  double progress = 0;                              // of that pass, in [0, 1]: an estimate
  uint64_t corrupt = 0;                             // records found damaged in it
  uint64_t corrupt_before = 0;                      // in the pass before
  // Why the pass does not get on; it is tried again.
  absl::Status problem;
};

// Thread-safe.
class DiskStore {
 public:
  // Opens the disk's store, or makes one in an empty folder. FAILED_PRECONDITION, saying which:
  // another cluster's or node's folder, another version's, open in another process, or data of
  // something else; DATA_LOSS: what may have been acknowledged is damaged, the disk's replicas must
  // not come back under their ids (P9). Errors of `record_opening` as they are. `disk` outlives the
  // store.
  static absl::StatusOr<std::unique_ptr<DiskStore>> Open(Disk& disk, DiskStoreOptions options);

  // FAILED_PRECONDITION if the folder is another cluster's or node's; changes nothing. OK also if
  // nothing that can be read there says whose it is.
  static absl::Status CheckOwner(Disk& disk, ClusterId cluster, const NodeId& node);

  // Flushes nothing. All replicas have been destroyed before.
  virtual ~DiskStore() = default;

  virtual DiskId disk_id() const = 0;
  // Number of this disk's last recorded opening (P11).
  virtual uint64_t incarnation() const = 0;
  // Records the disk as if it were opened anew: copies that were made of it before are refused from
  // then on. If it is refused itself, somebody has opened a copy: then it goes out of service.
  virtual absl::Status RecordOpening() = 0;

  // These block on the journal's sync, for half a minute at most, and not for space: what ends with
  // RESOURCE_EXHAUSTED or DEADLINE_EXCEEDED may come to pass later, or be asked for again.
  // ALREADY_EXISTS: the partition has a replica here.
  // `installing`: it begins as one whose snapshot install is not done (P6), after any crash too,
  // since its state is about to be copied from elsewhere; else as one that is empty and whole.
  virtual absl::Status CreateReplica(const ReplicaOnDisk& replica, bool installing) = 0;
  // Removes the replica with its log and state, and, if it is the last one of its container here,
  // the container's chunks. Chunks that siblings may need stay: what none of them knows, they find
  // and free in the background. For that, the runs that the replica's state references are marked
  // as its own, which takes time in proportion to them. OK if it is not here any more; nothing of
  // another replica is touched (P6). FAILED_PRECONDITION while it is open.
  virtual absl::Status RemoveReplica(ReplicaId replica, const StateMachine& state_machine) = 0;
  virtual std::vector<ReplicaOnDisk> ListReplicas() const = 0;
  // What the replica has promised durably: nobody was ever told more. Open or not; reads one row,
  // and nothing of the log. NOT_FOUND if there is no such replica.
  virtual absl::StatusOr<Epoch> DurablePromise(ReplicaId replica) const = 0;

  // To be used and destroyed on the strand; one at a time for a replica (FAILED_PRECONDITION).
  // NOT_FOUND if there is no such replica.
  virtual absl::StatusOr<std::unique_ptr<ReplicaStorage>> OpenReplica(ReplicaId replica) = 0;

  // RESOURCE_EXHAUSTED while there is no room for new bodies: ask before proposing one. What has
  // been proposed, deletes and promises still fit.
  virtual absl::Status AdmitNewData() const = 0;

  // Empties all segments but the last, flushes, gives space back, and compacts extents that are
  // mostly garbage. Done by itself when needed; blocks.
  virtual absl::Status Checkpoint() = 0;

  virtual absl::StatusOr<DiskStats> Stats() const = 0;
  virtual ScrubStatus scrub() const = 0;
  // Not OK once the disk is out of service.
  virtual absl::Status health() const = 0;

  // Before the destruction, where others may wait for the disk, or it for space: what waits is
  // answered CANCELLED, and nothing more gets durable, as after a crash. Reads go on.
  virtual void BeginStop() = 0;
};

}  // namespace meridian::storage
