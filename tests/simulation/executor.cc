#include "tests/simulation/executor.h"

#include <algorithm>
#include <functional>
#include <memory>
#include <utility>

namespace meridian::simulation {

Scheduler::EventId Scheduler::After(absl::Duration delay, Task task) {
  const EventId event = ++last_event_;
  queue_.emplace_back(now_ + std::max(delay, absl::ZeroDuration()), event);
  std::push_heap(queue_.begin(), queue_.end(), std::greater<>());
  tasks_.emplace(event, std::move(task));
  return event;
}

void Scheduler::Cancel(EventId event) {
  const auto found = tasks_.find(event);
  if (found == tasks_.end()) return;
  const Task cancelled = std::move(found->second);  // destroying it may make or cancel events
  tasks_.erase(found);
}

bool Scheduler::RunNext() {
  while (!queue_.empty()) {
    std::pop_heap(queue_.begin(), queue_.end(), std::greater<>());
    const auto [when, event] = queue_.back();
    queue_.pop_back();
    const auto found = tasks_.find(event);
    if (found == tasks_.end()) continue;  // cancelled
    const Task task = std::move(found->second);
    tasks_.erase(found);
    now_ = when;
    ++events_run_;
    Trace(event);
    Trace(static_cast<uint64_t>(absl::ToInt64Nanoseconds(when)));
    task();
    return true;
  }
  return false;
}

void Strand::Post(Task task) { PostAfter(absl::ZeroDuration(), std::move(task)); }

Executor::TimerId Strand::PostAfter(absl::Duration delay, Task task) {
  if (retired_) return 0;
  // The event learns its id only after it was made.
  auto id = std::make_shared<TimerId>();
  *id = scheduler_.After(delay / rate_, [this, id, task = std::move(task)] { Run(*id, task); });
  queued_.insert(*id);
  return *id;
}

void Strand::Run(TimerId event, Task task) {
  if (paused_) {
    overdue_.emplace_back(event, std::move(task));
    return;
  }
  if (queued_.erase(event) > 0) task();
}

void Strand::Resume() {
  paused_ = false;
  for (auto& [event, task] : std::exchange(overdue_, {})) {
    scheduler_.After(absl::ZeroDuration(),
                     [this, event = event, task = std::move(task)] { Run(event, task); });
  }
}

void Strand::Cancel(TimerId timer) {
  if (queued_.erase(timer) > 0) scheduler_.Cancel(timer);
}

void Strand::Retire() {
  retired_ = true;
  // In the order of their making, as destroying a task may have effects.
  std::vector<TimerId> events(queued_.begin(), queued_.end());
  std::sort(events.begin(), events.end());
  queued_.clear();
  overdue_.clear();
  for (const TimerId event : events) scheduler_.Cancel(event);
}

}  // namespace meridian::simulation
