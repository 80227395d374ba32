#include "tests/bench/load.h"

#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "tests/bench/server_process.h"

namespace meridian::bench {
namespace {

// What all threads of a run share.
struct Shared {
  std::atomic<uint64_t> next{0};
  std::atomic<uint64_t> done{0};
  std::atomic<bool> measuring{false};
  std::atomic<bool> stop{false};
  absl::Mutex mutex;
  absl::Status failure ABSL_GUARDED_BY(mutex);
  std::vector<int64_t> latencies_us ABSL_GUARDED_BY(mutex);
};

void Loop(const Operation& operation, Shared& shared) {
  std::vector<int64_t> latencies_us;
  while (!shared.stop) {
    const absl::Time start = absl::Now();
    const absl::Status status = operation(shared.next.fetch_add(1));
    if (!status.ok()) {
      absl::MutexLock lock(&shared.mutex);
      shared.failure.Update(status);
      shared.stop = true;
      return;
    }
    // What ends in the time measured counts, whenever it began: slow operations too.
    if (shared.measuring) {
      shared.done.fetch_add(1);
      latencies_us.push_back(absl::ToInt64Microseconds(absl::Now() - start));
    }
  }
  absl::MutexLock lock(&shared.mutex);
  shared.latencies_us.insert(shared.latencies_us.end(), latencies_us.begin(), latencies_us.end());
}

double Percentile(const std::vector<int64_t>& sorted, double share) {
  if (sorted.empty()) return 0;
  const auto index = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1));
  return static_cast<double>(sorted[index]);
}

// Of all processes together.
absl::StatusOr<absl::Duration> CpuTimeOf(const std::vector<pid_t>& processes) {
  absl::Duration sum;
  for (const pid_t process : processes) {
    ASSIGN_OR_RETURN(const absl::Duration time, CpuTime(process));
    sum += time;
  }
  return sum;
}

// Sleeps, unless a thread fails.
void Wait(absl::Duration time, const Shared& shared) {
  const absl::Time end = absl::Now() + time;
  while (!shared.stop && absl::Now() < end) absl::SleepFor(absl::Milliseconds(10));
}

}  // namespace

absl::StatusOr<Result> Run(const Point& point, absl::Duration time,
                           const std::vector<pid_t>& servers, const Operation& operation) {
  Shared shared;
  std::vector<std::thread> threads;
  for (int i = 0; i < point.in_flight; ++i) {
    threads.emplace_back([&] { Loop(operation, shared); });
  }
  Wait(time / 10, shared);
  const auto servers_before = CpuTimeOf(servers);
  const auto client_before = CpuTime(getpid());
  const absl::Time start = absl::Now();
  shared.measuring = true;
  Wait(time, shared);
  shared.measuring = false;
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  const auto servers_after = CpuTimeOf(servers);
  const auto client_after = CpuTime(getpid());
  const auto ops = static_cast<double>(shared.done.load());
  shared.stop = true;
  for (std::thread& thread : threads) thread.join();

  absl::MutexLock lock(&shared.mutex);
  RETURN_IF_ERROR(shared.failure);
  for (const auto* time : {&servers_before, &servers_after, &client_before, &client_after}) {
    RETURN_IF_ERROR(time->status());
  }
  std::sort(shared.latencies_us.begin(), shared.latencies_us.end());
  Result result;
  result.point = point;
  result.ops_per_s = ops / seconds;
  result.mb_per_s = result.ops_per_s * static_cast<double>(point.size_bytes) / 1e6;
  result.p50_us = Percentile(shared.latencies_us, 0.50);
  result.p99_us = Percentile(shared.latencies_us, 0.99);
  if (ops == 0) return result;
  if (!servers.empty()) {
    result.server_cpu_us_per_op =
        absl::ToDoubleMicroseconds(*servers_after - *servers_before) / ops;
  }
  result.client_cpu_us_per_op = absl::ToDoubleMicroseconds(*client_after - *client_before) / ops;
  return result;
}

Result Median(std::vector<Result> runs) {
  std::sort(runs.begin(), runs.end(),
            [](const Result& a, const Result& b) { return a.ops_per_s < b.ops_per_s; });
  return runs[runs.size() / 2];
}

}  // namespace meridian::bench
