// Keeps the groups that this node leads where they should be: after a node or disk was lost, while
// one drains, when a policy changes. Every second it compares each group with its plan
// (placement_plan.h) and lets the leader go the next step, the groups with the fewest copies first;
// what cannot be done is told to the host (ReplicaHost::SetPlacementProblem).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "server/balance_plan.h"
#include "server/cluster_view.h"
#include "server/placement_plan.h"
#include "server/replica_host.h"

namespace meridian::server {

struct PlacementOptions {
  absl::Duration interval = absl::Seconds(1);
  // A replica that its leader has not heard for this long is replaced elsewhere.
  absl::Duration patience = absl::Minutes(10);
  // A replica that its group no longer names keeps its data for this long.
  absl::Duration keep_unnamed = absl::Minutes(10);
  // Groups led here whose members change at the same time. One that takes longer than `patience` is
  // not counted any more, and told as a problem.
  size_t max_changes = 2;
  // Replicas and leaders are evened out, a step at a time, when nothing else is to be done.
  absl::Duration balance_interval = absl::Seconds(10);
};

// Thread-safe.
class PlacementKeeper {
 public:
  // All outlive it.
  struct Environment {
    NodeId node;
    ReplicaHost& host;
    const ClusterView& view;
    Clock& clock;
    Random& random;
    PlacementOptions options;
  };

  explicit PlacementKeeper(const Environment& environment);
  // Waits for a turn that runs.
  ~PlacementKeeper();

 private:
  struct Change {
    std::shared_ptr<HostedReplica> replica;
    std::vector<replication::Member> members;
    bool under_way = false;
    size_t copies = 0;
  };
  struct Plan {
    std::vector<replication::Member> members;
    absl::Duration since;
    bool balances = false;
  };
  struct Settled {
    std::shared_ptr<HostedReplica> replica;
    SettledGroup group;
  };

  void ScheduleTurn() ABSL_LOCKS_EXCLUDED(mutex_);
  void Turn();
  std::optional<Change> PlanOf(const std::shared_ptr<HostedReplica>& replica,
                               const std::vector<DiskInPlan>& disks);
  // Goes on with a step of balancing that has begun, unless a place of it has become unusable, a
  // member silent, or it takes too long.
  bool IsBalancing(PartitionId partition, const GroupInPlan& group,
                   const std::vector<DiskInPlan>& disks) const;
  void Begin(const Change& change);
  void Balance(const std::vector<DiskInPlan>& disks);
  void BalanceReplicas(const std::vector<SettledGroup>& groups,
                       const std::vector<DiskInPlan>& disks);
  void BalanceLeaders(const std::vector<SettledGroup>& groups,
                      const std::vector<DiskInPlan>& disks);

  const Environment env_;
  // Of the groups whose members change; on the worker only.
  std::map<PartitionId, Plan> plans_;
  // Of the last turn; likewise.
  std::map<PartitionId, Settled> settled_;
  absl::Duration balanced_at_ = absl::ZeroDuration();
  absl::Mutex mutex_;
  // Null once it is being destroyed.
  std::unique_ptr<Executor> worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
