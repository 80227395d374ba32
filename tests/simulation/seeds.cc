#include "tests/simulation/seeds.h"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <thread>

#include "absl/strings/str_cat.h"

namespace meridian::simulation {
namespace {

thread_local uint64_t running_seed = 0;

// Only what is safe in a signal handler: the process is about to end.
void PrintSeedAndDie(int signal_number) {
  char line[64];
  const int size = snprintf(line, sizeof(line), "simulation: seed %llu\n",
                            static_cast<unsigned long long>(running_seed));
  if (size > 0 && write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0) _exit(1);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

}  // namespace

bool SeedToReplay(uint64_t& seed) {
  const char* text = getenv("MERIDIAN_SEED");
  if (text == nullptr || *text == '\0') return false;
  seed = strtoull(text, nullptr, 10);
  return true;
}

SeedsResult RunSeeds(uint64_t first, uint64_t count, uint64_t operations, const Plant& plant) {
  signal(SIGABRT, PrintSeedAndDie);
  signal(SIGSEGV, PrintSeedAndDie);
  SeedsResult result{.seeds = count, .totals = {}, .failures = {}};
  std::mutex mutex;
  std::atomic<uint64_t> next{first};
  const auto work = [&] {
    for (uint64_t seed = next++; seed < first + count; seed = next++) {
      running_seed = seed;
      const SimulationResult run = RunSimulation(seed, operations, plant);
      std::lock_guard lock(mutex);
      result.totals.Add(run.totals);
      for (const auto* violations : {&run.seen_by_clients, &run.seen_inside}) {
        for (const std::string& violation : *violations) {
          result.failures.push_back(absl::StrCat("seed ", seed, ": ", violation));
        }
      }
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < std::max(1u, std::thread::hardware_concurrency()); ++i) {
    threads.emplace_back(work);
  }
  for (std::thread& thread : threads) thread.join();
  return result;
}

}  // namespace meridian::simulation
