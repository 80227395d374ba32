// Fixed-width integers in disk formats: little endian, whatever the machine.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <type_traits>

namespace meridian::storage {

static_assert(std::endian::native == std::endian::little, "disk formats are little endian");

template <typename T>
inline void PutLittleEndian(char* at, T value) {
  static_assert(std::is_unsigned_v<T>);
  std::memcpy(at, &value, sizeof(value));
}

template <typename T>
inline T GetLittleEndian(const char* at) {
  static_assert(std::is_unsigned_v<T>);
  T value;
  std::memcpy(&value, at, sizeof(value));
  return value;
}

}  // namespace meridian::storage
