// The rows of one disk: what its journal's records amount to, and what the strand and the
// checkpointer change of them. Every read-modify-write of log and chunk rows happens under one
// lock.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "storage/disk_store.h"
#include "storage/journal/journal.h"
#include "storage/replica_storage.h"
#include "storage/rocks/rocks_kv.h"
#include "storage/store/records.h"
#include "storage/store/rows.h"

namespace meridian::storage {

// Thread-safe. Nothing here waits for a sync: rows are durable after RocksKv::Flush.
class DiskIndex {
 public:
  explicit DiskIndex(RocksKv& kv) : kv_(kv) {}

  // Reads who owns what, and where in the journal the rows stand; before anything else.
  absl::Status Load();
  JournalPosition position() const;

  // ---- Records of the journal, in its order.
  struct Record {
    RecordType type;
    ReplicaId owner;
    std::string_view payload;  // of an entry, its head suffices
    RecordLocation location;
    GroupNumber group = 0;
    // Follows one of its replica that the journal refused: counted, as replay will show it, and
    // without effect.
    bool refused = false;
  };
  // Those of the position or before are skipped. Records of a replica that is not here are ignored.
  // OK: all are in the rows. On RESOURCE_EXHAUSTED `records` is what has not been taken; call again
  // with that, even if it is empty.
  absl::Status Add(std::span<const Record>& records);
  // All records of groups before `group` have been added: replay need not begin before it.
  absl::Status CompleteGroupsBefore(GroupNumber group);

  // ---- Replicas
  std::vector<ReplicaOnDisk> Replicas() const;
  absl::StatusOr<ReplicaOnDisk> FindReplica(ReplicaId replica) const;
  // In the rows, which hold every promise that was answered.
  absl::StatusOr<Epoch> FindPromise(ReplicaId replica) const;
  // nullopt if no replica here owns the partition.
  std::optional<ReplicaOnDisk> FindOwner(ContainerId container, PartitionId partition) const;
  // Of the container's other partitions.
  std::vector<ReplicaId> SiblingsOf(const ReplicaOnDisk& replica) const;
  // One opening at a time: FAILED_PRECONDITION. The result is the log's base, for as long as
  // wanted.
  absl::StatusOr<std::shared_ptr<const std::atomic<uint64_t>>> OpenReplica(ReplicaId replica);
  void CloseReplica(ReplicaId replica);
  absl::StatusOr<RecoveredReplica> Recover(ReplicaId replica) const;
  // The last applied entry that cannot be read any more, its body being dropped or damaged; the
  // log's base if all can.
  absl::StatusOr<LogIndex> LastUnreadableApplied(ReplicaId replica) const;
  // The snapshot's rows are in: the replica stands at `applied`, its log begins after it. It counts
  // as one being installed until EndInstall, which follows a flush (P6).
  absl::Status FinishInstall(ReplicaId replica, const AppliedPoint& applied, Epoch epoch);
  void EndInstall(ReplicaId replica);

  // ---- Log index
  // nullopt: no such entry (any more).
  absl::StatusOr<std::optional<LogRow>> FindEntry(const ReplicaOnDisk& replica,
                                                  LogIndex index) const;
  // Drops the log up to `index`, whose entry is in the rows.
  absl::Status TrimTo(ReplicaId replica, LogIndex index);
  // Drops the log up to an entry whose record is damaged, if it is applied: the state has its
  // effect, and a peer that lacks it gets a snapshot. False: it is not applied yet.
  absl::StatusOr<bool> TrimDamaged(ReplicaId replica, LogIndex index);
  struct OldEntry {
    LogIndex index;
    LogRow row;
  };
  // The rows of the first `max` entries after `after`.
  absl::StatusOr<std::vector<OldEntry>> ListEntries(const ReplicaOnDisk& replica, LogIndex after,
                                                    size_t max) const;
  // The next entries to pack of those in lives before `life`, at most `max`; none: all are done.
  absl::StatusOr<std::vector<OldEntry>> ListOld(ReplicaId replica, uint64_t life, size_t max) const;
  // Replaces rows that have not changed since they were listed; never undone by a truncation after.
  absl::Status ReplaceEntries(ReplicaId replica, const std::vector<OldEntry>& old,
                              const std::vector<LogRow>& rows);

  // ---- Chunk index
  absl::StatusOr<std::optional<ChunkRow>> FindChunk(ContainerId container, ChunkId chunk) const;
  struct ListedChunk {
    std::string key;  // of the row
    ChunkKeyParts chunk;
    ChunkRow row;
  };
  // The first `max` rows after the row of that key; empty: from the first one on.
  absl::StatusOr<std::vector<ListedChunk>> ListChunks(std::string_view after, size_t max) const;
  // Calls `visit` with all rows, in any order; stops at its first error. Forgets what was to be
  // freed and which bodies are in the journal: the opening tells anew by ScanChunks.
  absl::Status ScanChunks(
      const std::function<absl::Status(const ChunkKeyParts&, const ChunkRow&)>& visit);
  // Inline bodies that may lie in lives before `life`; the list is taken: give back with
  // ReturnBodies what was not moved.
  struct Body {
    ContainerId container;
    RunId run;
  };
  std::vector<Body> TakeBodies(uint64_t life);
  void ReturnBodies(std::vector<Body> bodies, uint64_t life);
  // If the row is still `from`, but for the partition, it becomes `to` and from's extent place is
  // freed, else `to`'s is.
  absl::Status MoveChunk(ContainerId container, ChunkId chunk, const ChunkRow& from,
                         const ChunkRow& to);
  // If the row is still `damaged`, it says from now on that the chunk is lost, and its place is
  // freed. Whether it was: then the damage counts as found.
  absl::StatusOr<bool> MarkLost(ContainerId container, ChunkId chunk, const ChunkRow& damaged);
  absl::Status DropRun(ContainerId container, RunId run);
  // As ReplicaStorage says; with the partition that the first chunk's row names.
  struct RunOfPartition {
    RunId run;
    PartitionId partition;
  };
  absl::StatusOr<std::vector<RunOfPartition>> ListRuns(ContainerId container, RunId after,
                                                       size_t max) const;
  // Makes the replica's partition the one that ListRuns names. May be undone by a crash.
  absl::Status ClaimRun(const ReplicaOnDisk& replica, RunId run);
  // Of the chunks whose rows name the replica's partition, from ScanChunks on.
  uint64_t StoredBytes(const ReplicaOnDisk& replica) const;
  // The row of a chunk that has none says that it is lost. Whether there was none.
  absl::StatusOr<bool> PlaceLost(const ReplicaOnDisk& replica, ChunkId chunk, Timestamp now);
  // Chunks whose rows say so.
  std::vector<ChunkId> ListLost(ContainerId container, std::optional<ChunkId> after,
                                size_t max) const;
  uint64_t CountLost(ContainerId container) const;
  uint64_t CountLost() const;  // of all

  // Places that no row names any more: to be freed after a flush that began after this call (P2).
  std::vector<ChunkLocation> TakeFrees();
  // After a flush that failed.
  void ReturnFrees(const std::vector<ChunkLocation>& frees);
  bool has_frees() const;

 private:
  struct Replica {
    ReplicaOnDisk id;
    std::shared_ptr<std::atomic<uint64_t>> base;
    LogIndex last;            // entry in the rows (or the batch)
    LogIndex packed_through;  // no entry up to it is in the journal
    bool installing = false;
    bool open = false;
  };

  absl::StatusOr<Replica> LoadReplica(const ReplicaOnDisk& id) const;
  absl::StatusOr<Epoch> ReadPromise(ReplicaId replica) const;
  std::optional<ReplicaOnDisk> FindOwnerLocked(ContainerId container, PartitionId partition) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CommitLocked() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddLocked(const Record& record) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddEntry(Replica& replica, const Record& record)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Frees what the row of a body says, if there is one: it comes again, with its entry.
  absl::Status FreeBody(ContainerId container, const std::string& key)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddTruncate(Replica& replica, LogIndex from) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddChunk(const Replica& replica, const ChunkPlaced& placed)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddReplica(const ReplicaOnDisk& id, bool installing)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddRemoval(ReplicaId id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status AddInstallBegin(Replica& replica) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void DeleteStateAndLog(const ReplicaOnDisk& id) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void ForgetLost(ContainerId container, ChunkId chunk) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // A row of that partition has come, or goes (`bytes` < 0).
  void CountStored(ContainerId container, PartitionId partition, int64_t bytes)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // False: the row is not `from` any more, and nothing was done.
  absl::StatusOr<bool> ReplaceChunk(ContainerId container, ChunkId chunk, const ChunkRow& from,
                                    const ChunkRow& to) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What rows said that are deleted.
  struct Deleted {
    std::vector<ChunkLocation> places;
    std::map<PartitionId, int64_t> bytes;
  };
  // Adds the deletion of all chunk rows whose keys begin with `prefix` to `batch`.
  absl::StatusOr<Deleted> DeleteChunks(const std::string& prefix, RocksBatch& batch)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  RocksKv& kv_;
  mutable absl::Mutex mutex_;
  absl::flat_hash_map<ReplicaId, Replica> replicas_ ABSL_GUARDED_BY(mutex_);
  // The same by their containers.
  std::map<ContainerId, std::map<PartitionId, ReplicaId>> owners_ ABSL_GUARDED_BY(mutex_);
  // Rows of records that are not written yet; readers do not see them.
  RocksBatch batch_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> batched_chunks_ ABSL_GUARDED_BY(mutex_);
  std::vector<ChunkLocation> batched_frees_ ABSL_GUARDED_BY(mutex_);
  JournalPosition position_ ABSL_GUARDED_BY(mutex_);
  JournalPosition committed_ ABSL_GUARDED_BY(mutex_);
  // Records of position_.group that replay shows again.
  uint32_t to_skip_ ABSL_GUARDED_BY(mutex_) = 0;
  // By journal life. Bounded by what max_segments segments hold.
  std::map<uint64_t, std::vector<Body>> bodies_ ABSL_GUARDED_BY(mutex_);
  // What rows call lost, from ScanChunks on: as many as are damaged, few on a disk in service.
  std::map<ContainerId, std::set<ChunkId>> lost_ ABSL_GUARDED_BY(mutex_);
  // Sizes of the chunks by the partition that their rows, or the batch's, name; true from
  // ScanChunks on. Those of no bytes are not in it.
  std::map<ContainerId, std::map<PartitionId, int64_t>> stored_ ABSL_GUARDED_BY(mutex_);
  // Only places whose last row is gone from kv_.
  std::vector<ChunkLocation> frees_ ABSL_GUARDED_BY(mutex_);
};

// Adds a chunk's place in an extent, if that is where it is.
inline void AppendPlace(const ChunkRow& row, std::vector<ChunkLocation>& places) {
  if (row.place == ChunkPlace::kExtent) places.push_back(row.extent);
}

}  // namespace meridian::storage
