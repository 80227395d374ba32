// 256 bits that must not outlive their use, nor be printed.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>

namespace meridian {
class Random;
}

namespace meridian::crypto {

// Overwrites memory in a way that the compiler does not remove.
void SecureZero(void* data, size_t size_bytes);
// Overwrites a string's bytes, then empties it.
void SecureZero(std::string& secret);

// A symmetric key. Every copy is overwritten when it goes; a key moved from is overwritten at once.
class SecretKey {
 public:
  static constexpr size_t kSize = 32;

  static SecretKey Draw(Random& random);
  // Overwrites a used key's memory with a key that protects nothing.
  static SecretKey Zero() { return SecretKey(); }
  // nullopt unless `bytes` is 32 bytes long.
  static std::optional<SecretKey> FromBytes(std::string_view bytes);

  SecretKey(const SecretKey&) = default;
  SecretKey& operator=(const SecretKey&) = default;
  SecretKey(SecretKey&& other) noexcept;
  SecretKey& operator=(SecretKey&& other) noexcept;
  ~SecretKey() { SecureZero(bytes_.data(), kSize); }

  // For ciphers and for wrapping: never for logs or messages.
  std::string_view bytes() const { return {reinterpret_cast<const char*>(bytes_.data()), kSize}; }

  friend std::ostream& operator<<(std::ostream&, const SecretKey&) = delete;

 private:
  SecretKey() = default;

  std::array<uint8_t, kSize> bytes_{};
};

}  // namespace meridian::crypto
