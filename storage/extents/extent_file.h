// One extent's file.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/buffer.h"
#include "storage/disk.h"
#include "storage/extents/extent_store.h"
#include "storage/extents/format.h"

namespace meridian::storage {

// Thread-safe where the ranges read and written do not overlap.
class ExtentFile {
 public:
  // Makes an extent of that number, never used, durable with its name. RESOURCE_EXHAUSTED leaves
  // nothing behind.
  static absl::StatusOr<std::shared_ptr<ExtentFile>> Create(
      Disk& disk, const std::string& dir, const extent_format::FileHeader& header);
  // DATA_LOSS if its header is damaged, FAILED_PRECONDITION if it is another disk's.
  static absl::StatusOr<std::shared_ptr<ExtentFile>> Open(Disk& disk, const std::string& dir,
                                                          uint32_t number, const DiskId& disk_id);
  static std::string NameOf(uint32_t number);
  // The number in a file's name; nullopt if it is not an extent's.
  static std::optional<uint32_t> NumberOf(const std::string& name);

  uint32_t number() const { return number_; }
  uint64_t size_bytes() const { return size_bytes_; }
  // The generation that the file had when it was opened or made.
  uint64_t initial_generation() const { return initial_generation_; }

  // Begins a generation: durable at return. No record of an earlier one is referenced.
  absl::Status BeginGeneration(uint64_t generation);
  // Durable after Sync. The record's place is location.offset.
  absl::Status WriteRecord(const extent_format::RecordHeader& header, std::string_view ciphertext);
  absl::Status Sync() { return file_->Sync(); }

  // The ciphertext of a record, if there is one at location.offset that says it is this chunk and
  // this place, and its checksum holds; else DATA_LOSS. UNAVAILABLE if the disk cannot read it.
  absl::StatusOr<Buffer> ReadRecord(const extent_format::RecordHeader& expected) const {
    return ReadRecord(expected, &File::Read);
  }
  // The same, from the medium (File::ReadMedium).
  absl::StatusOr<Buffer> ReadRecordFromMedium(const extent_format::RecordHeader& expected) const {
    return ReadRecord(expected, &File::ReadMedium);
  }
  // The header of the record at `offset`, undamaged and of this place and generation; nullopt if
  // there is none.
  absl::StatusOr<std::optional<extent_format::RecordHeader>> FindRecord(uint64_t offset,
                                                                        uint64_t generation) const;

 private:
  ExtentFile(std::unique_ptr<File> file, const extent_format::FileHeader& header)
      : file_(std::move(file)),
        disk_id_(header.disk_id),
        number_(header.extent),
        size_bytes_(header.size_bytes),
        initial_generation_(header.generation) {}

  using Reader = absl::StatusOr<size_t> (File::*)(uint64_t, std::span<char>) const;
  absl::StatusOr<Buffer> ReadRecord(const extent_format::RecordHeader& expected,
                                    Reader reader) const;

  const std::unique_ptr<File> file_;
  const DiskId disk_id_;
  const uint32_t number_;
  const uint64_t size_bytes_;
  const uint64_t initial_generation_;
};

}  // namespace meridian::storage
