#include "server/telemetry/trace_context.h"

#include <algorithm>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace meridian::server {
namespace {

// version "-" trace id "-" parent id "-" flags
constexpr size_t kTraceIdAt = 3, kTraceIdSize = 32;
constexpr size_t kParentIdAt = 36, kParentIdSize = 16;
constexpr size_t kFlagsAt = 53, kFlagsSize = 2;
constexpr size_t kSize = 55;

bool IsHex(std::string_view text) {
  return std::all_of(text.begin(), text.end(),
                     [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool IsId(std::string_view text) {
  return IsHex(text) && text.find_first_not_of('0') != std::string_view::npos;
}

// Versions after 00 may add fields behind a further "-".
bool IsValid(std::string_view text) {
  if (text.size() < kSize || text[2] != '-' || text[35] != '-' || text[52] != '-') return false;
  const std::string_view version = text.substr(0, 2);
  if (!IsHex(version) || version == "ff") return false;
  if (text.size() > kSize && (version == "00" || text[kSize] != '-')) return false;
  return IsId(text.substr(kTraceIdAt, kTraceIdSize)) &&
         IsId(text.substr(kParentIdAt, kParentIdSize)) && IsHex(text.substr(kFlagsAt, kFlagsSize));
}

std::string DrawId(Random& random, size_t hex_digits) {
  std::string bytes(hex_digits / 2, '\0');
  random.Fill({reinterpret_cast<uint8_t*>(bytes.data()), bytes.size()});
  bytes.back() |= 1;  // never all 0
  return absl::BytesToHexString(bytes);
}

}  // namespace

TraceContext TraceContext::Continue(std::string_view traceparent, Random& random) {
  TraceContext context;
  context.span_id = DrawId(random, kParentIdSize);
  if (IsValid(traceparent)) {
    context.trace_id = traceparent.substr(kTraceIdAt, kTraceIdSize);
    context.flags = traceparent.substr(kFlagsAt, kFlagsSize);
  } else {
    context.trace_id = DrawId(random, kTraceIdSize);
  }
  return context;
}

std::string TraceContext::ToTraceparent() const {
  return absl::StrCat("00-", trace_id, "-", span_id, "-", flags);
}

}  // namespace meridian::server
