// Keeps the groups that this node leads where they should be: after a node or disk was lost, while
// one drains, when a policy changes. Every second it compares each group with its plan
// (placement_plan.h) and lets the leader go the next step, the groups with the fewest copies first;
// how it stands is told to the host (ReplicaHost::SetPlacement). What is to be done is decided by
// the partition's record as the coordination store has it then, not by what was last seen of it:
// after a policy was set, no replica goes where only an earlier one wants it.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "server/balance_plan.h"
#include "server/cluster_view.h"
#include "server/periodic.h"
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
    coordination::CoordinationStore& coordination;
    Clock& clock;
    Random& random;
    PlacementOptions options;
  };

  explicit PlacementKeeper(const Environment& environment);

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

  struct Verdict {
    Placement placement;
    std::optional<Change> change;
  };

  void Turn();
  std::optional<Change> PlanOf(const std::shared_ptr<HostedReplica>& replica,
                               const std::vector<DiskInPlan>& disks);
  // Goes on with a step of balancing that has begun, unless a place of it has become unusable, a
  // member silent, or it takes too long.
  bool IsBalancing(PartitionId partition, const GroupInPlan& group,
                   const std::vector<DiskInPlan>& disks) const;
  Verdict Judge(const std::shared_ptr<HostedReplica>& replica,
                const replication::ReplicaStatus& status, const PartitionRecord& record,
                const std::vector<DiskInPlan>& disks);
  absl::StatusOr<PartitionRecord> ReadRecord(PartitionId partition);
  void Begin(const Change& change);
  void Balance(const std::vector<DiskInPlan>& disks);
  void BalanceReplicas(const std::vector<SettledGroup>& groups,
                       const std::vector<DiskInPlan>& disks);
  void BalanceLeaders(const std::vector<SettledGroup>& groups,
                      const std::vector<DiskInPlan>& disks);

  const Environment env_;
  // Used in turns only: of the groups whose members change; how the store has answered in this
  // turn.
  std::map<PartitionId, Plan> plans_;
  // Of the last turn; likewise.
  std::map<PartitionId, Settled> settled_;
  absl::Duration balanced_at_ = absl::ZeroDuration();
  absl::Status store_;
  Periodic turns_;  // last: a turn uses all of the above
};

}  // namespace meridian::server
