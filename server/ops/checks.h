// What requests may hold. INVALID_ARGUMENT, with the reason and the field, says what does not fit.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "base/id.h"
#include "meridian/internal/v1/records.pb.h"
#include "meridian/v1/objects.pb.h"
#include "meridian/v1/types.pb.h"

namespace meridian::ops {

inline constexpr size_t kMaxNameBytes = 1024;
inline constexpr size_t kMaxContentTypeBytes = 256;
inline constexpr size_t kMaxMetadataEntries = 64;
inline constexpr size_t kMaxMetadataKeyBytes = 128;
inline constexpr size_t kMaxMetadataBytes = 8 << 10;  // keys and values together
inline constexpr size_t kMaxDelimiterBytes = 16;
inline constexpr size_t kMaxEtagBytes = 64;  // twice what any of ours has
inline constexpr uint64_t kMaxObjectBytes = uint64_t{5} << 40;

bool IsUtf8(std::string_view text);

absl::Status CheckObjectName(std::string_view name);
absl::Status CheckContentType(std::string_view content_type);
absl::Status CheckMetadata(const google::protobuf::Map<std::string, std::string>& metadata);
// Name, content type, metadata, size.
absl::Status CheckWriteSpec(const v1::WriteSpec& spec);

absl::StatusOr<VersionId> ParseVersionId(const std::string& hex);
absl::StatusOr<internal::v1::Condition> ParseCondition(const v1::WriteCondition& condition);
// For calls where only if_match makes sense.
absl::StatusOr<internal::v1::Condition> ParseIfMatch(const v1::WriteCondition& condition);
// 0: `when_zero`; more than `max`: `max`.
absl::StatusOr<size_t> ParsePageSize(int32_t page_size, size_t when_zero, size_t max);

// The stamp of a request that asks for `digest`.
absl::StatusOr<internal::v1::RequestStamp> ParseRequestId(const v1::RequestId& request,
                                                          std::string digest);

}  // namespace meridian::ops
