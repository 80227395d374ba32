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

// An AEAD under one key. One thread seals; any number may open at the same time.
class RecordSealer {
 public:
  // What sealing adds, in bytes.
  static constexpr size_t kTagBytes = 16;

  virtual ~RecordSealer() = default;
  // Writes the joined plaintext's size + kTagBytes bytes to `out`. `sequence` makes the nonce: it is
  // above that of every earlier call.
  virtual void Seal(uint64_t sequence, std::string_view aad,
                    std::span<const std::string_view> plaintext, char* out) = 0;
  // Writes sealed.size() - kTagBytes bytes to `out`, which may be sealed's own memory. DATA_LOSS if
  // these are not the bytes sealed under this sequence and aad; `out` is then unspecified.
  virtual absl::Status Open(uint64_t sequence, std::string_view aad, std::string_view sealed,
                            char* out) const = 0;
};

// Makes the sealer of one segment's life. Thread-safe.
class RecordSealerFactory {
 public:
  virtual ~RecordSealerFactory() = default;
  // `salt` is kSegmentSaltBytes of random bytes, drawn for this life.
  virtual absl::StatusOr<std::unique_ptr<RecordSealer>> NewSealer(const DiskId& disk,
                                                                  std::string_view salt) const = 0;
};

}  // namespace meridian::storage
