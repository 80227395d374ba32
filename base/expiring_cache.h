// A cache bounded in size and in time.
#pragma once

#include <functional>
#include <list>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/status.h"

namespace meridian {

// The least recently used entry makes room; an entry past its time is never returned. Value: cheap
// to copy (a shared_ptr). Thread-safe.
template <typename Value>
class ExpiringCache {
 public:
  struct Found {
    Value value;
    // On the clock's monotonic time: what is made from the value should not outlive it.
    absl::Duration expires;
  };

  // `max_entries` > 0; `clock` outlives the cache.
  ExpiringCache(Clock& clock, size_t max_entries) : clock_(clock), max_entries_(max_entries) {}

  std::optional<Found> Get(std::string_view key) {
    const absl::Duration now = clock_.MonotonicNow();
    absl::MutexLock lock(&mutex_);
    const auto it = index_.find(ToAbsl(key));
    if (it == index_.end()) return std::nullopt;
    if (it->second->expires <= now) {
      Remove(it->second);
      return std::nullopt;
    }
    entries_.splice(entries_.begin(), entries_, it->second);
    return Found{it->second->value, it->second->expires};
  }

  // Replaces what was there.
  void Put(std::string key, Value value, absl::Duration expires) {
    absl::MutexLock lock(&mutex_);
    if (const auto it = index_.find(ToAbsl(key)); it != index_.end()) Remove(it->second);
    if (entries_.size() >= max_entries_) Remove(std::prev(entries_.end()));
    entries_.push_front({std::move(key), std::move(value), expires});
    index_[ToAbsl(entries_.front().key)] = entries_.begin();
  }

  void Erase(std::string_view key) {
    absl::MutexLock lock(&mutex_);
    if (const auto it = index_.find(ToAbsl(key)); it != index_.end()) Remove(it->second);
  }

  void EraseIf(const std::function<bool(std::string_view key, const Value& value)>& matches) {
    absl::MutexLock lock(&mutex_);
    for (auto it = entries_.begin(); it != entries_.end();) {
      const auto next = std::next(it);
      if (matches(it->key, it->value)) Remove(it);
      it = next;
    }
  }

  void ForEachKey(const std::function<void(std::string_view key)>& visit) const {
    absl::MutexLock lock(&mutex_);
    for (const Entry& entry : entries_) visit(entry.key);
  }

  size_t size() const {
    absl::MutexLock lock(&mutex_);
    return entries_.size();
  }

 private:
  struct Entry {
    std::string key;
    Value value;
    absl::Duration expires;
  };
  using Position = typename std::list<Entry>::iterator;

  void Remove(Position entry) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    index_.erase(ToAbsl(entry->key));
    entries_.erase(entry);
  }

  Clock& clock_;
  const size_t max_entries_;
  mutable absl::Mutex mutex_;
  // Most recently used first.
  std::list<Entry> entries_ ABSL_GUARDED_BY(mutex_);
  // By the entries' own keys.
  absl::flat_hash_map<absl::string_view, Position> index_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian
