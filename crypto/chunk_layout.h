// Where a body's bytes lie: offsets of plaintext, chunks, frames, and offsets of ciphertext.
// A body is cut into chunks of kChunkBytes, the last one shorter; a chunk into frames of
// kFrameBytes, the last one shorter. Each frame's ciphertext is followed by its tag.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

namespace meridian::crypto {

constexpr uint32_t kFrameBytes = 64 << 10;
constexpr uint32_t kFrameTagBytes = 16;
constexpr uint32_t kChunkBytes = 1 << 20;
constexpr uint32_t kFramesPerChunk = kChunkBytes / kFrameBytes;

// An empty chunk has one frame, without plaintext.
constexpr uint32_t FrameCount(uint32_t plaintext_bytes) {
  return plaintext_bytes == 0 ? 1 : (plaintext_bytes + kFrameBytes - 1) / kFrameBytes;
}

// Of a chunk; `plaintext_bytes` is at most kChunkBytes.
constexpr uint32_t CiphertextBytes(uint32_t plaintext_bytes) {
  return plaintext_bytes + FrameCount(plaintext_bytes) * kFrameTagBytes;
}

constexpr uint32_t kMaxChunkCiphertextBytes = CiphertextBytes(kChunkBytes);

// The inverse of CiphertextBytes; nullopt if no chunk has this size.
std::optional<uint32_t> PlaintextBytes(size_t ciphertext_bytes);

// Chunks of a body whose chunks but the last are full.
constexpr uint64_t ChunkCount(uint64_t body_bytes) {
  return (body_bytes + kChunkBytes - 1) / kChunkBytes;
}
constexpr uint64_t ChunkOfOffset(uint64_t body_offset) { return body_offset / kChunkBytes; }
constexpr uint32_t OffsetInChunk(uint64_t body_offset) {
  return static_cast<uint32_t>(body_offset % kChunkBytes);
}
// Plaintext of chunk `index` of such a body; index < ChunkCount(body_bytes).
constexpr uint32_t ChunkPlaintextBytes(uint64_t body_bytes, uint64_t index) {
  const uint64_t left = body_bytes - index * kChunkBytes;
  return left < kChunkBytes ? static_cast<uint32_t>(left) : kChunkBytes;
}

// The frames of one chunk that hold a range of its plaintext.
struct FrameRange {
  uint32_t first_frame = 0;
  uint32_t frame_count = 0;
  // In the chunk's ciphertext: what to read.
  uint32_t ciphertext_offset = 0;
  uint32_t ciphertext_bytes = 0;
  // In the frames' joined plaintext: what was asked for.
  uint32_t skip_bytes = 0;
  uint32_t plaintext_bytes = 0;
  bool operator==(const FrameRange&) const = default;
};

// The frames that hold [offset, offset + size) of a chunk of `chunk_plaintext_bytes`. The range
// must lie within the chunk, and be empty only if the chunk is.
FrameRange MapRange(uint32_t chunk_plaintext_bytes, uint32_t offset, uint32_t size);

}  // namespace meridian::crypto
