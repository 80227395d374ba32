// Splits the partitions that this node leads when they have become too large or too busy (P7), and
// carries every split to its end:
//   1. the child's rows in the coordination store: its group, on the disks of the parent's members,
//      and whose split it comes from;
//   2. the parent's log: SplitPartition. From its apply on the parent refuses the child's names,
//      and each node builds its child's replica from its parent's (child_builder.h);
//   3. the container's map names the child;
//   4. the child's leader notes that it serves: the first entry of its epoch is committed, by a
//      quorum of replicas that are whole;
//   5. FinishSplit in the parent's log, after which the parent's replicas let the rows go, and
//      after that the child may free what its rows held.
// A split that is in the map and not in the log, since an operator went on with a log that ends
// before it (P23), is made again before anything else of its parent's: FindLostSplit, Repeat.
// All that is needed to go on is in the parent's state and in the store, so that whoever leads next
// goes on. A child whose split never came into the log is removed.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "meridian/internal/v1/records.pb.h"
#include "server/cluster_view.h"
#include "server/lost_split.h"
#include "server/replica_host.h"
#include "server/split_plan.h"
#include "server/steadiness.h"
#include "tenancy/containers.h"

namespace meridian::server {

// Thread-safe.
class SplitKeeper {
 public:
  // All outlive it.
  struct Environment {
    NodeId node;
    ReplicaHost& host;
    const ClusterView& view;
    coordination::CoordinationStore& coordination;
    tenancy::ContainerCatalog& containers;
    Clock& clock;
    Random& random;
    SplitOptions options;
  };

  explicit SplitKeeper(const Environment& environment);
  // Waits for a turn that runs.
  ~SplitKeeper();

 private:
  using Replica = std::shared_ptr<HostedReplica>;
  // Of a replica that leads.
  struct Led {
    Replica replica;
    replication::ReplicaStatus status;
    PartitionRecord record;
  };
  struct Sample {
    absl::Duration time;
    LogIndex applied;
    double entries_per_second = 0;
    Steadiness steadiness = {};
    // Versions when it could not be split, being all of one name: not looked at again until there
    // are more.
    uint64_t whole_versions = 0;
    // In which the state was found to own no more than the map gives it.
    Epoch agreed = {};
    // What was done in that epoch about the children of splits that are to be made again.
    Epoch repeats_in = {};
    std::map<PartitionId, LostSplitSteps> repeats = {};
  };

  void ScheduleTurn() ABSL_LOCKS_EXCLUDED(mutex_);
  void Turn();
  std::optional<Led> FindLed(const Replica& replica) const;
  absl::Status TurnOf(const Led& led, const std::vector<PartitionId>& children);
  // Of a child whose split is not over.
  absl::Status NoteServing(const Led& led);
  // Of a conversion that began after the child was made.
  absl::Status KeepPolicy(const tenancy::StoredContainer& container, PartitionId child);
  // Of a child whose split is over.
  absl::Status LetFree(const Led& led);
  absl::StatusOr<bool> IsDue(const Led& led);
  void Measure(const Led& led);
  absl::Status Begin(const Led& led);
  absl::StatusOr<PartitionId> CreateChild(const Led& led);
  absl::StatusOr<std::optional<LostSplit>> FindLost(const Led& led) const;
  // False: a split has to be made again, and was begun to be, or waits for its child.
  absl::StatusOr<bool> AgreesWithMap(const Led& led);
  absl::Status Repeat(const Led& led, const LostSplit& lost);
  // A lost split's child that nobody has ever led, or of which nothing is left: with replicas that
  // nothing was built for yet, beside the parent's. `recovered`: revision of the row of its
  // recoveries, 0: none.
  absl::Status MakeAnew(const Led& led, PartitionId child, const coordination::KeyValue& group,
                        int64_t recovered);
  absl::StatusOr<internal::v1::Outcome> ProposeSplit(const Led& led, PartitionId child,
                                                     const SplitPoint& point);
  // What a child's group begins with, of replicas beside the parent's; nullopt: not now, the
  // parent's members change.
  std::optional<replication::GroupConfig> ChildsGroup(const Led& led,
                                                      const replication::GroupConfig& parents,
                                                      Epoch epoch) const;
  absl::Status Advance(const Led& led, const internal::v1::PendingSplit& split);
  // Of a child that the parent's state does not say anything of: its split has ended, or was never
  // in the log.
  absl::Status Settle(const Led& led, PartitionId child);
  absl::Status Remove(PartitionId child);
  // Partitions that begin anew with a replica here, of which nothing was left (P23): tells the host
  // which names they own.
  void TellNames();
  // Of parents that are gone with their containers.
  void RemoveOrphans(const std::map<PartitionId, std::vector<PartitionId>>& children);
  absl::Status RemoveOrphan(PartitionId parent, PartitionId child);
  // If it is still that one.
  absl::Status ForgetParent(PartitionId parent, PartitionId child);
  absl::StatusOr<internal::v1::Outcome> Propose(const Led& led,
                                                const internal::v1::Command& command);

  const Environment env_;
  std::map<PartitionId, Sample> samples_;  // on the worker only
  absl::Mutex mutex_;
  // Null once it is being destroyed.
  std::unique_ptr<Executor> worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
