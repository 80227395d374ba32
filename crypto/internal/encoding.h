// How ids, numbers and strings become the bytes that keys are derived from and that ciphers bind:
// integers big endian, strings with their length, so that no two inputs have the same bytes.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace meridian::crypto {

inline void AppendU32(std::string& out, uint32_t value) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(value >> shift));
}

inline void AppendU64(std::string& out, uint64_t value) {
  AppendU32(out, static_cast<uint32_t>(value >> 32));
  AppendU32(out, static_cast<uint32_t>(value));
}

// length(4) bytes
inline void AppendField(std::string& out, std::string_view bytes) {
  AppendU32(out, static_cast<uint32_t>(bytes.size()));
  out.append(bytes);
}

template <typename... Fields>
std::string EncodeFields(const Fields&... fields) {
  std::string out;
  (AppendField(out, fields), ...);
  return out;
}

}  // namespace meridian::crypto
