#include "tenancy/names.h"

#include <algorithm>
#include <string>

#include "tenancy/errors.h"

namespace meridian::tenancy {
namespace {

constexpr size_t kMaxNameBytes = 63;
constexpr size_t kMaxDisplayNameBytes = 256;

bool IsLetterOrDigit(char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9'); }

absl::Status CheckName(std::string_view field, std::string_view kind, std::string_view name) {
  const std::string what = "the name of a " + std::string(kind);
  if (name.empty()) return InvalidNameError(field, what + " is empty");
  if (name.size() > kMaxNameBytes) {
    return InvalidNameError(field, what + " is longer than 63 characters");
  }
  if (!std::all_of(name.begin(), name.end(),
                   [](char c) { return IsLetterOrDigit(c) || c == '-'; })) {
    return InvalidNameError(field, what + " has only the characters a-z, 0-9 and '-'");
  }
  if (!IsLetterOrDigit(name.front())) {
    return InvalidNameError(field, what + " begins with a letter or a digit");
  }
  return absl::OkStatus();
}

// Bytes of the well-formed UTF-8 sequence (RFC 3629) that `text` begins with; 0 if there is none.
size_t SequenceBytes(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  if (first < 0x80) return 1;
  const size_t size = first >= 0xc2 && first <= 0xdf   ? 2
                      : first >= 0xe0 && first <= 0xef ? 3
                      : first >= 0xf0 && first <= 0xf4 ? 4
                                                       : 0;
  if (size == 0 || text.size() < size) return 0;
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  // Overlong forms, surrogates, and what lies beyond U+10FFFF.
  if ((first == 0xe0 && byte(1) < 0xa0) || (first == 0xed && byte(1) > 0x9f) ||
      (first == 0xf0 && byte(1) < 0x90) || (first == 0xf4 && byte(1) > 0x8f)) {
    return 0;
  }
  return size;
}

bool IsUtf8(std::string_view text) {
  while (!text.empty()) {
    const size_t size = SequenceBytes(text);
    if (size == 0) return false;
    text.remove_prefix(size);
  }
  return true;
}

}  // namespace

absl::Status CheckTenantName(std::string_view name) {
  return CheckName("tenant_id", "tenant", name);
}

absl::Status CheckContainerName(std::string_view name) {
  return CheckName("container_id", "container", name);
}

absl::Status CheckDisplayName(std::string_view text) {
  if (text.size() > kMaxDisplayNameBytes) {
    return InvalidFieldError("display_name", "a display name is at most 256 bytes long");
  }
  if (!IsUtf8(text)) return InvalidFieldError("display_name", "a display name is UTF-8");
  return absl::OkStatus();
}

}  // namespace meridian::tenancy
