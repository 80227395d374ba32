// The replicas of one node: makes them be what the coordination store says, and hands them out.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "replication/replica.h"
#include "server/hosted_replica.h"
#include "storage/disk_store.h"
#include "storage/objects/keys.h"
#include "tenancy/records.h"

namespace meridian::server {

// Of a group led here: where its replicas are, and where they should be.
struct Placement {
  // Why they cannot be there; OK: they can.
  absl::Status problem;
  // The policy that all of them keep in the committed configuration of that epoch, and that whoever
  // keeps them goes by; nullopt: something is on the way, or not known.
  struct Settled {
    tenancy::Redundancy redundancy = tenancy::Redundancy::kLrs;
    Epoch epoch;
  };
  std::optional<Settled> settled;
};

// Follows the keys group/ in the coordination store. A group that names a disk of this node gets
// its replica here. A replica whose group was deleted on purpose (removed/) is removed with its
// data; so is one that its group no longer names (P6), after a time in which members may still
// fetch from it what they have found damaged. Thread-safe.
class ReplicaHost {
 public:
  // All outlive the host, except that it must be stopped before any of them goes.
  struct Environment {
    NodeId node;
    Executor& strand;
    Clock& clock;
    Random& random;
    replication::Transport& transport;
    coordination::CoordinationStore& coordination;
    std::vector<storage::DiskStore*> disks;
    const storage::StateMachine& state_machine;
    std::function<std::string(RunId)> encode_abort_run;
    replication::ReplicaOptions options;
    absl::Duration keep_unnamed;
    absl::Duration request_retention;  // of the state machine's limits
    // Outlives the strand; null: none.
    replication::RebuildThrottle* rebuild_throttle = nullptr;
  };

  explicit ReplicaHost(Environment environment);
  // Stops.
  ~ReplicaHost();

  // Once. Returns when it was tried to open all replicas that are known now; what failed is tried
  // again.
  void Start();
  // Answers what waits in replicas with UNAVAILABLE, and opens no more. Not on the strand.
  void BeginStop() ABSL_LOCKS_EXCLUDED(mutex_);
  // BeginStop; returns when no call uses a replica any more and all have been destroyed. A round
  // that waits for a disk comes to its end first: see DiskStore::BeginStop.
  void Stop() ABSL_LOCKS_EXCLUDED(mutex_);

  // Nullptr: none here.
  std::shared_ptr<HostedReplica> Find(PartitionId partition) const ABSL_LOCKS_EXCLUDED(mutex_);
  std::vector<std::shared_ptr<HostedReplica>> List() const ABSL_LOCKS_EXCLUDED(mutex_);
  // Why replicas that belong here are not, or do not serve.
  std::map<PartitionId, absl::Status> Problems() const ABSL_LOCKS_EXCLUDED(mutex_);

  void SetPlacement(PartitionId partition, const Placement& placement) ABSL_LOCKS_EXCLUDED(mutex_);
  Placement PlacementOf(PartitionId partition) const ABSL_LOCKS_EXCLUDED(mutex_);

  // The names that the container's map gives a partition which begins anew without anything, with
  // this replica (P23): it is not made before they are known, and there is no reading maps here.
  void SetNames(ReplicaId replica, const objects::NameRange& names) ABSL_LOCKS_EXCLUDED(mutex_);

  // On the strand. `sender`: as it has proved itself by its certificate. A message that names a
  // replica which the group does not have on that node is dropped, as a lost one: a node speaks for
  // its own replicas only (P4).
  void OnMessage(const NodeId& sender, replication::PeerMessage message)
      ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  struct Hosted {
    std::shared_ptr<HostedReplica> replica;
    int64_t config_revision = 0;      // that it was last told of
    replication::GroupConfig config;  // of that revision
  };
  // A group as the coordination store has it.
  struct Group {
    PartitionId partition;
    replication::GroupConfig config;
    int64_t revision = 0;
    ContainerId container;
    std::optional<PartitionId> parent;  // while it is being split off
    // Of this node; nullopt: none.
    std::optional<replication::Member> local;
  };

  // On the worker.
  void Reconcile() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status TryReconcile() ABSL_LOCKS_EXCLUDED(mutex_);
  absl::StatusOr<std::vector<Group>> ListGroups();
  absl::Status RemoveDeleted();
  absl::Status RemoveUnnamed(const std::vector<Group>& groups) ABSL_LOCKS_EXCLUDED(mutex_);
  absl::Status RemoveUnnamed(storage::DiskStore& disk, const storage::ReplicaOnDisk& replica,
                             const Group& group);
  // Whether it is to stay for a while yet.
  bool IsKept(const storage::ReplicaOnDisk& replica, const Group& group)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Whether one was running; then its end schedules another round.
  bool DropHosted(PartitionId partition, ReplicaId replica) ABSL_LOCKS_EXCLUDED(mutex_);
  // Where something is to be done for `group`; `busy`: disks that had no room for another's, or did
  // not answer, in this round.
  absl::Status OpenUnlessBusy(const Group& group, std::map<DiskId, absl::Status>& busy);
  absl::Status OpenGroup(const Group& group);
  absl::Status OpenReplica(const Group& group, storage::DiskStore& disk);
  // Of a group that is being split off: makes its replica here from the parent's. True also if it
  // can only get its state from a leader, and may be opened for that. False: that is not known yet.
  absl::StatusOr<bool> PrepareChild(const Group& group, storage::DiskStore& disk);
  // Whether the group begins anew with its replica here, which holds nothing (P23).
  absl::StatusOr<bool> BeginsEmpty(const Group& group);
  // False: the names that it is to own are not known yet.
  absl::StatusOr<bool> PrepareEmpty(const Group& group, storage::DiskStore& disk)
      ABSL_LOCKS_EXCLUDED(mutex_);
  // Until the parent's split can be used.
  void AwaitSplit(PartitionId child) ABSL_LOCKS_EXCLUDED(mutex_);
  void ScheduleReconcile() ABSL_LOCKS_EXCLUDED(mutex_);

  storage::DiskStore* FindDisk(DiskId disk) const;
  std::optional<replication::Member> LocalMember(const replication::GroupConfig& config) const;
  std::unique_ptr<HostedReplica> MakeHosted(const Group& group,
                                            std::unique_ptr<storage::ReplicaStorage> storage);
  // Stops it on the strand and lets go of it.
  void Drop(std::shared_ptr<HostedReplica> replica);
  absl::StatusOr<std::vector<coordination::KeyValue>> ListKeys(const std::string& prefix);

  const Environment environment_;
  mutable absl::Mutex mutex_;
  std::map<PartitionId, Hosted> hosted_ ABSL_GUARDED_BY(mutex_);
  std::map<PartitionId, absl::Status> problems_ ABSL_GUARDED_BY(mutex_);
  std::map<PartitionId, Placement> placements_ ABSL_GUARDED_BY(mutex_);
  // SetNames; forgotten when the replica is opened.
  std::map<ReplicaId, objects::NameRange> names_ ABSL_GUARDED_BY(mutex_);
  // HostedReplicas made and not yet destroyed.
  size_t alive_ ABSL_GUARDED_BY(mutex_) = 0;
  bool scheduled_ ABSL_GUARDED_BY(mutex_) = false;
  bool polling_ ABSL_GUARDED_BY(mutex_) = false;  // AwaitSplit's next look is due
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status last_error_;  // of the worker's last round
  // Replicas that their groups do not name, and when that was first seen; on the worker only.
  std::map<ReplicaId, absl::Duration> unnamed_since_;
  // Of children that wait for their parents' splits; likewise.
  std::map<PartitionId, absl::Duration> waiting_since_;
  std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
  // Blocks on the coordination store and on disks, which the strand must not.
  std::unique_ptr<Executor> worker_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace meridian::server
