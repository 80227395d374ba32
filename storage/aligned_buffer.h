// Memory that a disk can transfer directly (O_DIRECT): its address and size are multiples of 4 KiB.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <span>
#include <string_view>

#include "base/check.h"

namespace meridian::storage {

// The unit of direct transfers, in bytes; a multiple of every sector size in use.
inline constexpr size_t kDirectUnitBytes = 4096;

inline constexpr uint64_t RoundUpToDirectUnit(uint64_t bytes) {
  return (bytes + kDirectUnitBytes - 1) / kDirectUnitBytes * kDirectUnitBytes;
}

// Not thread-safe.
class AlignedBuffer {
 public:
  // What is zeroed when it is made: all, or only what rounding up has added.
  enum class Fill { kAll, kTail };

  // `size_bytes` is rounded up to a multiple of kDirectUnitBytes.
  explicit AlignedBuffer(size_t size_bytes, Fill fill = Fill::kAll)
      : size_(RoundUpToDirectUnit(size_bytes)),
        data_(static_cast<char*>(std::aligned_alloc(kDirectUnitBytes, size_))) {
    CHECK_INVARIANT(data_ != nullptr, "out of memory");
    const size_t from = fill == Fill::kAll ? 0 : size_bytes;
    std::memset(data_.get() + from, 0, size_ - from);
  }

  char* data() { return data_.get(); }
  const char* data() const { return data_.get(); }
  size_t size() const { return size_; }
  std::span<char> span() { return {data_.get(), size_}; }
  std::string_view view(size_t offset, size_t size) const { return {data_.get() + offset, size}; }

 private:
  struct Free {
    void operator()(char* p) const { std::free(p); }
  };
  size_t size_;
  std::unique_ptr<char, Free> data_;
};

}  // namespace meridian::storage
