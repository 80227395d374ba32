// Where a group's replicas should be, by its policy and by what has become of its disks: repair,
// drain, replacement of a disk and conversion of a policy are all the way from where they are to
// there. Pure; PlacementKeeper acts on it.
#pragma once

#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "replication/core/group_config.h"
#include "replication/placement/placement.h"
#include "tenancy/records.h"

namespace meridian::server {

// nullopt: of a policy that nothing can be placed by yet.
std::optional<replication::PlacementPolicy> PolicyOf(tenancy::Redundancy redundancy);

struct DiskInPlan {
  replication::PlacementDisk disk;
  // Its node has told lately that it runs: new replicas may go there.
  bool present = false;
  // The operator wants it, or its node, empty.
  bool draining = false;
};

struct GroupInPlan {
  replication::PlacementPolicy policy = replication::PlacementPolicy::kOneZone;
  std::string region;
  replication::GroupConfig config;
  // How long the leader has not heard each other replica.
  std::map<ReplicaId, absl::Duration> silence;
  // What the plan was last time: its new replicas keep their ids, so that what was begun goes on.
  std::vector<replication::Member> last_plan;
};

// The group's members to be: config.members if all is as it should be. A replica moves if its disk
// drains, if it was not heard for `patience`, or if the policy demands it; the others stay, and so
// does one whose disk is unknown, as long as it is heard: what nodes publish may be late. What is
// being made goes on where it was begun, unless that place drains, is gone or silent. A replica
// that is new, and everything that a disk has lost, gets a fresh id (P4). FAILED_PRECONDITION: the
// policy cannot be kept with the disks there are; what it lacks.
absl::StatusOr<std::vector<replication::Member>> PlanMembers(const GroupInPlan& group,
                                                             const std::vector<DiskInPlan>& disks,
                                                             absl::Duration patience,
                                                             Random& random);

// Members on these disks that no node has any more are not waited for: they count as silent for
// ever.
void GiveUp(const std::set<DiskId>& retired, const std::vector<DiskInPlan>& disks,
            GroupInPlan& group);

// Whether the configuration is what the policy wants: three members where it wants them, and nobody
// on the way in or out. A member whose place is not known is nowhere.
bool KeepsPolicy(const GroupInPlan& group, const std::vector<DiskInPlan>& disks);

// Members that their leader has heard within `patience`: the fewer, the more urgent is a repair.
size_t CountCopies(const GroupInPlan& group, absl::Duration patience);

}  // namespace meridian::server
