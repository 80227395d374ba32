// An OpenSSL HMAC context that is kept between messages. For this folder's own use.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

struct evp_mac_ctx_st;

namespace meridian::crypto {

// Not thread-safe.
class HmacContext {
 public:
  enum class Hash { kSha256, kSha512 };

  HmacContext(Hash hash, std::string_view key);
  ~HmacContext();
  HmacContext(const HmacContext&) = delete;
  HmacContext& operator=(const HmacContext&) = delete;

  void SetKey(std::string_view key);

  // A message: Begin (the key stays), Update any number of times, Final.
  void Begin();
  void Update(std::string_view bytes);
  // Writes the hash's 32 or 64 bytes.
  void Final(uint8_t* out);

 private:
  evp_mac_ctx_st* context_;
  const size_t size_bytes_;
};

}  // namespace meridian::crypto
