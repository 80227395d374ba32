#include "base/random.h"

#include <sys/random.h>

#include <cerrno>

#include "base/check.h"

namespace meridian {

uint64_t Random::Uniform(uint64_t bound) {
  CHECK_INVARIANT(bound > 0, "Uniform needs a positive bound");
  const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
  uint64_t value;
  do {
    Fill({reinterpret_cast<uint8_t*>(&value), sizeof value});
  } while (value >= limit);
  return value % bound;
}

void SystemRandom::Fill(std::span<uint8_t> out) {
  while (!out.empty()) {
    const ssize_t n = getrandom(out.data(), out.size(), 0);
    CHECK_INVARIANT(n > 0 || errno == EINTR, "getrandom failed");
    if (n > 0) out = out.subspan(static_cast<size_t>(n));
  }
}

SeededRandom::SeededRandom(uint64_t seed) {
  for (uint64_t& word : state_) {
    seed += 0x9e3779b97f4a7c15;
    uint64_t z = seed;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    word = z ^ (z >> 31);
  }
}

uint64_t SeededRandom::Next() {
  const auto rotl = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
  const uint64_t result = rotl(state_[1] * 5, 7) * 9;
  const uint64_t t = state_[1] << 17;
  state_[2] ^= state_[0];
  state_[3] ^= state_[1];
  state_[1] ^= state_[2];
  state_[0] ^= state_[3];
  state_[2] ^= t;
  state_[3] = rotl(state_[3], 45);
  return result;
}

void SeededRandom::Fill(std::span<uint8_t> out) {
  uint64_t word = 0;
  for (size_t i = 0; i < out.size(); ++i) {
    if (i % 8 == 0) word = Next();
    out[i] = static_cast<uint8_t>(word >> (8 * (i % 8)));
  }
}

uint64_t SeededRandom::Uniform(uint64_t bound) { return Next() % bound; }

}  // namespace meridian
