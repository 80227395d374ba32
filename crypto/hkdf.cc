#include "crypto/hkdf.h"

#include <algorithm>
#include <array>

#include "base/check.h"
#include "crypto/internal/hmac_context.h"

namespace meridian::crypto {
namespace {

constexpr size_t kBlockBytes = 64;
using Block = std::array<uint8_t, kBlockBytes>;

std::string_view View(const Block& block) {
  return {reinterpret_cast<const char*>(block.data()), block.size()};
}

}  // namespace

Hkdf::Hkdf(std::string_view key, std::string_view salt)
    : context_(std::make_unique<HmacContext>(HmacContext::Hash::kSha512, salt)) {
  Block prk;
  absl::MutexLock lock(&mutex_);
  context_->Update(key);
  context_->Final(prk.data());
  context_->SetKey(View(prk));
  SecureZero(prk.data(), prk.size());
}

Hkdf::~Hkdf() = default;

void Hkdf::Expand(std::string_view info, std::span<uint8_t> out) const {
  CHECK_INVARIANT(out.size() <= kMaxOutputBytes, "more than HKDF can expand");
  Block block;
  uint8_t counter = 0;
  absl::MutexLock lock(&mutex_);
  while (!out.empty()) {
    context_->Begin();
    if (counter > 0) context_->Update(View(block));
    context_->Update(info);
    ++counter;
    context_->Update({reinterpret_cast<const char*>(&counter), 1});
    context_->Final(block.data());
    const size_t n = std::min(out.size(), kBlockBytes);
    std::copy_n(block.begin(), n, out.begin());
    out = out.subspan(n);
  }
  SecureZero(block.data(), block.size());
}

SecretKey Hkdf::ExpandKey(std::string_view info) const {
  std::array<uint8_t, SecretKey::kSize> bytes;
  Expand(info, bytes);
  auto key = SecretKey::FromBytes({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  SecureZero(bytes.data(), bytes.size());
  return *std::move(key);
}

}  // namespace meridian::crypto
