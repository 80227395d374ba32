// Makes the recent part of a pipe readable again, so that an upload can be resumed.
#pragma once

#include <cstdint>
#include <string>

#include "client/byte_stream.h"

namespace meridian::client_internal {

// Keeps what was read since the last Release, at most `capacity` bytes. Not thread-safe.
class ReplaySource : public ByteSource {
 public:
  // `head` was already read from the beginning of `rest`; `rest` must outlive this.
  ReplaySource(std::string head, ByteSource& rest, size_t capacity);

  // Reads no further than `capacity` bytes beyond the last Release: FAILED_PRECONDITION then.
  absl::StatusOr<size_t> Read(std::span<char> out) override;
  std::optional<uint64_t> size() const override { return rest_.size(); }
  bool seekable() const override { return true; }
  // OUT_OF_RANGE before what was released or beyond what was read.
  absl::Status Seek(uint64_t offset) override;

  // Bytes before `offset` will not be wanted again; offset <= position.
  void Release(uint64_t offset);
  size_t capacity() const { return capacity_; }

 private:
  ByteSource& rest_;
  const size_t capacity_;
  // Bytes [start_, start_ + kept_.size()) of the whole; position_ lies within or at the end.
  std::string kept_;
  uint64_t start_ = 0;
  uint64_t position_ = 0;
};

}  // namespace meridian::client_internal
