// Small files, of secrets above all: read whole, replaced whole.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian::crypto {

// NOT_FOUND; INVALID_ARGUMENT above `max_bytes`; UNAVAILABLE: cannot be read.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, size_t max_bytes);

// What `path` holds is, after any crash, what it was or all of `bytes`; durable on return. Readable
// by its owner only if `secret`. With `must_be_new`, ALREADY_EXISTS if there is a file, whoever
// writes it meanwhile. After any other error either may be there. A crash may leave PATH.<16
// hex>.tmp.
struct WriteFileOptions {
  bool secret = true;
  bool must_be_new = false;
};
absl::Status WriteFileAtomically(const std::string& path, std::string_view bytes,
                                 WriteFileOptions options);

// Whether others than its owner may read the file.
absl::StatusOr<bool> IsReadableByOthers(const std::string& path);

}  // namespace meridian::crypto
