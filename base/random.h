// The source of randomness that product code takes from outside, so that a simulation can seed it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace meridian {

// Thread-safe unless an implementation says otherwise.
class Random {
 public:
  virtual ~Random() = default;
  virtual void Fill(std::span<uint8_t> out) = 0;
  // Uniform in [0, bound); bound > 0.
  virtual uint64_t Uniform(uint64_t bound);
};

// Reads the operating system's generator (getrandom). Thread-safe.
class SystemRandom : public Random {
 public:
  void Fill(std::span<uint8_t> out) override;
};

// xoshiro256** (Blackman, Vigna) seeded through splitmix64: the same seed gives the same bytes
// everywhere. For simulations and tests only. Not thread-safe.
class SeededRandom : public Random {
 public:
  explicit SeededRandom(uint64_t seed);
  void Fill(std::span<uint8_t> out) override;
  uint64_t Uniform(uint64_t bound) override;
  uint64_t Next();

 private:
  uint64_t state_[4];
};

}  // namespace meridian
