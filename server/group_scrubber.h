// Compares the replicas of the groups led here with each other, by hash, part by part at a set
// rate, one group after another, and tells loudly of any that differ.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "server/group_scrubs.h"
#include "server/replica_host.h"

namespace meridian::server {

struct GroupScrubOptions {
  // Of rows, which every replica of the group reads; > 0.
  uint64_t bytes_per_second = 0;
  // From the begin of a pass over a group's state to that of the next, at least.
  absl::Duration pass_interval = absl::Hours(1);
};

// Thread-safe.
class GroupScrubber {
 public:
  // All outlive it.
  struct Environment {
    NodeId node;
    ReplicaHost& host;
    Clock& clock;
    GroupScrubs& scrubs;
    GroupScrubOptions options;
  };

  explicit GroupScrubber(const Environment& environment);
  // Waits for the comparison under way: the host has begun to stop, and answers it.
  ~GroupScrubber();

 private:
  // The rows with keys from `first` on, up to `end`.
  struct Part {
    std::string first;
    std::string end;
    uint64_t bytes = 0;
  };
  // Of the group being compared.
  struct Current {
    std::shared_ptr<HostedReplica> replica;
    GroupScrub scrub;  // of this pass
    std::string next;  // the first key not compared yet
  };

  void Schedule(absl::Duration delay) ABSL_LOCKS_EXCLUDED(mutex_);
  // All below run on the worker. One step: a part of a group, or the way to the next group. When
  // the next one is due.
  absl::Duration Step();
  // The next one that is led here and due. False: there is none after last_.
  bool BeginNextGroup();
  bool IsDue(PartitionId partition) const;
  static bool Leads(HostedReplica& replica);
  absl::Duration CompareNextPart();
  absl::StatusOr<ComparisonVerdict> Compare(const Part& part);
  void EndGroup();
  void Tell(const ComparisonVerdict& verdict);
  // What is known of the group, with the pass under way.
  void Show();

  const Environment env_;
  PartitionId last_;  // looked at in this round; nil: none yet
  std::optional<Current> current_;
  absl::Mutex mutex_;
  // Null once it is being destroyed.
  std::unique_ptr<Executor> worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
