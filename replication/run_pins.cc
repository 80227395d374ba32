#include "replication/run_pins.h"

#include <algorithm>

namespace meridian::replication {

std::shared_ptr<void> ReadPins::Pin(RunId run) {
  {
    absl::MutexLock lock(&state_->mutex);
    ++state_->pins[run];
  }
  return std::shared_ptr<void>(nullptr, [state = state_, run](void*) {
    absl::MutexLock lock(&state->mutex);
    if (--state->pins[run] == 0) state->pins.erase(run);
  });
}

bool ReadPins::IsPinned(RunId run) const {
  absl::MutexLock lock(&state_->mutex);
  return state_->pins.contains(run);
}

void LogPins::Add(const storage::LogEntry& entry) {
  Add(entry.index, entry.chunks);
  if (!entry.inline_run.is_nil()) Add(entry.index, entry.inline_run);
}

void LogPins::Add(LogIndex index, const std::vector<storage::ChunkRange>& chunks) {
  for (const storage::ChunkRange& range : chunks) Add(index, range.run);
}

void LogPins::Add(LogIndex index, RunId run) {
  LogIndex& highest = highest_[run];
  if (index <= highest) return;
  highest = index;
  by_index_.emplace(index, run);
}

bool LogPins::IsPinned(RunId run, LogIndex freeable) const {
  auto it = highest_.find(run);
  return it != highest_.end() && it->second > freeable;
}

void LogPins::Forget(LogIndex freeable) {
  auto end = by_index_.upper_bound(freeable);
  for (auto it = by_index_.begin(); it != end; ++it) {
    auto highest = highest_.find(it->second);
    if (highest != highest_.end() && highest->second <= freeable) highest_.erase(highest);
  }
  by_index_.erase(by_index_.begin(), end);
}

}  // namespace meridian::replication
