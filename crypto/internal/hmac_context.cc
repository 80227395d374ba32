#include "crypto/internal/hmac_context.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>

#include "base/check.h"

namespace meridian::crypto {
namespace {

constexpr std::string_view kZeros{"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16};

const uint8_t* Bytes(std::string_view s) { return reinterpret_cast<const uint8_t*>(s.data()); }

// Looking an algorithm up by name costs more than a short message: once a process.
EVP_MAC_CTX* NewPrototype(const char* hash) {
  EVP_MAC* mac = EVP_MAC_fetch(nullptr, "HMAC", nullptr);
  CHECK_INVARIANT(mac != nullptr, "OpenSSL has no HMAC");
  EVP_MAC_CTX* context = EVP_MAC_CTX_new(mac);
  EVP_MAC_free(mac);
  const OSSL_PARAM params[] = {
      OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, const_cast<char*>(hash), 0),
      OSSL_PARAM_construct_end()};
  CHECK_INVARIANT(context != nullptr && EVP_MAC_CTX_set_params(context, params) == 1,
                  "OpenSSL has no HMAC with this hash");
  return context;
}

const EVP_MAC_CTX* Prototype(HmacContext::Hash hash) {
  if (hash == HmacContext::Hash::kSha256) {
    static const EVP_MAC_CTX* const context = NewPrototype("SHA256");
    return context;
  }
  static const EVP_MAC_CTX* const context = NewPrototype("SHA512");
  return context;
}

}  // namespace

HmacContext::HmacContext(Hash hash, std::string_view key)
    : context_(EVP_MAC_CTX_dup(Prototype(hash))), size_bytes_(hash == Hash::kSha256 ? 32 : 64) {
  CHECK_INVARIANT(context_ != nullptr, "out of memory for an HMAC context");
  SetKey(key);
}

HmacContext::~HmacContext() { EVP_MAC_CTX_free(context_); }

void HmacContext::SetKey(std::string_view key) {
  // HMAC pads a key with zeros: an empty one, which OpenSSL would take as "keep the key", is zeros.
  if (key.empty()) key = kZeros;
  CHECK_INVARIANT(EVP_MAC_init(context_, Bytes(key), key.size(), nullptr) == 1, "EVP_MAC_init");
}

void HmacContext::Begin() {
  CHECK_INVARIANT(EVP_MAC_init(context_, nullptr, 0, nullptr) == 1, "EVP_MAC_init");
}

void HmacContext::Update(std::string_view bytes) {
  CHECK_INVARIANT(EVP_MAC_update(context_, Bytes(bytes), bytes.size()) == 1, "EVP_MAC_update");
}

void HmacContext::Final(uint8_t* out) {
  size_t size = 0;
  CHECK_INVARIANT(EVP_MAC_final(context_, out, &size, size_bytes_) == 1 && size == size_bytes_,
                  "EVP_MAC_final");
}

}  // namespace meridian::crypto
