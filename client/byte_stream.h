// Where a body comes from and where it goes to.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian {

// Used by one thread at a time.
class ByteSource {
 public:
  virtual ~ByteSource() = default;
  // Fills `out` from its beginning; blocks until at least one byte is there. 0: the end.
  virtual absl::StatusOr<size_t> Read(std::span<char> out) = 0;
  // Of the whole, if known beforehand.
  virtual std::optional<uint64_t> size() const = 0;
  // Whether Seek works: a retry then needs no copy of what was read.
  virtual bool seekable() const = 0;
  // The next Read begins `offset` bytes after the beginning; offset <= what was read so far.
  virtual absl::Status Seek(uint64_t offset) = 0;
};

// Used by one thread at a time.
class ByteSink {
 public:
  virtual ~ByteSink() = default;
  // Takes all of `bytes`. An error ends the transfer and is its result.
  virtual absl::Status Write(std::string_view bytes) = 0;
  // Forgets all that was written: the next Write brings another body's beginning. An error: what
  // was written cannot be taken back.
  virtual absl::Status Restart() { return absl::UnimplementedError("it is written once"); }
};

// `bytes` must outlive the source.
std::unique_ptr<ByteSource> MakeStringSource(std::string_view bytes);
// Appends. `out` must outlive the sink.
std::unique_ptr<ByteSink> MakeStringSink(std::string* out);

// A regular file. NOT_FOUND, PERMISSION_DENIED or what open says.
absl::StatusOr<std::unique_ptr<ByteSource>> OpenFileSource(const std::string& path);
// An open descriptor that stays the caller's; a pipe or terminal is read once, in order. Of what is
// written, only that at the end of a regular file can be taken back.
std::unique_ptr<ByteSource> MakeDescriptorSource(int fd);
std::unique_ptr<ByteSink> MakeDescriptorSink(int fd);

}  // namespace meridian
