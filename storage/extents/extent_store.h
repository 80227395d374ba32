// The chunks of one disk, in extents: files of chunks, append-only within one generation, recycled
// whole. Each record describes itself (container, run, chunk number, its place) under checksums, so
// that a misdirected or stale block is never taken for the chunk asked for (I10, P19). Which chunks
// are where is the user's index: this store keeps nothing of it but the live bytes of each extent.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "base/id.h"
#include "storage/disk.h"
#include "storage/log_entry.h"
#include "storage/sync_meter.h"

namespace meridian::storage {

// Where a chunk is. Valid until its extent is recycled, which its live bytes prevent.
struct ChunkLocation {
  uint32_t extent = 0;      // the file's number
  uint64_t generation = 0;  // of that file
  uint64_t offset = 0;      // of the record, in the file; a multiple of 4096
  uint32_t length = 0;      // of the ciphertext, in bytes
  bool operator==(const ChunkLocation&) const = default;
};

// What a chunk is, wherever it lies.
struct ChunkIdentity {
  ContainerId container;
  ChunkId chunk;
  uint32_t crc32c = 0;  // of the ciphertext
  bool operator==(const ChunkIdentity&) const = default;
};

struct ExtentOptions {
  std::string dir = "extents";
  DiskId disk_id;
  uint32_t extent_bytes = 64 << 20;      // of a new file; multiple of 4096
  uint32_t max_chunk_bytes = 2 << 20;    // of ciphertext
  uint32_t max_batch_bytes = 8 << 20;    // written before one sync
  uint64_t max_queued_bytes = 64 << 20;  // waiting appends beyond are refused: RESOURCE_EXHAUSTED
  uint64_t reserve_bytes = 64 << 20;     // of the disk's free space, left to others
};

struct ExtentInfo {
  uint32_t extent = 0;
  uint64_t generation = 0;
  uint64_t live_bytes = 0;  // of records, framing included
  uint64_t used_bytes = 0;  // written in this generation
  uint64_t size_bytes = 0;
  bool open = false;  // being appended to
  // The part of used_bytes that nobody references: what an evacuation would win.
  double garbage_ratio() const {
    return used_bytes == 0 ? 0 : 1.0 - static_cast<double>(live_bytes) / used_bytes;
  }
};

// Thread-safe. Completions run on the store's own thread and must not block. After the first failed
// write the disk is out of service: every append fails with that error, reads go on.
class ExtentStore {
 public:
  // RESOURCE_EXHAUSTED: no space, or too much is waiting; INVALID_ARGUMENT: too long, empty, or the
  // bytes are not those of the checksum. In both nothing was written and later appends may succeed.
  // CANCELLED: closed before it was written. Else the failure that took the disk out of service.
  using Done = std::function<void(const absl::StatusOr<ChunkLocation>&)>;

  // Opens the extents in `options.dir`, or makes the folder. Nothing is allocated until
  // FinishRecovery. FAILED_PRECONDITION if they are another disk's or of a later version; DATA_LOSS
  // if an extent's header is damaged. `disk` outlives the store.
  static absl::StatusOr<std::unique_ptr<ExtentStore>> Open(Disk& disk, ExtentOptions options);
  // Finishes the batch being written; the rest is completed with CANCELLED. No completion runs
  // after.
  virtual ~ExtentStore() = default;

  // Recovery: tells of a chunk that the index holds. DATA_LOSS if there is no such place in that
  // extent's present generation: the index points into nothing.
  virtual absl::Status Reference(const ChunkLocation& location) = 0;
  // All references are told: what is not referenced is free.
  virtual absl::Status FinishRecovery() = 0;

  // Writes a chunk; `done` is called once it is durable. Its bytes count as live from the start.
  // Never called from within this call. New data leaves the space of two extents.
  virtual void Append(const ChunkIdentity& identity, Buffer ciphertext, Done done) = 0;
  // The same, of what the disk owes its group, whose other replicas have it: may take the first of
  // those two, so that a full disk can catch up with the deletes that give space back.
  virtual void Restore(const ChunkIdentity& identity, Buffer ciphertext, Done done) = 0;
  // The same, of what is on this disk already and gives up its place for it: may take both, so that
  // a full disk can be compacted and its journal emptied.
  virtual void Relocate(const ChunkIdentity& identity, Buffer ciphertext, Done done) = 0;

  // The bytes [offset, offset + size) of the ciphertext; the whole record is verified first:
  // framing, identity, checksum (I10). NOT_FOUND if the extent was recycled since: look up the
  // location again. DATA_LOSS if it is damaged or another's. OUT_OF_RANGE beyond the chunk.
  // UNAVAILABLE if the disk cannot read it.
  virtual absl::StatusOr<Buffer> Read(const ChunkLocation& location, const ChunkIdentity& expected,
                                      size_t offset, size_t size) const = 0;

  // Reads the whole record from the medium (File::ReadMedium) and verifies it. Errors as of Read.
  virtual absl::Status Verify(const ChunkLocation& location,
                              const ChunkIdentity& expected) const = 0;

  // The chunk there is not referenced any more. The caller guarantees (P2) that a durable flush
  // holds that, and calls it once for each location. An extent without live bytes is recycled.
  virtual void MarkFree(const ChunkLocation& location) = 0;

  // Those with the most garbage first.
  virtual std::vector<ExtentInfo> Extents() const = 0;

  // Copies the live records of an extent elsewhere so that it becomes free. Calls `is_live` for
  // each record found; for a live one, once its copy is durable, `moved`: the user updates its
  // index and later calls MarkFree(from) as for any chunk. A damaged record is not copied:
  // `damaged` (if its identity can be read) lets the user have it repaired from a peer, and free
  // its place. An error of any of these ends the evacuation, what was moved stays moved. Blocks:
  // not for a strand nor a completion. FAILED_PRECONDITION if the extent is open or free.
  struct Evacuation {
    std::function<absl::StatusOr<bool>(const ChunkIdentity&, const ChunkLocation&)> is_live;
    std::function<absl::Status(const ChunkIdentity&, const ChunkLocation& from,
                               const ChunkLocation& to)>
        moved;
    std::function<absl::Status(const ChunkIdentity&, const ChunkLocation&)> damaged;
  };
  virtual absl::Status Evacuate(uint32_t extent, const Evacuation& evacuation) = 0;

  // Of all batches written.
  virtual SyncCounts syncs() const = 0;
  // Not OK once out of service.
  virtual absl::Status health() const = 0;
};

// The extents worth evacuating, in the order given: not open, with live bytes, and a garbage ratio
// of at least `threshold`.
std::vector<uint32_t> EvacuationCandidates(const std::vector<ExtentInfo>& extents,
                                           double threshold);

}  // namespace meridian::storage
