#include "crypto/ctr_cipher.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/check.h"

namespace meridian::crypto {
namespace {

constexpr size_t kBlockBytes = 16;
// Of one EVP call, whose sizes are ints; a multiple of the block.
constexpr size_t kMaxCallBytes = 1 << 30;

const EVP_CIPHER* Aes256Ctr() {
  static const EVP_CIPHER* const cipher = EVP_CIPHER_fetch(nullptr, "AES-256-CTR", nullptr);
  CHECK_INVARIANT(cipher != nullptr, "OpenSSL has no AES-256-CTR");
  return cipher;
}

struct FreeContext {
  void operator()(EVP_CIPHER_CTX* context) const { EVP_CIPHER_CTX_free(context); }
};

EVP_CIPHER_CTX* ThisThreadsContext() {
  thread_local const std::unique_ptr<EVP_CIPHER_CTX, FreeContext> context(EVP_CIPHER_CTX_new());
  CHECK_INVARIANT(context != nullptr, "out of memory for a cipher context");
  return context.get();
}

// The counter block: the block's number in the file, big endian.
std::array<uint8_t, kBlockBytes> Counter(uint64_t block) {
  std::array<uint8_t, kBlockBytes> counter{};
  for (size_t i = 0; i < 8; ++i)
    counter[kBlockBytes - 1 - i] = static_cast<uint8_t>(block >> 8 * i);
  return counter;
}

void Encrypt(EVP_CIPHER_CTX* context, char* data, size_t size_bytes) {
  while (size_bytes > 0) {
    const size_t n = std::min(size_bytes, kMaxCallBytes);
    uint8_t* const bytes = reinterpret_cast<uint8_t*>(data);
    int written = 0;
    CHECK_INVARIANT(EVP_EncryptUpdate(context, bytes, &written, bytes, static_cast<int>(n)) == 1 &&
                        written == static_cast<int>(n),
                    "EVP_EncryptUpdate");
    data += n;
    size_bytes -= n;
  }
}

}  // namespace

void CtrCipher::Apply(uint64_t offset, char* data, size_t size_bytes) const {
  EVP_CIPHER_CTX* const context = ThisThreadsContext();
  const auto counter = Counter(offset / kBlockBytes);
  CHECK_INVARIANT(EVP_EncryptInit_ex2(context, Aes256Ctr(),
                                      reinterpret_cast<const uint8_t*>(key_.bytes().data()),
                                      counter.data(), nullptr) == 1,
                  "EVP_EncryptInit_ex2");
  // The key stream before `offset` in its block is thrown away.
  char skipped[kBlockBytes] = {};
  Encrypt(context, skipped, offset % kBlockBytes);
  Encrypt(context, data, size_bytes);
}

}  // namespace meridian::crypto
