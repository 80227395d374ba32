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

// MAC and position.
absl::StatusOr<std::string> Decode(std::string_view token) {
  std::string decoded;
  if (!absl::WebSafeBase64Unescape(ToAbsl(token), &decoded) || decoded.size() < kMacBytes) {
    return InvalidPageToken();
  }
  return decoded;
}

}  // namespace

std::string EncodePageToken(const crypto::ContainerKeys& keys,
                            std::span<const std::string_view> parameters,
                            std::string_view position) {
  const std::string token = MacOf(keys, parameters, position) + std::string(position);
  return absl::WebSafeBase64Escape(token);
}

std::string_view NameOfPosition(std::string_view position) {
  return position.substr(0, position.find('\0'));
}

std::optional<std::string> EndOfPrefix(std::string_view prefix) {
  std::string end(prefix);
  while (!end.empty() && end.back() == '\xff') end.pop_back();
  if (end.empty()) return std::nullopt;
  end.back() = static_cast<char>(static_cast<unsigned char>(end.back()) + 1);
  return end;
}

std::optional<std::string> NextPartition(std::string_view prefix, std::string_view partition_end) {
  const std::optional<std::string> list_end = EndOfPrefix(prefix);
  if (partition_end.empty() || (list_end.has_value() && partition_end >= *list_end)) {
    return std::nullopt;
  }
  return std::string(partition_end);
}

absl::StatusOr<std::string> UnverifiedNameOf(std::string_view token) {
  ASSIGN_OR_RETURN(const std::string decoded, Decode(token));
  return std::string(NameOfPosition(std::string_view(decoded).substr(kMacBytes)));
}

absl::StatusOr<std::string> DecodePageToken(const crypto::ContainerKeys& keys,
                                            std::span<const std::string_view> parameters,
                                            std::string_view token) {
  ASSIGN_OR_RETURN(const std::string decoded, Decode(token));
  std::string position = decoded.substr(kMacBytes);
  if (!crypto::ConstantTimeEqual(MacOf(keys, parameters, position),
                                 std::string_view(decoded).substr(0, kMacBytes))) {
    return InvalidPageToken();
  }
  return position;
}

}  // namespace meridian::ops
