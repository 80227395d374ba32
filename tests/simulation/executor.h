// Simulated time: one queue of events for the whole cluster, and strands and clocks that run by it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"

namespace meridian::simulation {

class Strand;

// Events run one at a time, in the order of their times, then of their making. Not thread-safe.
class Scheduler {
 public:
  // Later events have higher ones; never 0.
  using EventId = uint64_t;

  absl::Duration now() const { return now_; }
  // `strand` runs it, and outlives it; null: it runs as it is.
  EventId After(absl::Duration delay, Task task, Strand* strand = nullptr);
  // No effect if it has run.
  void Cancel(EventId event);
  // All of the strand's that have not run.
  void CancelAll(const Strand& strand);
  // False: there is no event left.
  bool RunNext();
  uint64_t events_run() const { return events_run_; }

  // A digest of all that has happened: two runs of one seed have the same.
  uint64_t trace() const { return trace_; }
  void Trace(uint64_t value) { trace_ = (trace_ ^ value) * 0x9e3779b97f4a7c15 + (trace_ >> 29); }

 private:
  using Due = std::pair<absl::Duration, EventId>;
  // Where an event waits: what the low bits of its id say.
  struct Slot {
    EventId event = 0;  // 0: free
    Strand* strand = nullptr;
    Task task;
  };
  static constexpr int kSlotBits = 20;

  Slot& SlotOf(EventId event) { return slots_[event & ((EventId{1} << kSlotBits) - 1)]; }
  Slot Take(Slot& slot);

  absl::Duration now_;
  uint64_t events_made_ = 0;
  std::vector<Due> queue_;  // a heap, the earliest at the front; cancelled events stay in it
  std::vector<Slot> slots_;
  std::vector<size_t> free_slots_;
  uint64_t events_run_ = 0;
  uint64_t trace_ = 0;
};

// The strand of one life of a node. Its timers run at `rate` times the true speed.
class Strand final : public Executor {
 public:
  // `scheduler` outlives the strand.
  Strand(Scheduler& scheduler, double rate) : scheduler_(scheduler), rate_(rate) {}
  ~Strand() override { Retire(); }

  void Post(Task task) override;
  TimerId PostAfter(absl::Duration delay, Task task) override;
  void Cancel(TimerId timer) override;
  absl::Duration MonotonicNow() override { return scheduler_.now() * rate_; }

  // The node's process has ended: drops what is queued, and what is posted from now on.
  void Retire();
  // SIGSTOP and SIGCONT: what falls due in between runs after Resume, in its order.
  void Pause() { paused_ = true; }
  void Resume();

  // For the scheduler: an event of this strand falls due.
  void Run(TimerId event, Task task);

 private:
  void RunOverdue(TimerId event);

  Scheduler& scheduler_;
  const double rate_;
  bool retired_ = false;
  bool paused_ = false;
  // Fell due during a pause and have not run, in that order.
  std::vector<std::pair<TimerId, Task>> overdue_;
};

// A node's clock: wrong by an offset that may jump, and by its rate.
class SkewedClock final : public Clock {
 public:
  SkewedClock(Scheduler& scheduler, double rate, absl::Duration offset)
      : scheduler_(scheduler), rate_(rate), offset_(offset) {}

  absl::Time WallNow() override {
    return absl::FromUnixSeconds(1700000000) + offset_ + scheduler_.now() * rate_;
  }
  absl::Duration MonotonicNow() override { return scheduler_.now() * rate_; }
  void Jump(absl::Duration by) { offset_ += by; }

 private:
  Scheduler& scheduler_;
  const double rate_;
  absl::Duration offset_;
};

}  // namespace meridian::simulation
