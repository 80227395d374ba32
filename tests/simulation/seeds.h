// Runs many seeds in several processes.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/simulation.h"

namespace meridian::simulation {

// The seed that `--seed N` or MERIDIAN_SEED names, which is to be run alone; false: none.
bool SeedToReplay(uint64_t& seed);

struct SeedsResult {
  // That have come to their ends.
  uint64_t seeds = 0;
  Totals totals;
  // "seed N: what", of seeds that failed.
  std::vector<std::string> failures;
};

// Runs seeds [first, first + count), in as many processes as there are processors: each has one
// thread, in which what product code does to be thread-safe costs least. A process that a broken
// invariant stops prints the seed; its other seeds are missing.
SeedsResult RunSeeds(uint64_t first, uint64_t count, uint64_t operations, const Plant& plant = {});

}  // namespace meridian::simulation
