// Page tokens: where a list goes on, bound to the list's parameters by a MAC, so that a token of
// another list is refused and none can be made up. Positions begin with a name, which says in which
// partition the list goes on.
#pragma once

#include <optional>
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
// The name that a position begins with: up to a 0x00.
std::string_view NameOfPosition(std::string_view position);
// Of the position in a token that may be anybody's. INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
absl::StatusOr<std::string> UnverifiedNameOf(std::string_view token);
// The least string that no name with this prefix reaches; nullopt: there is none.
std::optional<std::string> EndOfPrefix(std::string_view prefix);
// After the last name of a partition that ends at `partition_end` (empty: no end), of a list of the
// names with that prefix: where the next partition goes on; nullopt if the list ends with this one.
std::optional<std::string> NextPartition(std::string_view prefix, std::string_view partition_end);

// INVALID_ARGUMENT (INVALID_PAGE_TOKEN).
absl::StatusOr<std::string> DecodePageToken(const crypto::ContainerKeys& keys,
                                            std::span<const std::string_view> parameters,
                                            std::string_view token);

}  // namespace meridian::ops
