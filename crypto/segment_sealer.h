// Seals what the journal writes into one life of one segment.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

// AES-256-GCM under a key for this segment life alone; the nonce is a sequence number (P20: a
// segment's life begins with a fresh salt and nothing is appended to it after a restart, so a
// number never comes back under the same key). Thread-safe, except that one thread seals.
class SegmentSealer {
 public:
  static constexpr size_t kSaltBytes = 32;
  static constexpr size_t kOverheadBytes = 16;

  // `segment_key`: from NodeKey::SegmentKey.
  explicit SegmentSealer(const SecretKey& segment_key) : key_(segment_key) {}

  // Writes the joined payload's size + kOverheadBytes bytes to `out`. `sequence` must be above
  // those sealed before: one that is not is a broken invariant, since it would use a nonce twice.
  void Seal(uint64_t sequence, std::string_view aad, std::span<const std::string_view> payload,
            char* out) const;
  // Writes sealed.size() - kOverheadBytes bytes to `out`, which may be sealed's own memory.
  // DATA_LOSS, with `out` zeroed, if these are not the bytes sealed under this number and aad in
  // this life.
  absl::Status Open(uint64_t sequence, std::string_view aad, std::string_view sealed,
                    char* out) const;

 private:
  const SecretKey key_;
  // One above the last number sealed; UINT64_MAX is never sealed.
  mutable std::atomic<uint64_t> next_{0};
};

}  // namespace meridian::crypto
