// That groups went on without a quorum, as the coordination store keeps it (P23).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "meridian/v1/cluster.pb.h"

namespace meridian::server {

// "recovered/<partition hex>", written in the transaction that recovers the group, and there until
// an administrator acknowledges it.
inline constexpr char kRecoveredKeyPrefix[] = "recovered/";
std::string RecoveredKeyOf(PartitionId partition);

// The newest last. Of more than 16 the oldest are left out.
std::string EncodeRecoveries(std::vector<v1::GroupRecovery> recoveries);
// DATA_LOSS if it is none, FAILED_PRECONDITION if it is of a version not known here.
absl::StatusOr<std::vector<v1::GroupRecovery>> DecodeRecoveries(std::string_view encoded);

}  // namespace meridian::server
