// Reads chunks and log entries from wherever the index says they are.
#pragma once

#include <atomic>
#include <cstdint>

#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "storage/extents/extent_store.h"
#include "storage/journal/journal.h"
#include "storage/store/disk_index.h"

namespace meridian::storage {

// Thread-safe. All outlive it.
class DataReader {
 public:
  DataReader(const DiskIndex& index, const Journal& journal, const ExtentStore& extents)
      : index_(index), journal_(journal), extents_(extents) {}

  // Bytes [offset, offset + size) of a chunk, verified as a whole (I10). NOT_FOUND: no row names
  // it; DATA_LOSS: damaged; OUT_OF_RANGE beyond its end.
  absl::StatusOr<Buffer> ReadChunk(ContainerId container, ChunkId chunk, size_t offset,
                                   size_t size) const;
  // NOT_FOUND: no row names it (any more).
  absl::StatusOr<LogEntry> ReadEntry(const ReplicaOnDisk& replica, LogIndex index) const;
  // The body that `row`, which says kJournal, places in an entry's record.
  absl::StatusOr<Buffer> ReadBody(const ChunkRow& row) const;

  void CountCorrupt() const { ++corrupt_; }
  uint64_t corrupt() const { return corrupt_; }

 private:
  absl::StatusOr<Buffer> ReadPlace(ContainerId container, ChunkId chunk, const ChunkRow& row,
                                   size_t offset, size_t size) const;
  absl::StatusOr<LogEntry> ReadRow(ContainerId container, const LogRow& row) const;

  const DiskIndex& index_;
  const Journal& journal_;
  const ExtentStore& extents_;
  mutable std::atomic<uint64_t> corrupt_{0};
};

}  // namespace meridian::storage
