// What encrypts a RocksDB file: a stream cipher under a random key of its own, and that key wrapped
// by the node key, kept in the file's prefix.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace meridian::storage {

// AES-256-CTR at any offset. Confidentiality only: RocksDB's checksums find damage, the object
// records' MACs find forgery (P20). Thread-safe.
class FileCipher {
 public:
  virtual ~FileCipher() = default;
  // Encrypts or decrypts (the same) `data`, which lies at `offset` of the file, in place.
  virtual absl::Status Apply(uint64_t offset, char* data, size_t size_bytes) = 0;
};

// Thread-safe.
class FileCipherFactory {
 public:
  static constexpr size_t kMaxWrappedKeyBytes = 1024;

  virtual ~FileCipherFactory() = default;
  // Draws a key that no file has had; at most kMaxWrappedKeyBytes once wrapped.
  virtual absl::StatusOr<std::string> NewWrappedKey() = 0;
  // DATA_LOSS if `wrapped_key` was not made by NewWrappedKey under this node key.
  virtual absl::StatusOr<std::unique_ptr<FileCipher>> Open(std::string_view wrapped_key) = 0;
};

}  // namespace meridian::storage
