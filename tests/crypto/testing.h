// Helpers of the tests of keys and ciphers.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "crypto/secret_key.h"

namespace meridian {

// 0, 1, 2, ... in each call anew: for golden vectors.
class CountingRandom : public Random {
 public:
  void Fill(std::span<uint8_t> out) override {
    for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<uint8_t>(i);
  }
};

class ManualClock : public Clock {
 public:
  absl::Time WallNow() override { return absl::FromUnixSeconds(1'700'000'000) + now_; }
  absl::Duration MonotonicNow() override { return now_; }
  void Advance(absl::Duration by) { now_ += by; }

 private:
  absl::Duration now_ = absl::Seconds(1000);
};

inline std::string Hex(std::string_view bytes) {
  static constexpr char kDigits[] = "0123456789abcdef";
  std::string hex;
  for (const char c : bytes) {
    hex.push_back(kDigits[static_cast<uint8_t>(c) >> 4]);
    hex.push_back(kDigits[static_cast<uint8_t>(c) & 15]);
  }
  return hex;
}

// `size` bytes counting up from `first`.
inline std::string Counting(size_t size, int first = 0) {
  std::string bytes;
  for (size_t i = 0; i < size; ++i) bytes.push_back(static_cast<char>(first + i));
  return bytes;
}

inline crypto::SecretKey CountingKey(int first = 0) {
  return *crypto::SecretKey::FromBytes(Counting(32, first));
}

// An id whose bytes are all `byte`.
template <typename Id>
Id IdOf(char byte) {
  return *Id::FromBytes(std::string(Id::kSize, byte));
}

// The string with one bit of one byte changed.
inline std::string Flipped(std::string bytes, size_t at) {
  bytes[at] = static_cast<char>(bytes[at] ^ 1);
  return bytes;
}

}  // namespace meridian
