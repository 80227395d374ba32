// The cluster under faults, from 2,000 seeds (I1-I5, I12). To replay one:
//   bazel run //tests/simulation:simulation_test -- --seed N
#include "tests/simulation/simulation.h"

#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "gtest/gtest.h"
#include "tests/simulation/seeds.h"

namespace meridian::simulation {
namespace {

constexpr uint64_t kFirstSeed = 1;
constexpr uint64_t kOperations = 1000;

uint64_t SeedCount() {
  const char* text = getenv("MERIDIAN_SEEDS");
  return text == nullptr ? 2000 : strtoull(text, nullptr, 10);
}

TEST(Simulation, EverySeedIsLinearizableAndLosesNothing) {
  uint64_t replayed = 0;
  const bool replay = SeedToReplay(replayed);
  const SeedsResult result =
      replay ? RunSeeds(replayed, 1, kOperations) : RunSeeds(kFirstSeed, SeedCount(), kOperations);
  printf("%llu seeds\n%s", static_cast<unsigned long long>(result.seeds),
         result.totals.ToString().c_str());
  for (const std::string& failure : result.failures) ADD_FAILURE() << failure;
  if (replay) return;
  EXPECT_EQ(result.seeds, SeedCount());
  EXPECT_GE(result.totals.operations, result.seeds * kOperations);
  // A fault that never strikes tests nothing.
  for (const std::string& zero : result.totals.Zeros()) ADD_FAILURE() << zero << ": never";
}

TEST(Simulation, ASeedReplaysItself) {
  for (uint64_t seed = 1; seed <= 3; ++seed) {
    const SimulationResult first = RunSimulation(seed, 300);
    const SimulationResult second = RunSimulation(seed, 300);
    EXPECT_EQ(first.trace, second.trace);
    EXPECT_EQ(first.totals.ToString(), second.totals.ToString());
  }
  EXPECT_NE(RunSimulation(1, 300).trace, RunSimulation(2, 300).trace);
}

}  // namespace
}  // namespace meridian::simulation

int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  for (int i = 1; i + 1 < argc; ++i) {
    if (strcmp(argv[i], "--seed") == 0) setenv("MERIDIAN_SEED", argv[i + 1], 1);
  }
  return RUN_ALL_TESTS();
}
