#include "server/ops/page_token.h"

#include <vector>

#include "absl/strings/escaping.h"
#include "base/status.h"
#include "server/ops/errors.h"

namespace meridian::ops {
namespace {

constexpr size_t kMacBytes = 16;

std::string MacOf(const crypto::ContainerKeys& keys, std::span<const std::string_view> parameters,
                  std::string_view position) {
  std::vector<std::string_view> parts = {"page token"};
  parts.insert(parts.end(), parameters.begin(), parameters.end());
  parts.push_back(position);
  return keys.RecordMac(parts).substr(0, kMacBytes);
}

}  // namespace

std::string EncodePageToken(const crypto::ContainerKeys& keys,
                            std::span<const std::string_view> parameters,
                            std::string_view position) {
  const std::string token = MacOf(keys, parameters, position) + std::string(position);
  return absl::WebSafeBase64Escape(token);
}

absl::StatusOr<std::string> DecodePageToken(const crypto::ContainerKeys& keys,
                                            std::span<const std::string_view> parameters,
                                            std::string_view token) {
  std::string decoded;
  if (!absl::WebSafeBase64Unescape(ToAbsl(token), &decoded) || decoded.size() < kMacBytes) {
    return InvalidPageToken();
  }
  std::string position = decoded.substr(kMacBytes);
  if (!crypto::ConstantTimeEqual(MacOf(keys, parameters, position),
                                 std::string_view(decoded).substr(0, kMacBytes))) {
    return InvalidPageToken();
  }
  return position;
}

}  // namespace meridian::ops
