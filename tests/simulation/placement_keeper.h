// Keeps groups where their containers' redundancies want them, as server::PlacementKeeper does: by
// the same plan, in the same order, and a keeper may die between any two of its steps.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <tuple>
#include <vector>

#include "base/id.h"
#include "base/random.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/keeper_turn.h"

namespace meridian::simulation {

// Not thread-safe.
class PlacementKeeper {
 public:
  // `cluster` outlives the scheduler's events; so does this.
  PlacementKeeper(Cluster& cluster, uint64_t seed);

  // Lets every node look after the partitions that it leads, again and again.
  void Start() { turns_.Start(); }
  // From now on none dies.
  void DieNoMore() { dies_ = false; }

  // As server::Placement::Settled.
  struct Settled {
    tenancy::Redundancy redundancy = tenancy::Redundancy::kLrs;
    Epoch epoch;
  };
  // What the node's process would tell of a partition that it leads.
  std::optional<Settled> SettledOf(const Node& node, PartitionId partition) const;

 private:
  class Turn;
  // Of a process: its node's life is a part.
  using Key = std::tuple<NodeId, uint64_t, PartitionId>;

  static Key KeyOf(const Node& node, PartitionId partition) {
    return {node.id(), node.life(), partition};
  }
  bool Dies() { return dies_ && random_.Uniform(16) == 0; }

  Cluster& cluster_;
  SeededRandom random_;
  bool dies_ = true;
  std::map<Key, Settled> settled_;
  // Of the groups whose members change.
  std::map<Key, std::vector<replication::Member>> plans_;
  KeeperTurns turns_;
};

}  // namespace meridian::simulation
