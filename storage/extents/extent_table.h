// Which extents are free, which one is appended to, and how many bytes of each are live.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "storage/extents/extent_file.h"
#include "storage/extents/extent_store.h"

namespace meridian::storage {

struct Extent {
  enum class State {
    kFree,     // no live bytes, and none coming: its generation may end
    kOpen,     // being appended to
    kPartial,  // was being appended to when the last process ended; may be opened again
    kFull,
  };
  std::shared_ptr<ExtentFile> file;
  State state = State::kFree;
  uint64_t generation = 0;
  uint64_t live_bytes = 0;  // records whole, padding included; <= used_bytes
  uint64_t end = extent_format::kFirstRecordOffset;  // where the next record goes

  uint64_t used_bytes() const { return end - extent_format::kFirstRecordOffset; }
};

// Not thread-safe; does no I/O.
class ExtentTable {
 public:
  // A file found or made; it is free until something in it is referenced or allocated.
  void Add(std::shared_ptr<ExtentFile> file);
  uint32_t next_number() const { return next_number_; }

  // nullptr if there is none.
  const Extent* Find(uint32_t number) const;

  // See ExtentStore::Reference; the extents become kPartial.
  absl::Status Reference(const ChunkLocation& location);

  // Space for a record in the open extent, counted live; nullopt if there is none: open another.
  std::optional<ChunkLocation> Allocate(uint32_t length);
  // Closes the open extent, if any.
  void Close();
  // An extent to be opened that may hold a record of that many bytes: partly filled ones first.
  // nullptr if there is none: make a file.
  const Extent* NextToOpen(uint64_t record_bytes) const;
  // `generation` and `end` say where appending begins. No extent is open.
  void Open(uint32_t number, uint64_t generation, uint64_t end);

  // Nothing more is appended to an extent in its present generation. It is not open.
  void Retire(uint32_t number);
  void MarkFree(const ChunkLocation& location);

  // Those with the most garbage first.
  std::vector<ExtentInfo> List() const;

 private:
  static void FreeIfEmpty(Extent& extent);

  std::map<uint32_t, Extent> extents_;
  Extent* open_ = nullptr;
  uint32_t next_number_ = 1;
};

}  // namespace meridian::storage
