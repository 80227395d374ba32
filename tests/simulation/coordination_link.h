// A node's way to the coordination store: slow, at times cut, and then the outcome of a commit is
// unknown.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/random.h"
#include "coordination/coordination_store.h"
#include "tests/simulation/executor.h"

namespace meridian::simulation {

// Shared by all nodes' links; changed by the faults.
struct CoordinationConditions {
  bool down = false;
  // Of a request or its answer, while the store is up.
  double loss = 0;
  // Commits that took effect, and whose callers were told UNAVAILABLE.
  uint64_t unknown_outcomes = 0;
};

// Callbacks run as events of the scheduler, on no strand. Not thread-safe.
class CoordinationLink final : public coordination::CoordinationStore {
 public:
  // All outlive the link and its callbacks.
  CoordinationLink(coordination::CoordinationStore& store, Scheduler& scheduler, Random& random,
                   CoordinationConditions& conditions)
      : store_(store), scheduler_(scheduler), random_(random), conditions_(conditions) {}

  void Get(
      std::string key,
      std::function<void(absl::StatusOr<std::optional<coordination::KeyValue>>)> done) override;
  void List(std::string prefix,
            std::function<void(absl::StatusOr<std::vector<coordination::KeyValue>>)> done) override;
  void Commit(coordination::Transaction transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)> done) override;
  // Hints come late, and some twice.
  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override;
  // As the store does it: hints for display have no part in what is simulated.
  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override {
    return store_.Announce(std::move(key), std::move(value), ttl);
  }

 private:
  class DelayedWatch;

  bool Lost();
  absl::Duration Delay();
  // Answers UNAVAILABLE after a time-out.
  template <typename Result>
  void TimeOut(std::function<void(absl::StatusOr<Result>)> done);

  coordination::CoordinationStore& store_;
  Scheduler& scheduler_;
  Random& random_;
  CoordinationConditions& conditions_;
};

}  // namespace meridian::simulation
