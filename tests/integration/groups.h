// The groups of a cluster as its administrator sees them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "client/admin.h"

namespace meridian {

// All groups of a container, in the order of their partitions.
absl::StatusOr<std::vector<v1::Group>> GroupsOf(Admin& admin, const std::string& container,
                                                bool with_digest = false);

// The first of them; an empty one if there is none, or nobody says.
v1::Group GroupOf(Admin& admin, const std::string& container, bool with_digest = false);

// Until every group of the container is HEALTHY; the node that leads the first. DEADLINE_EXCEEDED
// with what is wrong.
absl::StatusOr<std::string> AwaitHealthyLeader(Admin& admin, const std::string& container,
                                               absl::Duration at_most = absl::Minutes(2));

// Until each group of the container has three voters and no learner, all of which answer and have
// the same state after the same log entry. DEADLINE_EXCEEDED with what is missing.
absl::Status AwaitEqualReplicas(Admin& admin, const std::string& container,
                                absl::Duration at_most = absl::Seconds(60));

}  // namespace meridian
