// SHA-256, HMAC-SHA-256, and comparison that does not tell where two strings differ.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "crypto/secret_key.h"

struct evp_md_ctx_st;

namespace meridian::crypto {

class HmacContext;

constexpr size_t kHashBytes = 32;

// In time that depends on the sizes only.
bool ConstantTimeEqual(std::string_view a, std::string_view b);

// 32 bytes.
std::string Sha256(std::string_view bytes);

// SHA-256 of bytes that come in pieces. Not thread-safe.
class Sha256Stream {
 public:
  Sha256Stream();
  ~Sha256Stream();
  Sha256Stream(const Sha256Stream&) = delete;
  Sha256Stream& operator=(const Sha256Stream&) = delete;
  void Update(std::string_view bytes);
  // The digest, 32 bytes, of all bytes since the start or the last Finish; starts anew.
  std::string Finish();

 private:
  evp_md_ctx_st* const context_;
};

// HMAC-SHA-256 under one key, its context kept between uses. Thread-safe.
class MacKey {
 public:
  explicit MacKey(const SecretKey& key);
  ~MacKey();

  // 32 bytes.
  std::string Compute(std::string_view message) const;
  bool Verify(std::string_view message, std::string_view mac) const;

 private:
  mutable absl::Mutex mutex_;
  const std::unique_ptr<HmacContext> context_ ABSL_PT_GUARDED_BY(mutex_);
};

}  // namespace meridian::crypto
