#include "server/placement_plan.h"

#include <algorithm>
#include <optional>
#include <set>
#include <string>

#include "base/status.h"

namespace meridian::server {
namespace {

using replication::Member;
using replication::PlacedReplica;

const DiskInPlan* FindDisk(const std::vector<DiskInPlan>& disks, const Member& member) {
  const auto found = std::find_if(disks.begin(), disks.end(), [&](const DiskInPlan& disk) {
    return disk.disk.disk == member.disk && disk.disk.node == member.node;
  });
  return found == disks.end() ? nullptr : &*found;
}

bool IsSilent(const GroupInPlan& group, const Member& member, absl::Duration patience) {
  const auto silence = group.silence.find(member.replica);
  return silence != group.silence.end() && silence->second >= patience;
}

std::optional<Member> FindAt(const std::vector<Member>& members, const PlacedReplica& place) {
  for (const Member& member : members) {
    if (member.node == place.node && member.disk == place.disk) return member;
  }
  return std::nullopt;
}

// The place of a member whose disk is not among `disks`, but whose node is.
std::optional<replication::PlacementDisk> PlaceOnNode(const std::vector<DiskInPlan>& disks,
                                                      const Member& member) {
  for (const DiskInPlan& disk : disks) {
    if (disk.disk.node != member.node) continue;
    return replication::PlacementDisk{member.node, disk.disk.zone, disk.disk.region, member.disk,
                                      0};
  }
  return std::nullopt;
}

std::optional<replication::PlacementDisk> PlaceOf(const std::vector<DiskInPlan>& disks,
                                                  const Member& member) {
  const DiskInPlan* disk = FindDisk(disks, member);
  return disk != nullptr ? disk->disk : PlaceOnNode(disks, member);
}

// Whether a member of the group is on the node, on a disk that the node still has: until it has
// left, the node takes no other of the group (P6).
bool HasOther(const GroupInPlan& group, const std::vector<DiskInPlan>& disks, const NodeId& node) {
  return std::any_of(group.config.members.begin(), group.config.members.end(),
                     [&](const Member& member) {
                       return member.node == node && FindDisk(disks, member) != nullptr;
                     });
}

}  // namespace

std::optional<replication::PlacementPolicy> PolicyOf(tenancy::Redundancy redundancy) {
  switch (redundancy) {
    case tenancy::Redundancy::kLrs:
      return replication::PlacementPolicy::kOneZone;
    case tenancy::Redundancy::kZrs:
      return replication::PlacementPolicy::kThreeZones;
    default:
      return std::nullopt;
  }
}

absl::StatusOr<std::vector<Member>> PlanMembers(const GroupInPlan& group,
                                                const std::vector<DiskInPlan>& disks,
                                                absl::Duration patience, Random& random) {
  std::vector<replication::PlacementDisk> usable;
  const auto is_usable = [&](const PlacedReplica& place) {
    return std::any_of(usable.begin(), usable.end(), [&](const auto& disk) {
      return disk.node == place.node && disk.disk == place.disk;
    });
  };
  std::vector<Member> staying;
  replication::PresentReplicas present;
  for (const Member& member : group.config.members) {
    const DiskInPlan* disk = FindDisk(disks, member);
    if ((disk != nullptr && disk->draining) || IsSilent(group, member, patience)) continue;
    const std::optional<replication::PlacementDisk> place = PlaceOf(disks, member);
    if (!place) continue;
    usable.push_back(*place);
    staying.push_back(member);
    present.whole.push_back({member.node, member.disk});
  }
  for (const DiskInPlan& disk : disks) {
    const PlacedReplica place{disk.disk.node, disk.disk.disk};
    if (!is_usable(place) && disk.present && !disk.draining &&
        !HasOther(group, disks, disk.disk.node)) {
      usable.push_back(disk.disk);
    }
  }
  std::vector<Member> begun;
  for (const auto* made : {&group.config.learners, &group.last_plan}) {
    for (const Member& member : *made) {
      const PlacedReplica place{member.node, member.disk};
      if (!is_usable(place) || FindAt(begun, place) || FindAt(staying, place)) continue;
      if (IsSilent(group, member, patience)) {
        std::erase_if(usable, [&](const auto& disk) { return disk.disk == place.disk; });
        continue;
      }
      begun.push_back(member);
      present.begun.push_back(place);
    }
  }
  ASSIGN_OR_RETURN(const std::vector<PlacedReplica> placed,
                   replication::PlaceGroup(group.policy, group.region, usable, present));
  std::vector<Member> planned;
  // In the order of the configuration, so that an unchanged group compares equal.
  for (const Member& member : staying) {
    const PlacedReplica place{member.node, member.disk};
    if (std::find(placed.begin(), placed.end(), place) != placed.end()) planned.push_back(member);
  }
  for (const PlacedReplica& place : placed) {
    if (FindAt(staying, place)) continue;
    planned.push_back(
        FindAt(begun, place).value_or(Member{ReplicaId::Draw(random), place.node, place.disk}));
  }
  return planned;
}

void GiveUp(const std::set<DiskId>& retired, const std::vector<DiskInPlan>& disks,
            GroupInPlan& group) {
  for (const auto* members : {&group.config.members, &group.config.learners}) {
    for (const Member& member : *members) {
      if (!retired.contains(member.disk) || FindDisk(disks, member) != nullptr) continue;
      group.silence[member.replica] = absl::InfiniteDuration();
    }
  }
}

bool KeepsPolicy(const GroupInPlan& group, const std::vector<DiskInPlan>& disks) {
  const replication::GroupConfig& config = group.config;
  if (!config.joint_old.empty() || !config.learners.empty()) return false;
  std::set<NodeId> nodes;
  std::set<std::string> zones;
  for (const Member& member : config.members) {
    const std::optional<replication::PlacementDisk> place = PlaceOf(disks, member);
    if (!place || place->region != group.region) return false;
    nodes.insert(place->node);
    zones.insert(place->zone);
  }
  const bool one_zone = group.policy == replication::PlacementPolicy::kOneZone;
  return config.members.size() == replication::kReplicasOfAGroup &&
         nodes.size() == replication::kReplicasOfAGroup &&
         zones.size() == (one_zone ? 1 : replication::kReplicasOfAGroup);
}

size_t CountCopies(const GroupInPlan& group, absl::Duration patience) {
  return static_cast<size_t>(
      std::count_if(group.config.members.begin(), group.config.members.end(),
                    [&](const Member& member) { return !IsSilent(group, member, patience); }));
}

}  // namespace meridian::server
