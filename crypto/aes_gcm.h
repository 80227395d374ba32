// AES-256-GCM with a 12-byte nonce and a 16-byte tag, the key's context kept between messages.
#pragma once

#include <cstddef>
#include <span>
#include <string_view>

#include "absl/status/status.h"
#include "crypto/secret_key.h"

struct evp_cipher_ctx_st;

namespace meridian::crypto {

constexpr size_t kTagBytes = 16;
constexpr size_t kNonceBytes = 12;

// One key at a time. Not thread-safe: one a thread, or one an object that a thread owns. The caller
// sees to it that no nonce is used twice for sealing under one key.
class AesGcm {
 public:
  explicit AesGcm(const SecretKey& key);
  ~AesGcm();
  AesGcm(const AesGcm&) = delete;
  AesGcm& operator=(const AesGcm&) = delete;

  // Replaces the key; keeps the memory.
  void SetKey(const SecretKey& key);

  // Writes ciphertext and tag to `out`, plaintext.size() + kTagBytes bytes. `out` may be the
  // plaintext's own memory, else must not overlap it.
  void Seal(std::string_view nonce, std::string_view aad, std::string_view plaintext, char* out);
  // As one plaintext in pieces, joined.
  void Seal(std::string_view nonce, std::string_view aad,
            std::span<const std::string_view> plaintext, char* out);
  // Writes the plaintext, sealed.size() - kTagBytes bytes, to `out`, which may be sealed's own
  // memory. DATA_LOSS, with `out` zeroed, if any bit of nonce, aad or `sealed` is not what was
  // sealed.
  absl::Status Open(std::string_view nonce, std::string_view aad, std::string_view sealed,
                    char* out);

 private:
  evp_cipher_ctx_st* const context_;
};

// The calling thread's kept context, keyed for a while: cheaper than a context of one's own for
// keys that are used once or by many threads. One at a time in a thread; the key is overwritten at
// the end.
class ThreadAesGcm {
 public:
  explicit ThreadAesGcm(const SecretKey& key);
  ~ThreadAesGcm();
  ThreadAesGcm(const ThreadAesGcm&) = delete;
  ThreadAesGcm& operator=(const ThreadAesGcm&) = delete;
  AesGcm* operator->() { return &cipher_; }

 private:
  AesGcm& cipher_;
};

}  // namespace meridian::crypto
