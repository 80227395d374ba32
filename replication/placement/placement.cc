#include "replication/placement/placement.h"

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"

namespace meridian::replication {
namespace {

enum class Copy { kWhole, kBegun, kNone };

// The best disk of each node: nodes that have a replica of the group first, then the least loaded;
// loads count whole nodes.
struct Candidate {
  Copy copy = Copy::kNone;  // of the group, on the disk
  size_t node_replicas = 0;
  const PlacementDisk* disk = nullptr;  // with the group's replica, else with the fewest replicas

  bool operator<(const Candidate& other) const {
    return std::tie(copy, node_replicas, disk->node) <
           std::tie(other.copy, other.node_replicas, other.disk->node);
  }
};

using ZoneCandidates = std::map<std::string, std::vector<Candidate>>;

Copy CopyOn(const PresentReplicas& present, const PlacementDisk& disk) {
  const auto has = [&](const std::vector<PlacedReplica>& replicas) {
    return std::find(replicas.begin(), replicas.end(), PlacedReplica{disk.node, disk.disk}) !=
           replicas.end();
  };
  return has(present.whole) ? Copy::kWhole : has(present.begun) ? Copy::kBegun : Copy::kNone;
}

ZoneCandidates CandidatesOf(const std::string& region, const std::vector<PlacementDisk>& disks,
                            const PresentReplicas& present) {
  std::map<std::string, std::map<NodeId, Candidate>> zones;
  for (const PlacementDisk& disk : disks) {
    if (disk.region != region) continue;
    Candidate& candidate = zones[disk.zone][disk.node];
    candidate.node_replicas += disk.replica_count;
    const Copy copy = CopyOn(present, disk);
    if (candidate.disk == nullptr ||
        std::tie(copy, disk.replica_count, disk.disk) <
            std::tie(candidate.copy, candidate.disk->replica_count, candidate.disk->disk)) {
      candidate.disk = &disk;
      candidate.copy = copy;
    }
  }
  ZoneCandidates sorted;
  for (const auto& [zone, nodes] : zones) {
    for (const auto& [node, candidate] : nodes) sorted[zone].push_back(candidate);
    std::sort(sorted[zone].begin(), sorted[zone].end());
  }
  return sorted;
}

absl::StatusOr<std::vector<PlacedReplica>> PlaceInOneZone(const std::string& region,
                                                          const ZoneCandidates& zones) {
  const std::vector<Candidate>* best = nullptr;
  std::tuple<size_t, size_t, size_t> best_cost;
  size_t most_nodes = 0;
  for (const auto& [zone, nodes] : zones) {
    most_nodes = std::max(most_nodes, nodes.size());
    if (nodes.size() < kReplicasOfAGroup) continue;
    std::tuple<size_t, size_t, size_t> cost;
    auto& [to_make, to_begin, load] = cost;
    for (size_t i = 0; i < kReplicasOfAGroup; ++i) {
      to_make += nodes[i].copy != Copy::kWhole;
      to_begin += nodes[i].copy == Copy::kNone;
      load += nodes[i].node_replicas;
    }
    if (best == nullptr || cost < best_cost) {
      best = &nodes;
      best_cost = cost;
    }
  }
  if (best == nullptr) {
    return absl::FailedPreconditionError(absl::StrCat("LRS needs a zone with ", kReplicasOfAGroup,
                                                      " nodes, and no zone of region ", region,
                                                      " has more than ", most_nodes));
  }
  std::vector<PlacedReplica> placed;
  for (size_t i = 0; i < kReplicasOfAGroup; ++i) {
    placed.push_back({(*best)[i].disk->node, (*best)[i].disk->disk});
  }
  return placed;
}

absl::StatusOr<std::vector<PlacedReplica>> PlaceInThreeZones(const std::string& region,
                                                             const ZoneCandidates& zones) {
  if (zones.size() < kReplicasOfAGroup) {
    return absl::FailedPreconditionError(absl::StrCat("ZRS needs ", kReplicasOfAGroup,
                                                      " zones with a node each, and region ",
                                                      region, " has ", zones.size()));
  }
  std::vector<Candidate> best_of_zones;
  for (const auto& [zone, nodes] : zones) best_of_zones.push_back(nodes.front());
  std::sort(best_of_zones.begin(), best_of_zones.end());
  std::vector<PlacedReplica> placed;
  for (size_t i = 0; i < kReplicasOfAGroup; ++i) {
    placed.push_back({best_of_zones[i].disk->node, best_of_zones[i].disk->disk});
  }
  return placed;
}

}  // namespace

absl::StatusOr<std::vector<PlacedReplica>> PlaceGroup(PlacementPolicy policy,
                                                      const std::string& region,
                                                      const std::vector<PlacementDisk>& disks,
                                                      const PresentReplicas& present) {
  const ZoneCandidates zones = CandidatesOf(region, disks, present);
  if (zones.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("region ", region, " has no node that replicas can be placed on"));
  }
  return policy == PlacementPolicy::kOneZone ? PlaceInOneZone(region, zones)
                                             : PlaceInThreeZones(region, zones);
}

}  // namespace meridian::replication
