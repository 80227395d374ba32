#include "crypto/segment_sealer.h"

#include <array>

#include "base/check.h"
#include "crypto/aes_gcm.h"

namespace meridian::crypto {
namespace {

// nonce = 0(4), sequence(8, big endian)
class Nonce {
 public:
  explicit Nonce(uint64_t sequence) {
    for (size_t i = 0; i < 8; ++i)
      bytes_[kNonceBytes - 1 - i] = static_cast<char>(sequence >> 8 * i);
  }
  std::string_view view() const { return {bytes_.data(), bytes_.size()}; }

 private:
  std::array<char, kNonceBytes> bytes_{};
};

}  // namespace

void SegmentSealer::Seal(uint64_t sequence, std::string_view aad,
                         std::span<const std::string_view> payload, char* out) const {
  CHECK_INVARIANT(sequence >= next_.load() && sequence != UINT64_MAX,
                  "a journal nonce would be used twice (P20)");
  next_.store(sequence + 1);
  ThreadAesGcm(key_)->Seal(Nonce(sequence).view(), aad, payload, out);
}

absl::Status SegmentSealer::Open(uint64_t sequence, std::string_view aad, std::string_view sealed,
                                 char* out) const {
  return ThreadAesGcm(key_)->Open(Nonce(sequence).view(), aad, sealed, out);
}

}  // namespace meridian::crypto
