// An entry of a group's log, as replication orders it and storage keeps it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/buffer.h"
#include "base/id.h"
#include "base/strong_int.h"

namespace meridian::storage {

// Chunk numbers [first, first + count) of one run.
struct ChunkRange {
  RunId run;
  uint32_t first = 0;
  uint32_t count = 0;
  bool operator==(const ChunkRange&) const = default;
};

struct ChunkId {
  RunId run;
  uint32_t number = 0;
  auto operator<=>(const ChunkId&) const = default;
};

struct LogEntry {
  // Stored on disk and sent between nodes: never renumber.
  enum class Kind : uint8_t {
    kCommand = 1,     // for the state machine
    kEpochStart = 2,  // an epoch's first entry; earlier entries commit through it
  };

  Epoch epoch;
  LogIndex index;
  Timestamp timestamp;
  Kind kind = Kind::kCommand;
  // Opaque to replication: the encoded proto meridian.internal.v1.Command.
  std::string command;
  // Ciphertext of a small body, carried in the log: chunk 0 of `inline_run`. Empty if there is
  // none.
  Buffer inline_body;
  RunId inline_run;
  uint32_t inline_crc32c = 0;
  // Chunks that this entry references, other than the inline one: a replica acknowledges the entry
  // only when it durably holds them all (I4).
  std::vector<ChunkRange> chunks;
};

}  // namespace meridian::storage
