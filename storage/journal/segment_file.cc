#include "storage/journal/segment_file.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/status.h"

namespace meridian::storage {
namespace {

using journal_format::BlockOfStreamOffset;
using journal_format::kBlockBytes;
using journal_format::kBlockHeaderBytes;
using journal_format::kBlockPayloadBytes;
using journal_format::SegmentHeader;

constexpr OpenOptions kDurableWrites = {.direct = true, .durable = true};

absl::StatusOr<SegmentHeader> ReadHeader(const File& file, const std::string& path) {
  std::string block(kBlockBytes, '\0');
  ASSIGN_OR_RETURN(const size_t read, file.Read(0, block));
  block.resize(read);
  absl::StatusOr<SegmentHeader> header = journal_format::DecodeSegmentHeader(block);
  if (!header.ok()) return Annotate(header.status(), path);
  return header;
}

}  // namespace

std::string SegmentFile::NameOf(uint32_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "%08u.seg", number);
  return name;
}

std::optional<uint32_t> SegmentFile::NumberOf(const std::string& name) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || name != NameOf(number)) return std::nullopt;
  return number;
}

SegmentFile::SegmentFile(std::unique_ptr<File> file, SegmentHeader header)
    : file_(std::move(file)),
      header_(std::move(header)),
      format_(header_.disk_id, header_.segment) {}

absl::StatusOr<std::shared_ptr<SegmentFile>> SegmentFile::Create(Disk& disk, const std::string& dir,
                                                                 uint32_t number,
                                                                 const DiskId& disk_id,
                                                                 uint32_t segment_bytes) {
  const std::string path = dir + "/" + NameOf(number);
  const std::string aside = path + ".new";
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.Open(aside, {.create = true}));
    absl::Status reserved = file->Preallocate(segment_bytes, /*fill=*/true);
    if (!reserved.ok()) {
      // The removal's own failure would be told by the disk's health.
      if (absl::IsResourceExhausted(reserved)) RETURN_IF_ERROR(disk.Remove(aside));
      return Annotate(reserved, "make a journal segment");
    }
    const SegmentHeader unused{.segment = number,
                               .disk_id = disk_id,
                               .segment_bytes = segment_bytes,
                               .salt = std::string(kSegmentSaltBytes, '\0')};
    RETURN_IF_ERROR(file->Write(0, journal_format::EncodeSegmentHeader(unused)));
    RETURN_IF_ERROR(file->Sync());
  }
  RETURN_IF_ERROR(disk.Rename(aside, path));
  RETURN_IF_ERROR(disk.SyncDir(dir));
  return Open(disk, dir, number, disk_id);
}

absl::StatusOr<std::shared_ptr<SegmentFile>> SegmentFile::Open(Disk& disk, const std::string& dir,
                                                               uint32_t number,
                                                               const DiskId& disk_id) {
  const std::string path = dir + "/" + NameOf(number);
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, disk.Open(path, kDurableWrites));
  ASSIGN_OR_RETURN(SegmentHeader header, ReadHeader(*file, path));
  if (header.disk_id != disk_id) {
    return absl::FailedPreconditionError(path + " belongs to disk " + header.disk_id.ToHex() +
                                         ", this is disk " + disk_id.ToHex());
  }
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (header.segment != number || header.segment_bytes != size) {
    return absl::DataLossError(path + " is not the file that its header tells of");
  }
  return std::shared_ptr<SegmentFile>(new SegmentFile(std::move(file), std::move(header)));
}

absl::Status SegmentFile::WriteHeader(const SegmentHeader& header) {
  const std::string block = journal_format::EncodeSegmentHeader(header);
  AlignedBuffer unit(kDirectUnitBytes);
  std::memcpy(unit.data(), block.data(), block.size());
  RETURN_IF_ERROR(file_->Write(0, unit.view(0, unit.size())));
  header_ = header;
  return absl::OkStatus();
}

absl::Status SegmentFile::WriteBlocks(uint32_t first_block, std::string_view bytes) {
  return file_->Write(uint64_t{first_block} * kBlockBytes, bytes);
}

absl::StatusOr<std::string> SegmentFile::ReadBlocks(uint32_t first_block, uint32_t count) const {
  std::string bytes(count * kBlockBytes, '\0');
  ASSIGN_OR_RETURN(const size_t read, file_->Read(uint64_t{first_block} * kBlockBytes, bytes));
  if (read != bytes.size()) {
    return absl::DataLossError("journal segment " + std::to_string(number()) + " is cut short");
  }
  return bytes;
}

absl::StatusOr<Buffer> ReadRecord(const SegmentLife& life, const RecordLocation& location) {
  const std::string where = "journal segment " + std::to_string(location.segment) + " life " +
                            std::to_string(location.life) + " offset " +
                            std::to_string(location.offset);
  const uint64_t size = uint64_t{location.length} + journal_format::kRecordOverheadBytes;
  const uint64_t end_of_stream = journal_format::StreamOffset(life.file->block_count());
  if (location.offset > end_of_stream || size > end_of_stream - location.offset) {
    return absl::DataLossError(where + ": beyond the segment");
  }
  const uint32_t first = BlockOfStreamOffset(location.offset);
  const uint32_t count = BlockOfStreamOffset(location.offset + size - 1) - first + 1;
  ASSIGN_OR_RETURN(const std::string blocks, life.file->ReadBlocks(first, count));
  std::string record;
  record.reserve(count * kBlockPayloadBytes);
  for (uint32_t i = 0; i < count; ++i) {
    const std::string_view block = std::string_view(blocks).substr(i * kBlockBytes, kBlockBytes);
    const auto info = life.file->format().Check(first + i, block);
    if (!info || info->life != life.header.life) {
      return absl::DataLossError(where + ": block " + std::to_string(first + i) + " is damaged");
    }
    record.append(block.substr(kBlockHeaderBytes));
  }
  const std::string_view framed =
      std::string_view(record).substr(location.offset % kBlockPayloadBytes, size);
  ASSIGN_OR_RETURN(const journal_format::RecordHeader header,
                   journal_format::DecodeRecordHeader(framed));
  if (header.length != location.length) {
    return absl::DataLossError(where + ": another record is there");
  }
  std::string payload(framed.size() - journal_format::kRecordHeaderBytes, '\0');
  const absl::Status opened =
      life.sealer->Open(header.sequence, framed.substr(0, journal_format::kRecordHeaderBytes),
                        framed.substr(journal_format::kRecordHeaderBytes), payload.data());
  if (!opened.ok()) return Annotate(opened, where);
  payload.resize(location.length);
  return Buffer::FromString(std::move(payload));
}

}  // namespace meridian::storage
