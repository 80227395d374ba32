// HKDF-SHA-512 (RFC 5869).
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "crypto/secret_key.h"

namespace meridian::crypto {

class HmacContext;

// The extracted key, from which any number of keys are expanded: the MAC's context is kept keyed,
// so that an expansion costs two hash blocks and no set-up. Thread-safe.
class Hkdf {
 public:
  static constexpr size_t kMaxOutputBytes = 255 * 64;

  // Extracts from `key` with `salt`, which may be empty.
  Hkdf(std::string_view key, std::string_view salt);
  Hkdf(const SecretKey& key, std::string_view salt) : Hkdf(key.bytes(), salt) {}
  ~Hkdf();

  // Fills `out`, at most kMaxOutputBytes. Different `info` gives independent bytes.
  void Expand(std::string_view info, std::span<uint8_t> out) const;
  SecretKey ExpandKey(std::string_view info) const;

 private:
  mutable absl::Mutex mutex_;
  const std::unique_ptr<HmacContext> context_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace meridian::crypto
