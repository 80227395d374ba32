// Seals what the journal writes into one life of one segment.
#pragma once

#include <cstdint>
#include <string_view>

#include "absl/status/status.h"
#include "crypto/aes_gcm.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

// AES-256-GCM under a key for this segment life alone; the nonce is the group's number (P20: a
// segment's life begins with a fresh salt and nothing is appended to it after a restart, so a
// number never comes back under the same key). Not thread-safe.
class SegmentSealer {
 public:
  static constexpr size_t kSaltBytes = 32;
  static constexpr size_t kOverheadBytes = kTagBytes;

  // From NodeKey::OpenSegment.
  explicit SegmentSealer(const SecretKey& segment_key) : cipher_(segment_key) {}

  // Writes payload.size() + kOverheadBytes bytes to `out`, which may be the payload's own memory.
  // `group_number` must be above those sealed before: one that is not is a broken invariant.
  void Seal(uint64_t group_number, std::string_view aad, std::string_view payload, char* out);
  // Writes sealed.size() - kOverheadBytes bytes to `out`, which may be sealed's own memory.
  // DATA_LOSS if these are not the bytes sealed under this number and aad in this life.
  absl::Status Open(uint64_t group_number, std::string_view aad, std::string_view sealed,
                    char* out);

 private:
  AesGcm cipher_;
  bool sealed_any_ = false;
  uint64_t last_sealed_ = 0;
};

}  // namespace meridian::crypto
