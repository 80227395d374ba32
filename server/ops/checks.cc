#include "server/ops/checks.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/errors.h"

namespace meridian::ops {
namespace {

using server::InvalidField;

absl::Status InvalidName(const std::string& message) {
  return server::Error(absl::StatusCode::kInvalidArgument, v1::INVALID_NAME,
                       absl::StrCat("name: ", message), {{"field", "name"}});
}

// The length of the sequence that a lead byte announces, and the least code point that needs it; 0
// for a byte that leads none.
std::pair<size_t, uint32_t> SequenceOf(uint8_t lead) {
  if (lead < 0x80) return {1, 0};
  if ((lead & 0xe0) == 0xc0) return {2, 0x80};
  if ((lead & 0xf0) == 0xe0) return {3, 0x800};
  if ((lead & 0xf8) == 0xf0) return {4, 0x10000};
  return {0, 0};
}

bool IsMetadataKeyByte(char byte) {
  return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '.' ||
         byte == '_' || byte == '-';
}

}  // namespace

bool IsUtf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto lead = static_cast<uint8_t>(text[i]);
    const auto [length, least] = SequenceOf(lead);
    if (length == 0 || i + length > text.size()) return false;
    uint32_t code_point = length == 1 ? lead : lead & (0x7f >> length);
    for (size_t k = 1; k < length; ++k) {
      const auto byte = static_cast<uint8_t>(text[i + k]);
      if ((byte & 0xc0) != 0x80) return false;
      code_point = code_point << 6 | (byte & 0x3f);
    }
    const bool surrogate = code_point >= 0xd800 && code_point <= 0xdfff;
    if (code_point < least || code_point > 0x10ffff || surrogate) return false;
    i += length;
  }
  return true;
}

absl::Status CheckObjectName(std::string_view name) {
  if (name.empty()) return InvalidName("must not be empty");
  if (name.size() > kMaxNameBytes) {
    return InvalidName(absl::StrCat("has ", name.size(), " bytes, at most ", kMaxNameBytes));
  }
  if (name.find('\0') != std::string_view::npos) return InvalidName("must not hold NUL");
  if (!IsUtf8(name)) return InvalidName("must be UTF-8");
  return absl::OkStatus();
}

absl::Status CheckContentType(std::string_view content_type) {
  if (content_type.size() > kMaxContentTypeBytes) {
    return InvalidField("content_type", absl::StrCat("at most ", kMaxContentTypeBytes, " bytes"));
  }
  const bool printable = std::all_of(content_type.begin(), content_type.end(),
                                     [](char byte) { return byte >= 0x20 && byte < 0x7f; });
  return printable ? absl::OkStatus()
                   : InvalidField("content_type", "must be ASCII without control characters");
}

absl::Status CheckMetadata(const google::protobuf::Map<std::string, std::string>& metadata) {
  if (metadata.size() > kMaxMetadataEntries) {
    return InvalidField("metadata", absl::StrCat("at most ", kMaxMetadataEntries, " entries"));
  }
  size_t total_bytes = 0;
  for (const auto& [key, value] : metadata) {
    if (key.empty() || key.size() > kMaxMetadataKeyBytes ||
        !std::all_of(key.begin(), key.end(), IsMetadataKeyByte)) {
      return InvalidField("metadata", absl::StrCat("a key has 1-", kMaxMetadataKeyBytes,
                                                   " characters of [a-z0-9._-]"));
    }
    if (!IsUtf8(value)) return InvalidField("metadata", "a value must be UTF-8");
    total_bytes += key.size() + value.size();
  }
  if (total_bytes > kMaxMetadataBytes) {
    return InvalidField("metadata", absl::StrCat("keys and values have ", total_bytes,
                                                 " bytes, at most ", kMaxMetadataBytes));
  }
  return absl::OkStatus();
}

absl::Status CheckWriteSpec(const v1::WriteSpec& spec) {
  RETURN_IF_ERROR(CheckObjectName(spec.name()));
  RETURN_IF_ERROR(CheckContentType(spec.content_type()));
  RETURN_IF_ERROR(CheckMetadata(spec.metadata()));
  if (spec.has_size_bytes() &&
      (spec.size_bytes() < 0 || static_cast<uint64_t>(spec.size_bytes()) > kMaxObjectBytes)) {
    return InvalidField("size_bytes", absl::StrCat("0 to ", kMaxObjectBytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<VersionId> ParseVersionId(const std::string& hex) {
  const std::optional<VersionId> id = VersionId::FromHex(hex);
  if (!id.has_value()) return InvalidField("version_id", "must be 32 lowercase hex digits");
  return *id;
}

absl::StatusOr<internal::v1::Condition> ParseCondition(const v1::WriteCondition& condition) {
  internal::v1::Condition parsed;
  switch (condition.condition_case()) {
    case v1::WriteCondition::kIfMatch:
      if (condition.if_match().empty()) {
        return InvalidField("condition.if_match", "must not be empty");
      }
      if (condition.if_match().size() > kMaxEtagBytes) {
        return InvalidField("condition.if_match",
                            absl::StrCat("at most ", kMaxEtagBytes, " bytes"));
      }
      parsed.set_if_match_etag(condition.if_match());
      break;
    case v1::WriteCondition::kIfNoneMatch:
      if (!condition.if_none_match()) {
        return InvalidField("condition.if_none_match", "must be true if it is set");
      }
      parsed.set_if_none_match(true);
      break;
    case v1::WriteCondition::CONDITION_NOT_SET:
      break;
  }
  return parsed;
}

absl::StatusOr<internal::v1::Condition> ParseIfMatch(const v1::WriteCondition& condition) {
  if (condition.has_if_none_match()) {
    return InvalidField("condition.if_none_match", "makes no sense for this call");
  }
  return ParseCondition(condition);
}

absl::StatusOr<size_t> ParsePageSize(int32_t page_size, size_t when_zero, size_t max) {
  if (page_size < 0) return InvalidField("page_size", "must not be negative");
  if (page_size == 0) return when_zero;
  return std::min(static_cast<size_t>(page_size), max);
}

absl::StatusOr<internal::v1::RequestStamp> ParseRequestId(const v1::RequestId& request,
                                                          std::string digest) {
  const std::optional<RequestId> id = RequestId::FromHex(request.id());
  if (!id.has_value()) return InvalidField("request_id.id", "must be 32 lowercase hex digits");
  // 9999-12-31: what a protobuf timestamp may say, so that microseconds do not overflow.
  constexpr int64_t kMaxSeconds = 253402300799;
  const auto& time = request.create_time();
  if (!request.has_create_time() || time.seconds() < 0 || time.seconds() > kMaxSeconds ||
      time.nanos() < 0 || time.nanos() > 999999999) {
    return InvalidField("request_id.create_time", "must be the time when the id was drawn");
  }
  internal::v1::RequestStamp stamp;
  stamp.set_id(std::string(id->bytes()));
  stamp.set_digest(std::move(digest));
  stamp.set_create_time_us(time.seconds() * 1000000 + time.nanos() / 1000);
  return stamp;
}

}  // namespace meridian::ops
