// The watches of a CoordinationStore that lives in this process.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/executor.h"
#include "coordination/coordination_store.h"

namespace meridian::coordination {

// Thread-safe. A handle may outlive the registry, and may be destroyed inside its own callback.
class WatchRegistry {
 public:
  // Callbacks run on `executor`, which outlives the registry.
  explicit WatchRegistry(Executor& executor);
  ~WatchRegistry();

  std::unique_ptr<CoordinationStore::WatchHandle> Add(std::string prefix,
                                                      std::function<void()> changed);
  // Posts a hint to each watch that a write concerns, unless one is on its way already: the number
  // of posted hints is bounded by the number of watches.
  void Notify(const std::vector<Write>& writes);
  // To every watch, as if all keys had changed.
  void NotifyAll();

 private:
  class Watch;
  class Handle;
  // Shared with the handles, so that one may go after the registry.
  struct Watches {
    absl::Mutex mutex;
    std::map<uint64_t, std::shared_ptr<Watch>> by_id ABSL_GUARDED_BY(mutex);
    uint64_t last_id ABSL_GUARDED_BY(mutex) = 0;
  };

  Executor& executor_;
  const std::shared_ptr<Watches> watches_;
};

}  // namespace meridian::coordination
