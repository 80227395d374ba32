// How far the scrub of a disk is: a small file on the disk, so that a restart goes on with the
// pass.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"

namespace meridian::storage {

// The file "scrub":
//   magic "MRDNSCRB" version(4) phase(1) table(8) table_limit(8) chunk_size(1) chunk
//   pass_begin(8) last_pass_end(8) verified_bytes(8) total_bytes(8) corrupt(8) corrupt_before(8)
//   crc32c(4) of all before
// version := 1. Integers are little endian; times are microseconds since 1970, 0 if there is none.
struct ScrubState {
  // Never renumber. A pass goes through them in this order.
  enum class Phase : uint8_t { kResting = 0, kTables = 1, kLog = 2, kChunks = 3 };

  Phase phase = Phase::kResting;
  // The files of rows up to this number are verified; those from the limit on are newer than the
  // pass.
  uint64_t table = 0;
  uint64_t table_limit = 0;
  std::string chunk;  // key of the row of the last chunk verified; empty: none
  uint64_t pass_begin_us = 0;
  uint64_t last_pass_end_us = 0;
  uint64_t verified_bytes = 0;
  uint64_t total_bytes = 0;  // an estimate
  uint64_t corrupt = 0;
  uint64_t corrupt_before = 0;
  bool operator==(const ScrubState&) const = default;
};

std::string EncodeScrubState(const ScrubState& state);
// DATA_LOSS if damaged; FAILED_PRECONDITION if of a newer version.
absl::StatusOr<ScrubState> DecodeScrubState(std::string_view bytes);

}  // namespace meridian::storage
