#include "server/ops/chunk_cutter.h"

#include <algorithm>

namespace meridian::ops {

size_t ChunkCutter::Take(const Buffer& bytes) {
  const size_t taken = std::min<size_t>(bytes.size(), crypto::kChunkBytes - size_);
  if (taken == 0) return 0;
  if (taken >= kMinSharedBytes) {
    pieces_.push_back({.shared = bytes.Slice(0, taken), .copied = {}});
  } else {
    if (pieces_.empty() || pieces_.back().copied.empty()) pieces_.emplace_back();
    pieces_.back().copied.append(bytes.view().substr(0, taken));
  }
  size_ += taken;
  return taken;
}

std::vector<std::string_view> ChunkCutter::Views() const {
  std::vector<std::string_view> views;
  views.reserve(pieces_.size());
  for (const Piece& piece : pieces_) {
    views.push_back(piece.copied.empty() ? piece.shared.view() : std::string_view(piece.copied));
  }
  return views;
}

void ChunkCutter::Clear() {
  pieces_.clear();
  size_ = 0;
}

}  // namespace meridian::ops
