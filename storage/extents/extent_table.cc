#include "storage/extents/extent_table.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace meridian::storage {

using extent_format::kFirstRecordOffset;
using extent_format::RecordBytes;

void ExtentTable::Add(std::shared_ptr<ExtentFile> file) {
  const uint32_t number = file->number();
  const uint64_t generation = file->initial_generation();
  next_number_ = std::max(next_number_, number + 1);
  const bool added =
      extents_.emplace(number, Extent{.file = std::move(file), .generation = generation}).second;
  CHECK_INVARIANT(added, "an extent's number is its own");
}

const Extent* ExtentTable::Find(uint32_t number) const {
  const auto found = extents_.find(number);
  return found == extents_.end() ? nullptr : &found->second;
}

absl::Status ExtentTable::Reference(const ChunkLocation& location) {
  const auto found = extents_.find(location.extent);
  const std::string where = "extent " + std::to_string(location.extent) + " generation " +
                            std::to_string(location.generation);
  if (found == extents_.end()) return absl::DataLossError(where + " is missing");
  Extent& extent = found->second;
  if (location.generation == 0 || location.generation != extent.generation) {
    return absl::DataLossError(where + " is referenced; the file is of generation " +
                               std::to_string(extent.generation));
  }
  const uint64_t bytes = RecordBytes(location.length);
  const uint64_t size = extent.file->size_bytes();
  if (location.offset < kFirstRecordOffset || location.offset % kDirectUnitBytes != 0 ||
      location.offset > size || bytes > size - location.offset) {
    return absl::DataLossError(where + " has no place for a chunk at offset " +
                               std::to_string(location.offset));
  }
  extent.state = Extent::State::kPartial;
  extent.live_bytes += bytes;
  extent.end = std::max(extent.end, location.offset + bytes);
  return absl::OkStatus();
}

std::optional<ChunkLocation> ExtentTable::Allocate(uint32_t length) {
  const uint64_t bytes = RecordBytes(length);
  if (open_ == nullptr || open_->file->size_bytes() - open_->end < bytes) return std::nullopt;
  const ChunkLocation location{.extent = open_->file->number(),
                               .generation = open_->generation,
                               .offset = open_->end,
                               .length = length};
  open_->end += bytes;
  open_->live_bytes += bytes;
  return location;
}

void ExtentTable::Close() {
  if (open_ == nullptr) return;
  open_->state = Extent::State::kFull;
  FreeIfEmpty(*open_);
  open_ = nullptr;
}

const Extent* ExtentTable::NextToOpen(uint64_t record_bytes) const {
  const Extent* free = nullptr;
  for (const auto& [number, extent] : extents_) {
    const bool partial = extent.state == Extent::State::kPartial;
    const uint64_t begin = partial ? extent.end : kFirstRecordOffset;
    if (begin > extent.file->size_bytes() || extent.file->size_bytes() - begin < record_bytes) {
      continue;
    }
    if (partial) return &extent;
    if (extent.state == Extent::State::kFree && free == nullptr) free = &extent;
  }
  return free;
}

void ExtentTable::Open(uint32_t number, uint64_t generation, uint64_t end) {
  CHECK_INVARIANT(open_ == nullptr, "one extent is open at a time");
  Extent& extent = extents_.at(number);
  CHECK_INVARIANT(generation >= extent.generation && end >= kFirstRecordOffset,
                  "an extent's generation never goes back");
  extent.state = Extent::State::kOpen;
  extent.generation = generation;
  extent.end = end;
  open_ = &extent;
}

void ExtentTable::Retire(uint32_t number) {
  Extent& extent = extents_.at(number);
  CHECK_INVARIANT(&extent != open_, "an open extent is appended to");
  if (extent.state == Extent::State::kPartial) extent.state = Extent::State::kFull;
}

void ExtentTable::MarkFree(const ChunkLocation& location) {
  const auto found = extents_.find(location.extent);
  CHECK_INVARIANT(found != extents_.end(), "a chunk is freed in an extent that exists");
  Extent& extent = found->second;
  const uint64_t bytes = RecordBytes(location.length);
  CHECK_INVARIANT(extent.generation == location.generation && extent.live_bytes >= bytes,
                  "a chunk is freed once");
  extent.live_bytes -= bytes;
  FreeIfEmpty(extent);
}

void ExtentTable::FreeIfEmpty(Extent& extent) {
  if (extent.live_bytes > 0 || extent.state == Extent::State::kOpen) return;
  extent.state = Extent::State::kFree;
  extent.end = kFirstRecordOffset;
}

std::vector<ExtentInfo> ExtentTable::List() const {
  std::vector<ExtentInfo> infos;
  for (const auto& [number, extent] : extents_) {
    infos.push_back({.extent = number,
                     .generation = extent.generation,
                     .live_bytes = extent.live_bytes,
                     .used_bytes = extent.used_bytes(),
                     .size_bytes = extent.file->size_bytes(),
                     .open = extent.state == Extent::State::kOpen});
  }
  std::stable_sort(infos.begin(), infos.end(), [](const ExtentInfo& a, const ExtentInfo& b) {
    return a.garbage_ratio() > b.garbage_ratio();
  });
  return infos;
}

}  // namespace meridian::storage
