#include "server/placement_disks.h"

#include <map>
#include <set>

namespace meridian::server {

std::vector<DiskInPlan> PlacementDisks(const ClusterView& view) {
  std::map<DiskId, size_t> replicas;
  for (const auto& [partition, group] : view.groups()) {
    for (const auto* set : {&group.config.members, &group.config.learners}) {
      for (const replication::Member& member : *set) ++replicas[member.disk];
    }
  }
  const std::set<NodeId> alive = view.alive();
  const std::set<NodeId> draining = view.draining();
  const std::set<DiskId> retired = view.retired_disks();
  std::vector<DiskInPlan> disks;
  for (const auto& [node, record] : view.nodes()) {
    for (const DiskId& disk : record.disks) {
      disks.push_back({{node, record.zone, record.region, disk, replicas[disk]},
                       alive.contains(node),
                       draining.contains(node) || retired.contains(disk)});
    }
  }
  return disks;
}

}  // namespace meridian::server
