#include "crypto/chunk_layout.h"

#include "base/check.h"

namespace meridian::crypto {

std::optional<uint32_t> PlaintextBytes(size_t ciphertext_bytes) {
  if (ciphertext_bytes > kMaxChunkCiphertextBytes) return std::nullopt;
  constexpr uint32_t kSealedFrameBytes = kFrameBytes + kFrameTagBytes;
  const auto size = static_cast<uint32_t>(ciphertext_bytes);
  const uint32_t frames = (size + kSealedFrameBytes - 1) / kSealedFrameBytes;
  if (size < frames * kFrameTagBytes) return std::nullopt;
  const uint32_t plaintext = size - frames * kFrameTagBytes;
  if (CiphertextBytes(plaintext) != size) return std::nullopt;
  return plaintext;
}

FrameRange MapRange(uint32_t chunk_plaintext_bytes, uint32_t offset, uint32_t size) {
  CHECK_INVARIANT(chunk_plaintext_bytes <= kChunkBytes && offset <= chunk_plaintext_bytes &&
                      size <= chunk_plaintext_bytes - offset &&
                      (size > 0 || chunk_plaintext_bytes == 0),
                  "a range outside its chunk");
  FrameRange range;
  range.first_frame = offset / kFrameBytes;
  const uint32_t end_frame = size == 0 ? 1 : (offset + size - 1) / kFrameBytes + 1;
  range.frame_count = end_frame - range.first_frame;
  range.ciphertext_offset = range.first_frame * (kFrameBytes + kFrameTagBytes);
  const uint32_t plaintext_end = end_frame == FrameCount(chunk_plaintext_bytes)
                                     ? chunk_plaintext_bytes
                                     : end_frame * kFrameBytes;
  range.ciphertext_bytes =
      plaintext_end - range.first_frame * kFrameBytes + range.frame_count * kFrameTagBytes;
  range.skip_bytes = offset - range.first_frame * kFrameBytes;
  range.plaintext_bytes = size;
  return range;
}

}  // namespace meridian::crypto
