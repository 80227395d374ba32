// What a key inside a KMS may be called.
#pragma once

#include <algorithm>
#include <string_view>

namespace meridian::crypto {

inline constexpr size_t kMaxKeyNameBytes = 128;

// See Kms.
inline bool IsKeyName(std::string_view name) {
  return !name.empty() && name.size() <= kMaxKeyNameBytes &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '/';
         });
}

}  // namespace meridian::crypto
