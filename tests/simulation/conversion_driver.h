// Changes the redundancy of containers as server::ConversionDriver does, in the same steps under
// the same conditions, on nodes that may die between any two of them; and what asks for that, at
// random: another redundancy, or to take it back.
#pragma once

#include <cstdint>

#include "base/random.h"
#include "tests/simulation/cluster.h"
#include "tests/simulation/keeper_turn.h"
#include "tests/simulation/placement_keeper.h"

namespace meridian::simulation {

// Not thread-safe.
class ConversionDriver {
 public:
  // `cluster` outlives the scheduler's events; so do `placement` and this. `ends_early`: the
  // planted bug.
  ConversionDriver(Cluster& cluster, const PlacementKeeper& placement, uint64_t seed,
                   bool ends_early);

  void Start();
  // From now on none begins; what is under way is brought to its end.
  void BeginNoMore() { begins_ = false; }

 private:
  class Turn;

  // Asks for a change, now and then.
  void AskLater();
  void AskFor(size_t container);
  bool Dies() { return begins_ && random_.Uniform(16) == 0; }

  Cluster& cluster_;
  const PlacementKeeper& placement_;
  SeededRandom random_;
  const bool ends_early_;
  bool begins_ = true;
  KeeperTurns turns_;
};

}  // namespace meridian::simulation
