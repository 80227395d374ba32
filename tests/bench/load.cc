#include "tests/bench/load.h"

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
    const bool counts = shared.measuring;
    const absl::Status status = operation(shared.next.fetch_add(1));
    if (!status.ok()) {
      absl::MutexLock lock(&shared.mutex);
      shared.failure.Update(status);
      shared.stop = true;
      return;
    }
    // Counted if it ends in time, whenever it began: a closed loop has as many of either.
    if (counts && !shared.stop) {
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

// Sleeps, unless a thread fails.
void Wait(absl::Duration time, const Shared& shared) {
  const absl::Time end = absl::Now() + time;
  while (!shared.stop && absl::Now() < end) absl::SleepFor(absl::Milliseconds(10));
}

}  // namespace

absl::StatusOr<Result> Run(const Point& point, absl::Duration time, pid_t server,
                           const Operation& operation) {
  Shared shared;
  std::vector<std::thread> threads;
  for (int i = 0; i < point.in_flight; ++i) {
    threads.emplace_back([&] { Loop(operation, shared); });
  }
  Wait(time / 10, shared);
  absl::Duration cpu_before;
  absl::Duration cpu_after;
  absl::Status cpu_read;
  auto read_cpu = [&](absl::Duration& cpu) {
    if (server == 0) return;
    auto now = CpuTime(server);
    cpu_read.Update(now.status());
    if (now.ok()) cpu = *now;
  };
  read_cpu(cpu_before);
  const uint64_t ops_before = shared.next;
  const absl::Time start = absl::Now();
  shared.measuring = true;
  Wait(time, shared);
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start);
  const uint64_t ops_begun = shared.next - ops_before;
  read_cpu(cpu_after);
  shared.stop = true;
  for (std::thread& thread : threads) thread.join();

  absl::MutexLock lock(&shared.mutex);
  RETURN_IF_ERROR(shared.failure);
  RETURN_IF_ERROR(cpu_read);
  std::sort(shared.latencies_us.begin(), shared.latencies_us.end());
  Result result;
  result.point = point;
  // In a closed loop as many end as begin.
  result.ops_per_s = static_cast<double>(ops_begun) / seconds;
  result.mb_per_s = result.ops_per_s * static_cast<double>(point.size_bytes) / 1e6;
  result.p50_us = Percentile(shared.latencies_us, 0.50);
  result.p99_us = Percentile(shared.latencies_us, 0.99);
  if (server != 0 && ops_begun > 0) {
    result.server_cpu_us_per_op =
        absl::ToDoubleMicroseconds(cpu_after - cpu_before) / static_cast<double>(ops_begun);
  }
  return result;
}

}  // namespace meridian::bench
