// Runs many seeds on several threads.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/simulation/simulation.h"

namespace meridian::simulation {

// The seed that `--seed N` or MERIDIAN_SEED names, which is to be run alone; false: none.
bool SeedToReplay(uint64_t& seed);

struct SeedsResult {
  uint64_t seeds = 0;
  Totals totals;
  // "seed N: what", of seeds that failed.
  std::vector<std::string> failures;
};

// Runs seeds [first, first + count), so many at a time as there are processors. A process that a
// broken invariant stops prints the seed, too.
SeedsResult RunSeeds(uint64_t first, uint64_t count, uint64_t operations, const Plant& plant = {});

}  // namespace meridian::simulation
