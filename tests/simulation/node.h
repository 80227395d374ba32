// One node of the simulated cluster: its disks, which survive, and its process, which comes and
// goes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "base/id.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "replication/replica.h"
#include "storage/objects/child_rows.h"
#include "storage/state_machine.h"
#include "tests/fakes/memory_replica_storage.h"
#include "tests/simulation/coordination_link.h"
#include "tests/simulation/executor.h"
#include "tests/simulation/network.h"

namespace meridian::simulation {

// Rows on their way from the parent's replica into the storage of the child's.
struct ChildBuild {
  std::unique_ptr<storage::ReplicaStorage> storage;
  std::unique_ptr<storage::KvReader> parent;
  std::optional<objects::ChildRows> rows = {};
};

// How replicas of splits' children came to be.
struct ChildCounts {
  uint64_t built = 0;        // from their parents'
  uint64_t by_snapshot = 0;  // from their leaders
};

// A replica's place on a node.
struct Copy {
  Copy(PartitionId partition, ReplicaId id, const storage::MemoryDiskOptions& disk_options,
       std::shared_ptr<storage::MemoryChunks> chunks, bool installing)
      : partition(partition),
        id(id),
        disk(disk_options, partition, std::move(chunks), installing) {}

  const PartitionId partition;
  const ReplicaId id;
  storage::MemoryReplicaDisk disk;
  // While the process runs and has read the group's configuration. `storage` belongs to it.
  std::unique_ptr<replication::Replica> replica;
  storage::ReplicaStorage* storage = nullptr;
  // While a split's child is made from its parent (P7).
  std::unique_ptr<ChildBuild> build;
  bool removed = false;
};

// What makes a copy's storage at each start of its node; planted bugs make another.
using StorageFactory = std::function<std::unique_ptr<storage::ReplicaStorage>(
    Copy& copy, Executor& strand, Random& random)>;

// Not thread-safe.
class Node {
 public:
  // What all nodes share; outlives them.
  struct World {
    Scheduler& scheduler;
    Network& network;
    coordination::CoordinationStore& coordination;
    CoordinationConditions& coordination_conditions;
    const storage::StateMachine& state_machine;
    replication::ReplicaOptions replica_options;
    storage::MemoryDiskOptions disk_options;
    StorageFactory make_storage;
    // A replica has taken itself out of service: no fault that is injected permits it.
    std::function<void(const std::string&)> report;
    ChildCounts children = {};
  };

  Node(NodeId id, uint64_t seed, World& world);
  ~Node();

  // An empty one, which begins if the process runs. `installing`: as DiskStore::CreateReplica.
  void AddCopy(PartitionId partition, ReplicaId id, size_t container, bool installing);
  // With all its data, for good (P6).
  void RemoveCopy(PartitionId partition);

  // Starts the process; its replicas begin once the coordination store has been read.
  void Start();
  // Ends the process without warning. With `power_loss` the disks lose what was not synced; returns
  // how many bytes.
  size_t Crash(bool power_loss);
  void Pause();
  void Resume();

  const NodeId& id() const { return id_; }
  // It has one.
  DiskId disk() const { return disk_; }
  bool is_up() const { return strand_ != nullptr; }
  bool is_paused() const { return paused_; }
  // Counts the starts.
  uint64_t life() const { return life_; }
  // While it is up.
  Strand& strand() { return *strand_; }
  SkewedClock& clock() { return clock_; }
  coordination::CoordinationStore& coordination() { return coordination_; }
  Random& random() { return random_; }
  // Null: this node has none.
  Copy* FindCopy(PartitionId partition);
  const std::vector<std::unique_ptr<Copy>>& copies() const { return copies_; }

 private:
  using Row = std::optional<coordination::KeyValue>;

  void Open(Copy& copy);
  // As server::ReplicaHost::OpenGroup, of a group as the store has just shown it.
  void OpenAs(Copy& copy, const coordination::KeyValue& group, const Row& partition);
  bool CameToSplitBySnapshot(PartitionId parent, PartitionId child);
  // False: there is nothing to make it from yet.
  bool StartBuild(Copy& copy, PartitionId parent, const coordination::KeyValue& group);
  void OpenLater(Copy& copy);
  void Begin(Copy& copy, const coordination::KeyValue& stored);
  void Dispatch(const replication::PeerMessage& message);

  const NodeId id_;
  World& world_;
  SeededRandom random_;
  const DiskId disk_;
  const double clock_rate_;
  SkewedClock clock_;
  CoordinationLink coordination_;
  // Of each container, shared by its replicas here.
  std::map<size_t, std::shared_ptr<storage::MemoryChunks>> chunks_;
  std::vector<std::unique_ptr<Copy>> copies_;
  // Removed ones: late answers may still refer to them.
  std::vector<std::unique_ptr<Copy>> removed_;
  bool paused_ = false;

  // Of the running process.
  std::unique_ptr<Strand> strand_;
  std::unique_ptr<coordination::CoordinationStore::WatchHandle> watch_;
  // Answers that come to an earlier process find another number.
  uint64_t life_ = 0;
  // Strands of earlier processes: late answers may still post to them.
  std::vector<std::unique_ptr<Strand>> retired_;
};

}  // namespace meridian::simulation
