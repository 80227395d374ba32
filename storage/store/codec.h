// Fixed-width little endian fields, as the disk formats of this folder use them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/id.h"

namespace meridian::storage {

class Encoder {
 public:
  Encoder& U8(uint8_t value) {
    out_.push_back(static_cast<char>(value));
    return *this;
  }
  Encoder& U32(uint32_t value) { return Fixed(value, 4); }
  Encoder& U64(uint64_t value) { return Fixed(value, 8); }
  Encoder& Bytes(std::string_view bytes) {
    out_.append(bytes);
    return *this;
  }
  template <typename Tag>
  Encoder& Id(const Id128<Tag>& id) {
    return Bytes(id.bytes());
  }
  size_t size() const { return out_.size(); }
  std::string Take() { return std::move(out_); }

 private:
  Encoder& Fixed(uint64_t value, int bytes) {
    for (int i = 0; i < bytes; ++i) out_.push_back(static_cast<char>(value >> (8 * i)));
    return *this;
  }
  std::string out_;
};

// Reading past the end yields zeros and makes ok() false for good: check it once, at the end.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : all_(bytes) {}

  uint8_t U8() { return static_cast<uint8_t>(Fixed(1)); }
  uint32_t U32() { return static_cast<uint32_t>(Fixed(4)); }
  uint64_t U64() { return Fixed(8); }
  std::string_view Bytes(size_t size) {
    if (all_.size() - offset_ < size) {
      ok_ = false;
      return {};
    }
    const std::string_view bytes = all_.substr(offset_, size);
    offset_ += size;
    return bytes;
  }
  template <typename T>
  T Id() {
    return T::FromBytes(Bytes(T::kSize)).value_or(T());
  }
  bool ok() const { return ok_; }
  bool done() const { return ok_ && offset_ == all_.size(); }
  size_t offset() const { return offset_; }

 private:
  uint64_t Fixed(size_t bytes) {
    const std::string_view field = Bytes(bytes);
    uint64_t value = 0;
    for (size_t i = 0; i < field.size(); ++i) {
      value |= uint64_t{static_cast<uint8_t>(field[i])} << (8 * i);
    }
    return value;
  }
  const std::string_view all_;
  size_t offset_ = 0;
  bool ok_ = true;
};

}  // namespace meridian::storage
