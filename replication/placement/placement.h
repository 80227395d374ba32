// Chooses where the replicas of a group go: never two in one failure domain of the policy.
#pragma once

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "replication/core/group_config.h"

namespace meridian::replication {

enum class PlacementPolicy {
  kOneZone,     // distinct nodes of one zone (LRS)
  kThreeZones,  // three zones of the region (ZRS)
};

inline constexpr size_t kReplicasOfAGroup = 3;

// A disk that replicas can be placed on.
struct PlacementDisk {
  NodeId node;
  std::string zone;
  std::string region;
  DiskId disk;
  // Already there: placement evens this out.
  size_t replica_count = 0;
};

struct PlacedReplica {
  NodeId node;
  DiskId disk;
  bool operator==(const PlacedReplica&) const = default;
};

// What a group has already: copies that are whole, and copies that are being made.
struct PresentReplicas {
  std::vector<PlacedReplica> whole;
  std::vector<PlacedReplica> begun;
};

// As many of the present replicas as the policy allows stay where they are, those that are whole
// first, whatever the disks' loads are; those on a disk that is not among `disks` cannot.
// Deterministic: the same disks in any order give the same answer. FAILED_PRECONDITION, saying what
// the region lacks, if the policy cannot be kept.
absl::StatusOr<std::vector<PlacedReplica>> PlaceGroup(PlacementPolicy policy,
                                                      const std::string& region,
                                                      const std::vector<PlacementDisk>& disks,
                                                      const PresentReplicas& present = {});

}  // namespace meridian::replication
