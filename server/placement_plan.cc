#include "server/placement_plan.h"

#include <algorithm>
#include <optional>

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

// Whether a replica that is on the node, on a disk that the node still has, is not to stay: until
// it has left, the node takes no other of the group (P6).
bool HasLeaving(const GroupInPlan& group, const std::vector<DiskInPlan>& disks,
                const NodeId& node) {
  return std::any_of(group.config.members.begin(), group.config.members.end(),
                     [&](const Member& member) {
                       return member.node == node && FindDisk(disks, member) != nullptr;
                     });
}

}  // namespace

absl::StatusOr<std::vector<Member>> PlanMembers(const GroupInPlan& group,
                                                const std::vector<DiskInPlan>& disks,
                                                absl::Duration patience, Random& random) {
  std::vector<Member> staying;
  std::vector<PlacedReplica> places;
  for (const Member& member : group.config.members) {
    const DiskInPlan* disk = FindDisk(disks, member);
    if (disk == nullptr || disk->draining || IsSilent(group, member, patience)) continue;
    staying.push_back(member);
    places.push_back({member.node, member.disk});
  }
  std::vector<replication::PlacementDisk> usable;
  for (const DiskInPlan& disk : disks) {
    const PlacedReplica place{disk.disk.node, disk.disk.disk};
    const bool taken = std::find(places.begin(), places.end(), place) != places.end();
    if (taken || (disk.present && !disk.draining && !HasLeaving(group, disks, disk.disk.node))) {
      usable.push_back(disk.disk);
    }
  }
  ASSIGN_OR_RETURN(const std::vector<PlacedReplica> placed,
                   replication::PlaceGroup(group.policy, group.region, usable, places));
  std::vector<Member> planned;
  // In the order of the configuration, so that an unchanged group compares equal.
  for (const Member& member : staying) {
    const PlacedReplica place{member.node, member.disk};
    if (std::find(placed.begin(), placed.end(), place) != placed.end()) planned.push_back(member);
  }
  for (const PlacedReplica& place : placed) {
    if (FindAt(staying, place)) continue;
    std::optional<Member> begun = FindAt(group.config.learners, place);
    if (!begun) begun = FindAt(group.last_plan, place);
    planned.push_back(begun.value_or(Member{ReplicaId::Draw(random), place.node, place.disk}));
  }
  return planned;
}

size_t CountSilent(const GroupInPlan& group, absl::Duration patience) {
  return static_cast<size_t>(
      std::count_if(group.config.members.begin(), group.config.members.end(),
                    [&](const Member& member) { return IsSilent(group, member, patience); }));
}

}  // namespace meridian::server
