#include "storage/journal/format.h"

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "base/crc32c.h"
#include "storage/little_endian.h"

namespace meridian::storage::journal_format {
namespace {

constexpr uint32_t kSegmentMagic = 0x4753'4a4d;  // "MJSG"
constexpr uint32_t kGroupMagic = 0x5247'4a4d;    // "MJGR"
constexpr size_t kIdBytes = DiskId::kSize;

absl::Status LaterVersion(uint32_t version) {
  return absl::FailedPreconditionError("the journal is of format version " +
                                       std::to_string(version) + ", this program reads up to " +
                                       std::to_string(kVersion));
}

void PutId(char* at, std::string_view id) { std::memcpy(at, id.data(), id.size()); }

}  // namespace

std::string EncodeSegmentHeader(const SegmentHeader& header) {
  CHECK_INVARIANT(header.salt.size() == kSegmentSaltBytes, "a segment's salt has a fixed size");
  std::string block(kBlockBytes, '\0');
  char* p = block.data();
  PutLittleEndian(p + 4, kSegmentMagic);
  PutLittleEndian(p + 8, kVersion);
  PutLittleEndian(p + 12, header.segment);
  PutId(p + 16, header.disk_id.bytes());
  PutLittleEndian(p + 32, header.life);
  PutLittleEndian(p + 40, header.previous_life);
  PutLittleEndian(p + 48, header.first_group);
  PutLittleEndian(p + 56, header.previous_digest);
  PutLittleEndian(p + 60, header.segment_bytes);
  PutLittleEndian(p + 64, header.oldest_life);
  PutLittleEndian(p + 72, header.written_blocks);
  PutId(p + 80, header.salt);
  PutLittleEndian(p, Crc32c(std::string_view(block).substr(4)));
  return block;
}

absl::StatusOr<SegmentHeader> DecodeSegmentHeader(std::string_view block) {
  if (block.size() != kBlockBytes) return absl::DataLossError("segment header cut short");
  const char* p = block.data();
  if (GetLittleEndian<uint32_t>(p) != Crc32c(block.substr(4)) ||
      GetLittleEndian<uint32_t>(p + 4) != kSegmentMagic) {
    return absl::DataLossError("segment header damaged");
  }
  const auto version = GetLittleEndian<uint32_t>(p + 8);
  if (version > kVersion) return LaterVersion(version);
  SegmentHeader header;
  header.segment = GetLittleEndian<uint32_t>(p + 12);
  header.disk_id = *DiskId::FromBytes(block.substr(16, kIdBytes));
  header.life = GetLittleEndian<uint64_t>(p + 32);
  header.previous_life = GetLittleEndian<uint64_t>(p + 40);
  header.first_group = GetLittleEndian<uint64_t>(p + 48);
  header.previous_digest = GetLittleEndian<uint32_t>(p + 56);
  header.segment_bytes = GetLittleEndian<uint32_t>(p + 60);
  header.oldest_life = GetLittleEndian<uint64_t>(p + 64);
  header.written_blocks = GetLittleEndian<uint32_t>(p + 72);
  header.salt = std::string(block.substr(80, kSegmentSaltBytes));
  return header;
}

void EncodeGroupHeader(const GroupHeader& header, char* out) {
  std::memset(out, 0, kGroupHeaderBytes);
  PutLittleEndian(out, kGroupMagic);
  PutLittleEndian(out + 4, static_cast<uint16_t>(kVersion));
  PutLittleEndian(out + 8, header.block_count);
  PutLittleEndian(out + 12, header.record_bytes);
  PutLittleEndian(out + 16, header.record_count);
  PutLittleEndian(out + 20, header.previous_digest);
  PutLittleEndian(out + 24, header.durable_group);
}

absl::StatusOr<GroupHeader> DecodeGroupHeader(std::string_view bytes) {
  if (bytes.size() < kGroupHeaderBytes || GetLittleEndian<uint32_t>(bytes.data()) != kGroupMagic) {
    return absl::DataLossError("no group header");
  }
  const char* p = bytes.data();
  const auto version = GetLittleEndian<uint16_t>(p + 4);
  if (version > kVersion) return LaterVersion(version);
  return GroupHeader{.block_count = GetLittleEndian<uint32_t>(p + 8),
                     .record_bytes = GetLittleEndian<uint32_t>(p + 12),
                     .record_count = GetLittleEndian<uint32_t>(p + 16),
                     .previous_digest = GetLittleEndian<uint32_t>(p + 20),
                     .durable_group = GetLittleEndian<uint64_t>(p + 24)};
}

void EncodeRecordHeader(const RecordHeader& header, char* out) {
  std::memset(out, 0, kRecordHeaderBytes);
  PutLittleEndian(out, header.type);
  PutLittleEndian(out + 1, static_cast<uint8_t>(kVersion));
  PutLittleEndian(out + 4, header.length);
  PutLittleEndian(out + 8, header.sequence);
  PutId(out + 16, header.owner.bytes());
}

absl::StatusOr<RecordHeader> DecodeRecordHeader(std::string_view bytes) {
  if (bytes.size() < kRecordHeaderBytes) return absl::DataLossError("record header cut short");
  const char* p = bytes.data();
  const auto version = GetLittleEndian<uint8_t>(p + 1);
  if (version > kVersion) return LaterVersion(version);
  if (p[0] == 0 || version == 0) return absl::DataLossError("no record header");
  return RecordHeader{.type = GetLittleEndian<uint8_t>(p),
                      .length = GetLittleEndian<uint32_t>(p + 4),
                      .sequence = GetLittleEndian<uint64_t>(p + 8),
                      .owner = *ReplicaId::FromBytes(bytes.substr(16, kIdBytes))};
}

BlockFormat::BlockFormat(const DiskId& disk, uint32_t segment) {
  char number[4];
  PutLittleEndian(number, segment);
  seed_ = Crc32c({number, sizeof(number)}, Crc32c(disk.bytes()));
}

uint32_t BlockFormat::Finish(uint32_t block_number, uint64_t life, uint64_t group,
                             char* block) const {
  PutLittleEndian(block + 4, block_number);
  PutLittleEndian(block + 8, life);
  PutLittleEndian(block + 16, group);
  const uint32_t crc32c = Crc32c({block + 4, kBlockBytes - 4}, seed_);
  PutLittleEndian(block, crc32c);
  return crc32c;
}

std::optional<BlockFormat::Info> BlockFormat::Check(uint32_t block_number,
                                                    std::string_view block) const {
  if (block.size() != kBlockBytes) return std::nullopt;
  const auto crc32c = GetLittleEndian<uint32_t>(block.data());
  if (crc32c != Crc32c(block.substr(4), seed_)) return std::nullopt;
  if (GetLittleEndian<uint32_t>(block.data() + 4) != block_number) return std::nullopt;
  return Info{.crc32c = crc32c,
              .life = GetLittleEndian<uint64_t>(block.data() + 8),
              .group = GetLittleEndian<uint64_t>(block.data() + 16)};
}

bool IsBlank(std::string_view block) {
  return std::all_of(block.begin(), block.end(), [](char c) { return c == 0; });
}

uint32_t ExtendDigest(uint32_t digest, uint32_t block_crc32c) {
  char bytes[4];
  PutLittleEndian(bytes, block_crc32c);
  return Crc32c({bytes, sizeof(bytes)}, digest);
}

}  // namespace meridian::storage::journal_format
