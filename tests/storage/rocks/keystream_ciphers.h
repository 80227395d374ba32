// File ciphers for tests: each file's key seeds a stream of its own. No security is meant.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "absl/synchronization/mutex.h"
#include "base/random.h"
#include "storage/rocks/file_cipher.h"

namespace meridian::storage {

class KeystreamCiphers : public FileCipherFactory {
 public:
  explicit KeystreamCiphers(uint64_t node_key = 1) : node_key_(node_key), random_(node_key) {}

  absl::StatusOr<std::string> NewWrappedKey() override {
    absl::MutexLock lock(&mutex_);
    const uint64_t file_key = random_.Next();
    return std::to_string(node_key_) + ":" + std::to_string(file_key);
  }

  absl::StatusOr<std::unique_ptr<FileCipher>> Open(std::string_view wrapped) override {
    const size_t colon = wrapped.find(':');
    if (wrapped.substr(0, colon) != std::to_string(node_key_)) {
      return absl::DataLossError("wrapped by another node key");
    }
    return std::make_unique<Keystream>(std::stoull(std::string(wrapped.substr(colon + 1))));
  }

 private:
  class Keystream : public FileCipher {
   public:
    explicit Keystream(uint64_t key) : key_(key) {}
    absl::Status Apply(uint64_t offset, char* data, size_t size_bytes) override {
      for (size_t i = 0; i < size_bytes; ++i) data[i] ^= Byte(offset + i);
      return absl::OkStatus();
    }

   private:
    // splitmix64 of the key and the position.
    char Byte(uint64_t position) const {
      uint64_t z = key_ + (position / 8 + 1) * 0x9e3779b97f4a7c15u;
      z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
      z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
      z ^= z >> 31;
      return static_cast<char>(z >> (8 * (position % 8)));
    }
    const uint64_t key_;
  };

  const uint64_t node_key_;
  absl::Mutex mutex_;
  SeededRandom random_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::storage
