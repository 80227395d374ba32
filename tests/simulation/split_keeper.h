// Splits partitions (P7) as the nodes' keepers do: the same steps in the same order under the same
// conditions, but at random times, and a keeper may die between any two of them. Another goes on.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/keeper_turn.h"

namespace meridian::simulation {

// Not thread-safe.
class SplitKeeper {
 public:
  // `cluster` outlives the scheduler's events; so does this.
  SplitKeeper(Cluster& cluster, uint64_t seed);

  // Lets every node look after the partitions that it leads, again and again.
  void Start() { turns_.Start(); }
  // From now on no split begins; those under way are brought to their end.
  void BeginNoMore() { begins_ = false; }

 private:
  class Turn;

  bool MayBegin() { return begins_ && random_.Uniform(12) == 0; }
  bool Dies() { return begins_ && random_.Uniform(16) == 0; }

  Cluster& cluster_;
  SeededRandom random_;
  const size_t max_partitions_;  // of a container
  bool begins_ = true;
  KeeperTurns turns_;
};

}  // namespace meridian::simulation
