#include "replication/placement/placement.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "absl/strings/str_cat.h"

namespace meridian::replication {
namespace {

// The best disk of each node, the least loaded node first; loads count whole nodes.
struct Candidate {
  size_t node_replicas = 0;
  const PlacementDisk* disk = nullptr;  // with the fewest replicas

  bool operator<(const Candidate& other) const {
    return std::tie(node_replicas, disk->node) < std::tie(other.node_replicas, other.disk->node);
  }
};

using ZoneCandidates = std::map<std::string, std::vector<Candidate>>;

ZoneCandidates CandidatesOf(const std::string& region, const std::vector<PlacementDisk>& disks) {
  std::map<std::string, std::map<NodeId, Candidate>> zones;
  for (const PlacementDisk& disk : disks) {
    if (disk.region != region) continue;
    Candidate& candidate = zones[disk.zone][disk.node];
    candidate.node_replicas += disk.replica_count;
    if (candidate.disk == nullptr ||
        std::tie(disk.replica_count, disk.disk) <
            std::tie(candidate.disk->replica_count, candidate.disk->disk)) {
      candidate.disk = &disk;
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
  size_t best_load = 0;
  size_t most_nodes = 0;
  for (const auto& [zone, nodes] : zones) {
    most_nodes = std::max(most_nodes, nodes.size());
    if (nodes.size() < kReplicasOfAGroup) continue;
    size_t load = 0;
    for (size_t i = 0; i < kReplicasOfAGroup; ++i) load += nodes[i].node_replicas;
    if (best == nullptr || load < best_load) {
      best = &nodes;
      best_load = load;
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
                                                      const std::vector<PlacementDisk>& disks) {
  const ZoneCandidates zones = CandidatesOf(region, disks);
  if (zones.empty()) {
    return absl::FailedPreconditionError(
        absl::StrCat("region ", region, " has no node that replicas can be placed on"));
  }
  return policy == PlacementPolicy::kOneZone ? PlaceInOneZone(region, zones)
                                             : PlaceInThreeZones(region, zones);
}

}  // namespace meridian::replication
