// One segment file and one life of it.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "storage/aligned_buffer.h"
#include "storage/disk.h"
#include "storage/journal/format.h"
#include "storage/journal/journal.h"
#include "storage/record_sealer.h"

namespace meridian::storage {

// Thread-safe where blocks read and written do not overlap.
class SegmentFile {
 public:
  // Makes a file of that number, never used, durable with its name. RESOURCE_EXHAUSTED leaves
  // nothing behind.
  static absl::StatusOr<std::shared_ptr<SegmentFile>> Create(Disk& disk, const std::string& dir,
                                                             uint32_t number, const DiskId& disk_id,
                                                             uint32_t segment_bytes);
  // DATA_LOSS if its header is damaged, FAILED_PRECONDITION if it is another disk's.
  static absl::StatusOr<std::shared_ptr<SegmentFile>> Open(Disk& disk, const std::string& dir,
                                                           uint32_t number, const DiskId& disk_id);
  static std::string NameOf(uint32_t number);
  // The number in a file's name; nullopt if it is not a segment's.
  static std::optional<uint32_t> NumberOf(const std::string& name);

  // The header as it is on disk.
  const journal_format::SegmentHeader& header() const { return header_; }
  const journal_format::BlockFormat& format() const { return format_; }
  uint32_t number() const { return header_.segment; }
  uint32_t block_count() const {
    return header_.segment_bytes / static_cast<uint32_t>(journal_format::kBlockBytes);
  }

  // Begins a life: durable at return. Nobody reads the file's earlier life any more.
  absl::Status WriteHeader(const journal_format::SegmentHeader& header);
  // Durable at return.
  absl::Status WriteBlocks(uint32_t first_block, std::string_view bytes);
  // UNAVAILABLE if the disk cannot read them.
  absl::StatusOr<std::string> ReadBlocks(uint32_t first_block, uint32_t count) const;

 private:
  SegmentFile(std::unique_ptr<File> file, journal_format::SegmentHeader header);

  const std::unique_ptr<File> file_;
  journal_format::SegmentHeader header_;
  const journal_format::BlockFormat format_;
};

// A life of a segment that is in use. All but `end_block` is immutable.
struct SegmentLife {
  std::shared_ptr<SegmentFile> file;
  journal_format::SegmentHeader header;
  std::shared_ptr<RecordSealer> sealer;
  // The block after the last group; of a life that recovery had no need to scan, the first one.
  uint32_t end_block = journal_format::kFirstGroupBlock;
};

// The payload of a record, verified. DATA_LOSS if it is not there, UNAVAILABLE if unreadable.
absl::StatusOr<Buffer> ReadRecord(const SegmentLife& life, const RecordLocation& location);

}  // namespace meridian::storage
