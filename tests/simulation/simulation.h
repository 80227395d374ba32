// One run of the whole cluster from one seed.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tests/simulation/cluster.h"
#include "tests/simulation/totals.h"

namespace meridian::simulation {

struct SimulationResult {
  // What the clients' histories show: an object that is no register, or whose acknowledged bytes
  // could not be read at the end (I1, I2).
  std::vector<std::string> seen_by_clients;
  // What only a look inside shows: replicas that differ at the end, two that serve in one epoch
  // (I3, I5).
  std::vector<std::string> seen_inside;
  Totals totals;
  // Equal for equal seeds.
  uint64_t trace = 0;
};

// At least `operations` client operations under faults; then all faults end, every object is read,
// and the replicas are compared.
SimulationResult RunSimulation(uint64_t seed, uint64_t operations, const Plant& plant = {});

}  // namespace meridian::simulation
