#include "storage/extents/format.h"

#include <cstring>

#include "base/crc32c.h"
#include "storage/little_endian.h"

namespace meridian::storage::extent_format {
namespace {

constexpr uint32_t kFileMagic = 0x4658'454d;    // "MEXF"
constexpr uint32_t kRecordMagic = 0x5258'454d;  // "MEXR"
constexpr size_t kIdBytes = DiskId::kSize;

absl::Status LaterVersion(uint32_t version) {
  return absl::FailedPreconditionError("the extents are of format version " +
                                       std::to_string(version) + ", this program reads up to " +
                                       std::to_string(kVersion));
}

void PutId(char* at, std::string_view id) { std::memcpy(at, id.data(), id.size()); }

}  // namespace

std::string EncodeFileHeader(const FileHeader& header) {
  std::string bytes(kFileHeaderBytes, '\0');
  char* p = bytes.data();
  PutLittleEndian(p + 4, kFileMagic);
  PutLittleEndian(p + 8, kVersion);
  PutLittleEndian(p + 12, header.extent);
  PutId(p + 16, header.disk_id.bytes());
  PutLittleEndian(p + 32, header.generation);
  PutLittleEndian(p + 40, header.size_bytes);
  PutLittleEndian(p, Crc32c(std::string_view(bytes).substr(4)));
  return bytes;
}

absl::StatusOr<FileHeader> DecodeFileHeader(std::string_view bytes) {
  if (bytes.size() < kFileHeaderBytes) return absl::DataLossError("extent header cut short");
  const char* p = bytes.data();
  if (GetLittleEndian<uint32_t>(p) != Crc32c(bytes.substr(4, kFileHeaderBytes - 4)) ||
      GetLittleEndian<uint32_t>(p + 4) != kFileMagic) {
    return absl::DataLossError("extent header damaged");
  }
  const auto version = GetLittleEndian<uint32_t>(p + 8);
  if (version > kVersion) return LaterVersion(version);
  return FileHeader{.extent = GetLittleEndian<uint32_t>(p + 12),
                    .disk_id = *DiskId::FromBytes(bytes.substr(16, kIdBytes)),
                    .generation = GetLittleEndian<uint64_t>(p + 32),
                    .size_bytes = GetLittleEndian<uint64_t>(p + 40)};
}

void EncodeRecordHeader(const DiskId& disk, const RecordHeader& header, char* out) {
  std::memset(out, 0, kRecordHeaderBytes);
  PutLittleEndian(out + 4, kRecordMagic);
  PutLittleEndian(out + 8, static_cast<uint16_t>(kVersion));
  PutLittleEndian(out + 12, header.location.extent);
  PutLittleEndian(out + 16, header.location.generation);
  PutLittleEndian(out + 24, header.location.offset);
  PutId(out + 32, header.identity.container.bytes());
  PutId(out + 48, header.identity.chunk.run.bytes());
  PutLittleEndian(out + 64, header.identity.chunk.number);
  PutLittleEndian(out + 68, header.location.length);
  PutLittleEndian(out + 72, header.identity.crc32c);
  PutLittleEndian(out, Crc32c({out + 4, kRecordHeaderBytes - 4}, Crc32c(disk.bytes())));
}

absl::StatusOr<RecordHeader> DecodeRecordHeader(const DiskId& disk, std::string_view bytes) {
  if (bytes.size() < kRecordHeaderBytes) return absl::DataLossError("chunk record cut short");
  const char* p = bytes.data();
  const uint32_t crc32c = Crc32c(bytes.substr(4, kRecordHeaderBytes - 4), Crc32c(disk.bytes()));
  if (GetLittleEndian<uint32_t>(p) != crc32c || GetLittleEndian<uint32_t>(p + 4) != kRecordMagic) {
    return absl::DataLossError("chunk record damaged");
  }
  const auto version = GetLittleEndian<uint16_t>(p + 8);
  if (version > kVersion) return LaterVersion(version);
  return RecordHeader{
      .identity = {.container = *ContainerId::FromBytes(bytes.substr(32, kIdBytes)),
                   .chunk = {.run = *RunId::FromBytes(bytes.substr(48, kIdBytes)),
                             .number = GetLittleEndian<uint32_t>(p + 64)},
                   .crc32c = GetLittleEndian<uint32_t>(p + 72)},
      .location = {.extent = GetLittleEndian<uint32_t>(p + 12),
                   .generation = GetLittleEndian<uint64_t>(p + 16),
                   .offset = GetLittleEndian<uint64_t>(p + 24),
                   .length = GetLittleEndian<uint32_t>(p + 68)},
  };
}

}  // namespace meridian::storage::extent_format
