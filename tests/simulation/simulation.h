// One run of the whole cluster from one seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/cluster.h"
#include "tests/simulation/history.h"
#include "tests/simulation/totals.h"

namespace meridian::simulation {

struct SimulationResult {
  // What the clients' histories show: an object that is no register, or whose acknowledged bytes
  // could not be read at the end (I1, I2).
  std::vector<std::string> seen_by_clients;
  // What only a look inside shows: replicas that differ at the end, two that serve in one epoch
  // (I3, I5), a redundancy that is shown and not kept.
  std::vector<std::string> seen_inside;
  Totals totals;
  // Equal for equal seeds.
  uint64_t trace = 0;
};

// At least `operations` client operations under faults; then all faults end, every object is read,
// and the replicas are compared.
SimulationResult RunSimulation(uint64_t seed, uint64_t operations, const Plant& plant = {});

// What the clients of the run on this thread have seen so far; null: none runs. For a harness that
// asks what was visible before a broken invariant stopped the process.
const History* RunningHistory();

}  // namespace meridian::simulation
