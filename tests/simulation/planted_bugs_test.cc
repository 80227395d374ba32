// Each planted bug is found: from the clients' histories alone, wherever clients can notice it.
#include "tests/simulation/planted_bugs.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <vector>

#include "gtest/gtest.h"
#include "tests/simulation/checker.h"
#include "tests/simulation/simulation.h"

namespace meridian::simulation {
namespace {

constexpr uint64_t kOperations = 1000;
constexpr int kTrials = 5;
// A trial that needs more has failed.
constexpr uint64_t kMaxSeeds = 200;

enum class Verdict { kNothing = 0, kFound = 10, kStoppedItself = 11 };

// The product stops itself where it sees an invariant broken; clients may have seen it before.
void JudgeAndDie(int) {
  const History* history = RunningHistory();
  const bool seen = history != nullptr && !CheckHistory(*history).empty();
  _exit(static_cast<int>(seen ? Verdict::kFound : Verdict::kStoppedItself));
}

using Violations = std::vector<std::string> SimulationResult::*;

// In a process of its own, as a planted bug may end it.
Verdict RunInChild(uint64_t seed, const Plant& plant, Violations where) {
  fflush(nullptr);
  const pid_t child = fork();
  if (child == 0) {
    if (freopen("/dev/null", "w", stderr) == nullptr) _exit(1);
    signal(SIGABRT, JudgeAndDie);
    const SimulationResult result = RunSimulation(seed, kOperations, plant);
    _exit(static_cast<int>((result.*where).empty() ? Verdict::kNothing : Verdict::kFound));
  }
  int status = 0;
  if (child < 0 || waitpid(child, &status, 0) != child) return Verdict::kNothing;
  return WIFEXITED(status) ? static_cast<Verdict>(WEXITSTATUS(status)) : Verdict::kStoppedItself;
}

void ExpectFound(const char* name, const Plant& plant,
                 Violations where = &SimulationResult::seen_by_clients) {
  std::vector<uint64_t> seeds_needed;
  uint64_t stopped = 0;
  for (int trial = 0; trial < kTrials; ++trial) {
    uint64_t tried = 0;
    Verdict verdict = Verdict::kNothing;
    while (verdict != Verdict::kFound && tried < kMaxSeeds) {
      verdict = RunInChild(1'000'000 * (trial + 1) + ++tried, plant, where);
      if (verdict == Verdict::kStoppedItself) ++stopped;
    }
    EXPECT_EQ(verdict, Verdict::kFound) << name << ": not found in " << tried << " seeds";
    seeds_needed.push_back(tried);
  }
  std::sort(seeds_needed.begin(), seeds_needed.end());
  printf("%s: found after %llu seeds (median of %d trials); %llu runs stopped themselves\n", name,
         static_cast<unsigned long long>(seeds_needed[kTrials / 2]), kTrials,
         static_cast<unsigned long long>(stopped));
}

TEST(PlantedBugs, AReplyBeforeTheSyncIsFound) {
  ExpectFound("reply before sync", ReplyBeforeSync());
}

TEST(PlantedBugs, ALeadersVoteCountedEarlyIsFound) {
  ExpectFound("leader's own vote counted early", LeaderCountsItsVoteEarly());
}

TEST(PlantedBugs, AnOldEpochAcceptedIsFound) {
  ExpectFound("old epoch accepted", OldEpochAccepted());
}

TEST(PlantedBugs, AChunkAcknowledgedButMissingIsFound) {
  ExpectFound("chunk acknowledged but missing", ChunkAcknowledgedButMissing());
}

TEST(PlantedBugs, AChildThatBeginsEmptyIsFound) {
  ExpectFound("child begins empty", ChildBeginsEmpty());
}

TEST(PlantedBugs, ARedundancyThatIsShownEarlyIsFound) {
  ExpectFound("redundancy shown early", RedundancyShownEarly(), &SimulationResult::seen_inside);
}

}  // namespace
}  // namespace meridian::simulation
