// Cuts a body that comes in pieces into chunks, without copying pieces that are worth sharing.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/buffer.h"
#include "crypto/chunk_layout.h"

namespace meridian::ops {

// The plaintext of one chunk, or of the part of it that has come. Not thread-safe.
class ChunkCutter {
 public:
  // Takes of `bytes` what the chunk has room for, and returns how much that was.
  size_t Take(const Buffer& bytes);

  size_t size() const { return size_; }
  bool full() const { return size_ == crypto::kChunkBytes; }
  // The pieces, in order; valid until the next call of Take or Clear.
  std::vector<std::string_view> Views() const;
  void Clear();

 private:
  // Smaller pieces are copied together: a chunk that comes byte by byte must not hold a million
  // buffers.
  static constexpr size_t kMinSharedBytes = 16 << 10;

  struct Piece {
    Buffer shared;
    std::string copied;  // if not empty, the piece is this
  };
  std::vector<Piece> pieces_;
  size_t size_ = 0;
};

}  // namespace meridian::ops
