#include "client/internal/replay_source.h"

#include <algorithm>
#include <utility>

namespace meridian::client_internal {

ReplaySource::ReplaySource(std::string head, ByteSource& rest, size_t capacity)
    : rest_(rest), capacity_(std::max(capacity, head.size())), kept_(std::move(head)) {}

absl::StatusOr<size_t> ReplaySource::Read(std::span<char> out) {
  const size_t behind = static_cast<size_t>(position_ - start_);
  if (behind < kept_.size()) {
    const size_t count = std::min(out.size(), kept_.size() - behind);
    std::copy_n(kept_.data() + behind, count, out.data());
    position_ += count;
    return count;
  }
  const size_t room = capacity_ - kept_.size();
  if (room == 0) return absl::FailedPreconditionError("read further than can be replayed");
  absl::StatusOr<size_t> count = rest_.Read(out.subspan(0, std::min(room, out.size())));
  if (!count.ok()) return count;
  kept_.append(out.data(), *count);
  position_ += *count;
  return count;
}

absl::Status ReplaySource::Seek(uint64_t offset) {
  if (offset < start_ || offset > start_ + kept_.size()) {
    return absl::OutOfRangeError("the source cannot be read again from there");
  }
  position_ = offset;
  return absl::OkStatus();
}

void ReplaySource::Release(uint64_t offset) {
  if (offset <= start_) return;
  const uint64_t end = std::min(offset, position_);
  kept_.erase(0, static_cast<size_t>(end - start_));
  start_ = end;
}

}  // namespace meridian::client_internal
