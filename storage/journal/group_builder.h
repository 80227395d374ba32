// Builds the image of one group: what one write makes durable.
#pragma once

#include <cstdint>
#include <string>

#include "storage/aligned_buffer.h"
#include "storage/journal/format.h"
#include "storage/journal/journal.h"
#include "storage/record_sealer.h"

namespace meridian::storage {

// The payload's size.
uint64_t PayloadBytes(const JournalRecord& record);

// Used once, by one thread.
class GroupBuilder {
 public:
  // A group at `first_block` for records of `record_bytes` in all, framing included.
  GroupBuilder(const journal_format::BlockFormat& format, uint32_t first_block,
               uint64_t record_bytes);

  // Seals a record into the group; returns its offset in the life's stream. `sequence` is above
  // that of every record before in this life.
  uint64_t Add(const JournalRecord& record, uint64_t sequence, RecordSealer& sealer);

  struct Group {
    uint64_t life = 0;
    uint64_t number = 0;
    uint32_t previous_digest = 0;
  };
  // Completes the image. All the bytes announced must have been added. Returns the new digest.
  uint32_t Finish(const Group& group);

  std::string_view image() const { return image_.view(0, image_.size()); }
  uint32_t block_count() const { return block_count_; }

 private:
  // Adds bytes to the stream of the blocks' payloads.
  void Put(std::string_view bytes);

  const journal_format::BlockFormat& format_;
  const uint32_t first_block_;
  const uint64_t record_bytes_;
  const uint32_t block_count_;
  AlignedBuffer image_;
  uint64_t position_ = journal_format::kGroupHeaderBytes;  // in the group's stream
  uint32_t record_count_ = 0;
  std::string scratch_;  // a sealed record, before it is cut into blocks
};

}  // namespace meridian::storage
