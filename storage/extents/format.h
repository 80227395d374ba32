// The bytes of an extent. Integers are little endian.
//
//   extent := file_header zero* record*               records begin at multiples of 4096
//   file_header := crc32c:4 magic:4 version:4 extent:4 disk_id:16 generation:8 size_bytes:8
//   zero{464} record := record_header ciphertext zero* record_header := crc32c:4 magic:4 version:2
//   reserved:2 extent:4 generation:8 offset:8
//                    container:16 run:16 chunk_number:4 length:4 ciphertext_crc32c:4 reserved:4
//
// A header's CRC covers all of the header after it; a record's is seeded with the disk's id. So the
// record's checksum binds the ciphertext (by its own CRC) to what it is and to where it lies: a
// block of another disk, file, generation or offset, or of another chunk, does not verify (P19,
// I10).
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "storage/aligned_buffer.h"
#include "storage/extents/extent_store.h"

namespace meridian::storage::extent_format {

inline constexpr uint32_t kVersion = 1;
inline constexpr size_t kFileHeaderBytes = 512;  // a sector: written whole or not at all
inline constexpr size_t kRecordHeaderBytes = 80;
inline constexpr uint64_t kFirstRecordOffset = kDirectUnitBytes;

struct FileHeader {
  uint32_t extent = 0;
  DiskId disk_id;
  uint64_t generation = 0;  // 0: made, and never used
  uint64_t size_bytes = 0;

  bool operator==(const FileHeader&) const = default;
};

std::string EncodeFileHeader(const FileHeader& header);
// DATA_LOSS if damaged; FAILED_PRECONDITION if of a later version.
absl::StatusOr<FileHeader> DecodeFileHeader(std::string_view bytes);

struct RecordHeader {
  ChunkIdentity identity;
  ChunkLocation location;

  bool operator==(const RecordHeader&) const = default;
};

// Writes kRecordHeaderBytes.
void EncodeRecordHeader(const DiskId& disk, const RecordHeader& header, char* out);
// DATA_LOSS if there is no undamaged record of this disk.
absl::StatusOr<RecordHeader> DecodeRecordHeader(const DiskId& disk, std::string_view bytes);

// What a record takes in its file.
inline uint64_t RecordBytes(uint32_t length) {
  return RoundUpToDirectUnit(kRecordHeaderBytes + uint64_t{length});
}

}  // namespace meridian::storage::extent_format
