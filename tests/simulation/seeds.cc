#include "tests/simulation/seeds.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <thread>
#include <type_traits>

#include "absl/strings/str_cat.h"
#include "base/check.h"

namespace meridian::simulation {
namespace {

uint64_t running_seed = 0;

// Only what is safe in a signal handler: the process is about to end.
void PrintSeedAndDie(int signal_number) {
  char line[64];
  const int size = snprintf(line, sizeof(line), "simulation: seed %llu\n",
                            static_cast<unsigned long long>(running_seed));
  if (size > 0 && write(STDERR_FILENO, line, static_cast<size_t>(size)) < 0) _exit(1);
  signal(signal_number, SIG_DFL);
  raise(signal_number);
}

// Every `step`th seed from `first` on, below `end`.
SeedsResult RunEvery(uint64_t step, uint64_t first, uint64_t end, uint64_t operations,
                     const Plant& plant) {
  SeedsResult result;
  for (uint64_t seed = first; seed < end; seed += step) {
    running_seed = seed;
    const SimulationResult run = RunSimulation(seed, operations, plant);
    ++result.seeds;
    result.totals.Add(run.totals);
    for (const auto* violations : {&run.seen_by_clients, &run.seen_inside}) {
      for (const std::string& violation : *violations) {
        result.failures.push_back(absl::StrCat("seed ", seed, ": ", violation));
      }
    }
  }
  return result;
}

// From one process of this program to another: the numbers as they are in memory, then each failure
// and a zero byte.
std::string Encode(const SeedsResult& result) {
  static_assert(std::is_trivially_copyable_v<Totals>);
  std::string bytes(reinterpret_cast<const char*>(&result.seeds), sizeof(result.seeds));
  bytes.append(reinterpret_cast<const char*>(&result.totals), sizeof(result.totals));
  for (const std::string& failure : result.failures) bytes.append(failure).push_back('\0');
  return bytes;
}

std::optional<SeedsResult> Decode(std::string_view bytes) {
  SeedsResult result;
  if (bytes.size() < sizeof(result.seeds) + sizeof(result.totals)) return std::nullopt;
  memcpy(&result.seeds, bytes.data(), sizeof(result.seeds));
  bytes.remove_prefix(sizeof(result.seeds));
  memcpy(&result.totals, bytes.data(), sizeof(result.totals));
  bytes.remove_prefix(sizeof(result.totals));
  while (!bytes.empty()) {
    const size_t end = bytes.find('\0');
    if (end == std::string_view::npos) return std::nullopt;
    result.failures.emplace_back(bytes.substr(0, end));
    bytes.remove_prefix(end + 1);
  }
  return result;
}

// A process that runs its part of the seeds.
struct Worker {
  pid_t process = -1;
  int answer = -1;  // a pipe's end
};

template <typename Run>
Worker StartWorker(const Run& run) {
  int ends[2];
  CHECK_INVARIANT(pipe(ends) == 0, "no pipe for a worker");
  fflush(nullptr);
  const pid_t process = fork();
  CHECK_INVARIANT(process >= 0, "no process for a worker");
  if (process > 0) {
    close(ends[1]);
    return {process, ends[0]};
  }
  const std::string answer = Encode(run());
  for (size_t sent = 0; sent < answer.size();) {
    const ssize_t now = write(ends[1], answer.data() + sent, answer.size() - sent);
    if (now < 0 && errno != EINTR) _exit(1);
    sent += now < 0 ? 0 : static_cast<size_t>(now);
  }
  exit(0);  // with what a sanitizer looks for at the end
}

SeedsResult EndWorker(const Worker& worker) {
  std::string answer;
  char piece[4096];
  while (true) {
    const ssize_t now = read(worker.answer, piece, sizeof(piece));
    if (now < 0 && errno == EINTR) continue;
    if (now <= 0) break;
    answer.append(piece, static_cast<size_t>(now));
  }
  close(worker.answer);
  int status = 0;
  while (waitpid(worker.process, &status, 0) < 0 && errno == EINTR) {
  }
  SeedsResult result = Decode(answer).value_or(SeedsResult());
  if (!WIFEXITED(status) || WEXITSTATUS(status) != 0) {
    result.failures.push_back("a process ended itself: it has printed why, and at which seed");
  }
  return result;
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
  const uint64_t end = first + count;
  const uint64_t processes =
      std::min<uint64_t>(count, std::max(1u, std::thread::hardware_concurrency()));
  if (processes == 1) return RunEvery(1, first, end, operations, plant);
  std::vector<Worker> workers;
  for (uint64_t i = 0; i < processes; ++i) {
    workers.push_back(
        StartWorker([&] { return RunEvery(processes, first + i, end, operations, plant); }));
  }
  SeedsResult sum;
  for (const Worker& worker : workers) {
    SeedsResult result = EndWorker(worker);
    sum.seeds += result.seeds;
    sum.totals.Add(result.totals);
    sum.failures.insert(sum.failures.end(), result.failures.begin(), result.failures.end());
  }
  return sum;
}

}  // namespace meridian::simulation
