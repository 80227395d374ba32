#include "tests/simulation/executor.h"

#include <algorithm>
#include <functional>
#include <utility>

#include "base/check.h"

namespace meridian::simulation {

Scheduler::EventId Scheduler::After(absl::Duration delay, Task task, Strand* strand) {
  if (free_slots_.empty()) {
    CHECK_INVARIANT(slots_.size() < size_t{1} << kSlotBits, "too many events wait at once");
    free_slots_.push_back(slots_.size());
    slots_.emplace_back();
  }
  const size_t slot = free_slots_.back();
  free_slots_.pop_back();
  const EventId event = ++events_made_ << kSlotBits | slot;
  slots_[slot] = {event, strand, std::move(task)};
  queue_.emplace_back(now_ + std::max(delay, absl::ZeroDuration()), event);
  std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
  return event;
}

Scheduler::Slot Scheduler::Take(Slot& slot) {
  Slot taken = std::exchange(slot, {});
  free_slots_.push_back(static_cast<size_t>(&slot - slots_.data()));
  return taken;
}

void Scheduler::Cancel(EventId event) {
  if (event == 0) return;
  Slot& slot = SlotOf(event);
  if (slot.event != event) return;
  const Slot cancelled = Take(slot);  // destroying it may make or cancel events
}

void Scheduler::CancelAll(const Strand& strand) {
  std::vector<EventId> events;
  for (const Slot& slot : slots_) {
    if (slot.event != 0 && slot.strand == &strand) events.push_back(slot.event);
  }
  // In the order of their making, as destroying a task may have effects.
  std::sort(events.begin(), events.end());
  for (const EventId event : events) Cancel(event);
}

bool Scheduler::RunNext() {
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    const auto [when, event] = queue_.back();
    queue_.pop_back();
    Slot& slot = SlotOf(event);
    if (slot.event != event) continue;  // cancelled
    Slot due = Take(slot);
    now_ = when;
    ++events_run_;
    Trace(event);
    Trace(static_cast<uint64_t>(absl::ToInt64Nanoseconds(when)));
    if (due.strand != nullptr) {
      due.strand->Run(event, std::move(due.task));
    } else {
      due.task();
    }
    return true;
  }
  return false;
}

void Strand::Post(Task task) { PostAfter(absl::ZeroDuration(), std::move(task)); }

Executor::TimerId Strand::PostAfter(absl::Duration delay, Task task) {
  if (retired_) return 0;
  return scheduler_.After(delay / rate_, std::move(task), this);
}

void Strand::Run(TimerId event, Task task) {
  if (!paused_) return task();
  overdue_.emplace_back(event, std::move(task));
}

void Strand::Resume() {
  paused_ = false;
  for (const auto& [event, task] : overdue_) {
    scheduler_.After(absl::ZeroDuration(), [this, event = event] { RunOverdue(event); });
  }
}

void Strand::RunOverdue(TimerId event) {
  if (paused_) return;  // again: it waits for the next Resume
  const auto found = std::find_if(overdue_.begin(), overdue_.end(),
                                  [event](const auto& waiting) { return waiting.first == event; });
  if (found == overdue_.end()) return;
  const Task task = std::move(found->second);
  overdue_.erase(found);
  task();
}

void Strand::Cancel(TimerId timer) {
  scheduler_.Cancel(timer);
  const auto found = std::find_if(overdue_.begin(), overdue_.end(),
                                  [timer](const auto& waiting) { return waiting.first == timer; });
  if (found == overdue_.end()) return;
  const Task cancelled = std::move(found->second);  // destroying it may have effects
  overdue_.erase(found);
}

void Strand::Retire() {
  retired_ = true;
  scheduler_.CancelAll(*this);
  const auto dropped = std::exchange(overdue_, {});
}

}  // namespace meridian::simulation
