// Opens the segments of a journal after a crash or a shutdown: which lives are in use, what they
// hold, and where the journal ends (P9).
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "storage/journal/journal.h"
#include "storage/journal/segment_file.h"

namespace meridian::storage {

// A file that no life in use needs.
struct FreeSegment {
  std::shared_ptr<SegmentFile> file;
  // Blocks below have been written at some time.
  uint32_t written_blocks = 0;
};

// Blocks of the file that cannot be blank any more when this life ends.
uint32_t WrittenBlocks(const SegmentLife& life);

struct RecoveredJournal {
  std::vector<std::shared_ptr<SegmentLife>> lives;  // in order; none of them is appended to
  std::vector<FreeSegment> free;
  uint32_t next_number = 1;  // of a new file
  // What the next life continues.
  uint64_t last_life = 0;
  uint64_t next_life = 1;
  GroupNumber next_group = 1;
  uint32_t digest = 0;
};

// See Journal::Open. The folder exists.
absl::StatusOr<RecoveredJournal> RecoverJournal(Disk& disk, const RecordSealerFactory& sealers,
                                                const JournalOptions& options,
                                                const Journal::Visitor& visitor);

}  // namespace meridian::storage
