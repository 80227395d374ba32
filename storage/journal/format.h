// The bytes of the journal (P9). Integers are little endian.
//
// A segment file is a row of blocks of 512 bytes, the unit that a disk writes whole or not at all:
//
//   segment := header_unit group*
//   header_unit := segment_header zero{3584}             8 blocks; only the first one is checked
//   group := block{8n}                                   written by one write, made durable by it
//   block := crc32c:4 block_number:4 life:8 group:8 payload:488
//
// A block's CRC covers all that follows it, seeded with the disk's id and the segment's number: a
// block of another disk, file or place does not verify. Every block ever written verifies, so that
// after a torn write each one is a new or an old one, and what is neither is corruption.
//
// The payloads of a group's blocks, one after the other, are:
//
//   group_payload := group_header record{record_count} zero*
//   group_header := magic:4 version:2 reserved:2 block_count:4 record_bytes:4 record_count:4
//                   previous_digest:4 durable_group:8
//   record := record_header sealed:(length + 16)
//   record_header := type:1 version:1 reserved:2 length:4 sequence:8 owner:16
//
// `previous_digest` is the running CRC-32C over the block CRCs of every group before, across lives.
// `durable_group` is the highest group known durable when this one was written. `sealed` is the
// payload, encrypted under the life's key with `sequence` as nonce and the record header as AAD.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "storage/record_sealer.h"

namespace meridian::storage::journal_format {

inline constexpr size_t kBlockBytes = 512;
inline constexpr size_t kBlockHeaderBytes = 24;
inline constexpr size_t kBlockPayloadBytes = kBlockBytes - kBlockHeaderBytes;
// Groups begin and end at multiples of this: a unit of direct I/O.
inline constexpr uint32_t kBlocksPerUnit = 8;
inline constexpr uint32_t kFirstGroupBlock = kBlocksPerUnit;
inline constexpr size_t kGroupHeaderBytes = 32;
inline constexpr size_t kRecordHeaderBytes = 32;
inline constexpr size_t kRecordOverheadBytes = kRecordHeaderBytes + RecordSealer::kTagBytes;
inline constexpr uint32_t kVersion = 1;

// The first block of a segment. Written when a life begins, before any group of it.
//   crc32c:4 magic:4 version:4 segment:4 disk_id:16 life:8 previous_life:8 first_group:8
//   previous_digest:4 segment_bytes:4 oldest_life:8 written_blocks:4 reserved:4 salt:32 zero*
struct SegmentHeader {
  uint32_t segment = 0;
  DiskId disk_id;
  uint64_t life = 0;           // 0: made, and never used
  uint64_t previous_life = 0;  // the one that this life continues; 0: the journal's first
  uint64_t first_group = 0;
  uint32_t previous_digest = 0;
  uint32_t segment_bytes = 0;
  // The oldest life in use when this one began. All lives before are released.
  uint64_t oldest_life = 0;
  // Blocks below were written in an earlier life of the file: none of them can be blank.
  uint32_t written_blocks = 0;
  std::string salt;  // kSegmentSaltBytes

  bool operator==(const SegmentHeader&) const = default;
};

// One block.
std::string EncodeSegmentHeader(const SegmentHeader& header);
// DATA_LOSS if damaged; FAILED_PRECONDITION if of a later version.
absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view block);

struct GroupHeader {
  uint32_t block_count = 0;
  uint32_t record_bytes = 0;
  uint32_t record_count = 0;
  uint32_t previous_digest = 0;
  uint64_t durable_group = 0;

  bool operator==(const GroupHeader&) const = default;
};

void EncodeGroupHeader(const GroupHeader& header, char* out);
absl::StatusOr<GroupHeader> DecodeGroupHeader(std::string_view bytes);

struct RecordHeader {
  uint8_t type = 0;
  uint32_t length = 0;
  uint64_t sequence = 0;
  ReplicaId owner;

  bool operator==(const RecordHeader&) const = default;
};

void EncodeRecordHeader(const RecordHeader& header, char* out);
absl::StatusOr<RecordHeader> DecodeRecordHeader(std::string_view bytes);

// Writes and checks the blocks of one segment file.
class BlockFormat {
 public:
  BlockFormat(const DiskId& disk, uint32_t segment);

  struct Info {
    uint32_t crc32c = 0;
    uint64_t life = 0;
    uint64_t group = 0;
  };

  // Completes a block whose payload is in place. Returns its CRC.
  uint32_t Finish(uint32_t block_number, uint64_t life, uint64_t group, char* block) const;
  // nullopt if it is not a block of this file at this place.
  std::optional<Info> Check(uint32_t block_number, std::string_view block) const;

 private:
  uint32_t seed_;
};

// All zeros: never written.
bool IsBlank(std::string_view block);

// Positions in a life's stream of payload bytes, which begins with the first group's block.
inline uint64_t StreamOffset(uint32_t block) {
  return uint64_t{block - kFirstGroupBlock} * kBlockPayloadBytes;
}
inline uint32_t BlockOfStreamOffset(uint64_t offset) {
  return kFirstGroupBlock + static_cast<uint32_t>(offset / kBlockPayloadBytes);
}

// Blocks that a group with so many payload bytes takes, its header included.
inline uint32_t BlocksOfGroup(uint64_t record_bytes) {
  const uint64_t blocks =
      (kGroupHeaderBytes + record_bytes + kBlockPayloadBytes - 1) / kBlockPayloadBytes;
  return static_cast<uint32_t>((blocks + kBlocksPerUnit - 1) / kBlocksPerUnit * kBlocksPerUnit);
}

// The digest after a group of blocks with these CRCs is this function applied to each in turn.
uint32_t ExtendDigest(uint32_t digest, uint32_t block_crc32c);

}  // namespace meridian::storage::journal_format
