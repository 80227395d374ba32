// How the journal encrypts its records (I9): one key for each life of a segment, derived from the
// node key, the disk and the salt in the segment's header (P20), so that no nonce meets a key
// twice.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/id.h"

namespace meridian::storage {

inline constexpr size_t kSegmentSaltBytes = 32;

// An AEAD under one key. Thread-safe.
class RecordSealer {
 public:
  // What sealing adds, in bytes.
  static constexpr size_t kTagBytes = 16;

  virtual ~RecordSealer() = default;
  // Encrypts the concatenation of `plaintext` into `out`, whose size is that of the plaintext plus
  // kTagBytes. `sequence` makes the nonce: the caller never uses one twice.
  virtual absl::Status Seal(uint64_t sequence, std::string_view aad,
                            std::span<const std::string_view> plaintext,
                            std::span<char> out) const = 0;
  // The inverse; `out` is kTagBytes smaller than `sealed`. DATA_LOSS if it is not authentic; `out`
  // is then unspecified.
  virtual absl::Status Open(uint64_t sequence, std::string_view aad, std::string_view sealed,
                            std::span<char> out) const = 0;
};

// Makes the sealer of one segment's life. Thread-safe.
class RecordSealerFactory {
 public:
  virtual ~RecordSealerFactory() = default;
  // `salt` is kSegmentSaltBytes long.
  virtual absl::StatusOr<std::unique_ptr<RecordSealer>> NewSealer(const DiskId& disk,
                                                                  std::string_view salt) const = 0;
};

}  // namespace meridian::storage
