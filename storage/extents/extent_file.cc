#include "storage/extents/extent_file.h"

#include <charconv>
#include <cstdio>
#include <cstring>
#include <utility>

#include "base/crc32c.h"
#include "base/status.h"
#include "storage/aligned_buffer.h"

namespace meridian::storage {
namespace {

using extent_format::FileHeader;
using extent_format::kFileHeaderBytes;
using extent_format::kRecordHeaderBytes;
using extent_format::RecordHeader;

std::string Where(const ChunkLocation& at) {
  return "extent " + std::to_string(at.extent) + " generation " + std::to_string(at.generation) +
         " offset " + std::to_string(at.offset);
}

absl::Status WriteFileHeader(File& file, const FileHeader& header) {
  const std::string bytes = extent_format::EncodeFileHeader(header);
  AlignedBuffer unit(kDirectUnitBytes);
  std::memcpy(unit.data(), bytes.data(), bytes.size());
  RETURN_IF_ERROR(file.Write(0, unit.view(0, unit.size())));
  return file.Sync();
}

}  // namespace

std::string ExtentFile::NameOf(uint32_t number) {
  char name[32];
  std::snprintf(name, sizeof(name), "%08u.ext", number);
  return name;
}

std::optional<uint32_t> ExtentFile::NumberOf(const std::string& name) {
  uint32_t number = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + name.size(), number);
  if (error != std::errc() || name != NameOf(number)) return std::nullopt;
  return number;
}

absl::StatusOr<std::shared_ptr<ExtentFile>> ExtentFile::Create(Disk& disk, const std::string& dir,
                                                               const FileHeader& header) {
  const std::string path = dir + "/" + NameOf(header.extent);
  const std::string aside = path + ".new";
  {
    ASSIGN_OR_RETURN(const std::unique_ptr<File> file, disk.Open(aside, {.create = true}));
    const absl::Status reserved = file->Preallocate(header.size_bytes, /*fill=*/false);
    if (!reserved.ok()) {
      if (absl::IsResourceExhausted(reserved)) RETURN_IF_ERROR(disk.Remove(aside));
      return Annotate(reserved, "make an extent");
    }
    RETURN_IF_ERROR(WriteFileHeader(*file, header));
  }
  RETURN_IF_ERROR(disk.Rename(aside, path));
  RETURN_IF_ERROR(disk.SyncDir(dir));
  return Open(disk, dir, header.extent, header.disk_id);
}

absl::StatusOr<std::shared_ptr<ExtentFile>> ExtentFile::Open(Disk& disk, const std::string& dir,
                                                             uint32_t number,
                                                             const DiskId& disk_id) {
  const std::string path = dir + "/" + NameOf(number);
  ASSIGN_OR_RETURN(std::unique_ptr<File> file, disk.Open(path, {.direct = true}));
  std::string bytes(kFileHeaderBytes, '\0');
  ASSIGN_OR_RETURN(const size_t read, file->Read(0, bytes));
  bytes.resize(read);
  const absl::StatusOr<FileHeader> header = extent_format::DecodeFileHeader(bytes);
  if (!header.ok()) return Annotate(header.status(), path);
  if (header->disk_id != disk_id) {
    return absl::FailedPreconditionError(path + " belongs to disk " + header->disk_id.ToHex() +
                                         ", this is disk " + disk_id.ToHex());
  }
  ASSIGN_OR_RETURN(const uint64_t size, file->Size());
  if (header->extent != number || header->size_bytes != size) {
    return absl::DataLossError(path + " is not the file that its header tells of");
  }
  return std::shared_ptr<ExtentFile>(new ExtentFile(std::move(file), *header));
}

absl::Status ExtentFile::BeginGeneration(uint64_t generation) {
  return WriteFileHeader(*file_, {.extent = number_,
                                  .disk_id = disk_id_,
                                  .generation = generation,
                                  .size_bytes = size_bytes_});
}

absl::Status ExtentFile::WriteRecord(const RecordHeader& header, std::string_view ciphertext) {
  // The one copy on a body's way to the disk: direct writes need aligned memory.
  AlignedBuffer record(kRecordHeaderBytes + ciphertext.size(), AlignedBuffer::Fill::kTail);
  extent_format::EncodeRecordHeader(disk_id_, header, record.data());
  std::memcpy(record.data() + kRecordHeaderBytes, ciphertext.data(), ciphertext.size());
  return file_->Write(header.location.offset, record.view(0, record.size()));
}

absl::StatusOr<Buffer> ExtentFile::ReadRecord(const RecordHeader& expected, Reader reader) const {
  const size_t size = kRecordHeaderBytes + expected.location.length;
  const std::shared_ptr<char[]> bytes = std::make_shared_for_overwrite<char[]>(size);
  ASSIGN_OR_RETURN(const size_t read,
                   ((*file_).*reader)(expected.location.offset, {bytes.get(), size}));
  const std::string where = Where(expected.location);
  if (read != size) return absl::DataLossError(where + ": beyond the end of the file");
  const std::string_view record(bytes.get(), size);
  const auto header = extent_format::DecodeRecordHeader(disk_id_, record);
  if (!header.ok()) return Annotate(header.status(), where);
  if (*header != expected) return absl::DataLossError(where + ": another chunk is there");
  const Buffer ciphertext(bytes, record.substr(kRecordHeaderBytes));
  if (Crc32c(ciphertext.view()) != expected.identity.crc32c) {
    return absl::DataLossError(where + ": the chunk is damaged");
  }
  return ciphertext;
}

absl::StatusOr<std::optional<RecordHeader>> ExtentFile::FindRecord(uint64_t offset,
                                                                   uint64_t generation) const {
  std::string bytes(kRecordHeaderBytes, '\0');
  ASSIGN_OR_RETURN(const size_t read, file_->Read(offset, bytes));
  bytes.resize(read);
  const auto header = extent_format::DecodeRecordHeader(disk_id_, bytes);
  if (absl::IsDataLoss(header.status())) return std::nullopt;
  RETURN_IF_ERROR(header.status());
  const ChunkLocation& at = header->location;
  const bool here = at.extent == number_ && at.generation == generation && at.offset == offset &&
                    extent_format::RecordBytes(at.length) <= size_bytes_ - offset;
  if (!here) return std::nullopt;
  return *header;
}

}  // namespace meridian::storage
