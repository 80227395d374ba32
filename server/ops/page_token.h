// Page tokens: where a list goes on, bound to the list's parameters by a MAC, so that a token of
// another list is refused and none can be made up.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "crypto/container_keys.h"

namespace meridian::ops {

// `parameters` are those that must be the same for the next page, the kind of list among them.
std::string EncodePageToken(const crypto::ContainerKeys& keys,
                            std::span<const std::string_view> parameters,
                            std::string_view position);
// INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
absl::StatusOr<std::string> DecodePageToken(const crypto::ContainerKeys& keys,
                                            std::span<const std::string_view> parameters,
                                            std::string_view token);

}  // namespace meridian::ops
