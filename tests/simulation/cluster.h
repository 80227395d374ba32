// Six nodes in three zones, two containers whose partitions are groups of three replicas, and what
// connects them.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/id.h"
#include "base/random.h"
#include "coordination/in_memory.h"
#include "replication/replica.h"
#include "server/placement_plan.h"
#include "storage/objects/object_state_machine.h"
#include "tests/simulation/node.h"
#include "tests/simulation/partition_rows.h"
#include "tests/simulation/totals.h"

namespace meridian::simulation {

struct Group {
  PartitionId partition;
  size_t container = 0;
  bool keep_versions = false;
  // While its split is not over (P7).
  std::optional<PartitionId> parent = {};
  // What it is kept to, as the coordination store had it lately; nullopt: nothing.
  std::optional<tenancy::Redundancy> redundancy = {};
  // Deleted on purpose: its split never came to be.
  bool removed = false;
  // As the coordination store had it lately.
  replication::GroupConfig config = {};
  std::vector<Node*> nodes = {};  // the members'
};

// What a planted bug changes.
struct Plant {
  // Empty: the faithful one.
  StorageFactory make_storage = {};
  // Makes, for each run, what changes messages on delivery. Empty: nothing does.
  std::function<MessageTamper()> make_tamper = {};
  bool child_begins_whole = false;
  // A container's redundancy is changed once its partitions' records are, not their replicas.
  bool redundancy_shown_early = false;
};

// Not thread-safe.
class Cluster {
 public:
  static constexpr size_t kNodes = 6;
  // Nodes of the first zone; the others have a zone each.
  static constexpr size_t kFirstZone = 4;
  static constexpr size_t kReplicas = 3;
  // Of the first one the redundancy is changed again and again; of the other, members go anywhere.
  static constexpr size_t kContainers = 2;

  Cluster(uint64_t seed, const Plant& plant);
  ~Cluster();

  void StartAll();
  // Node::Crash, counted.
  void Crash(Node& node, bool power_loss);

  Scheduler& scheduler() { return scheduler_; }
  Network& network() { return network_; }
  CoordinationConditions& coordination_conditions() { return conditions_; }
  const std::vector<std::unique_ptr<Node>>& nodes() const { return nodes_; }
  // Those made by splits come at the end; references last.
  const std::deque<Group>& groups() const { return groups_; }
  const Group* FindGroup(PartitionId partition) const;
  // As the store had it lately.
  const ContainerMap& MapOf(size_t container) const { return containers_[container].map; }
  // Without the delays and faults of a node's way to it.
  coordination::CoordinationStore& coordination() { return coordination_; }

  // What there is to place replicas on.
  std::vector<server::DiskInPlan> Disks() const;
  // No replica is to stay there, or to come.
  void SetDraining(const Node& node, bool draining);

  // What went wrong inside, whatever clients saw.
  const std::vector<std::string>& violations() const { return violations_; }
  void Report(const std::string& violation) { violations_.push_back(violation); }

  // Again and again: what a node's host does. A replica that a configuration names begins, empty,
  // or, of a split's child, from its parent's; one that none names any more is removed.
  void HostReplicas();
  // Whether no split, and no change of a redundancy, is under way.
  bool SplitsAreOver() const;
  bool ConversionsAreOver() const;
  // Once they are: the names of a container's partitions are all names, each once (P7).
  void CheckRanges();
  // Asks whoever leads the group. Not while it is being split.
  void ChangeMembers(const Group& group, const std::vector<replication::Member>& members);

  // Asks every replica for its status now and then: two that serve in one epoch are a violation.
  void WatchStatus();
  // Of every replica that runs; stops the process if one does not hold.
  void CheckInvariants() const;
  Totals CollectTotals() const;
  // The newest known of each replica, for a report.
  std::string DescribeReplicas() const;

 private:
  void MakeContainer(size_t number);
  // What the coordination store has, all as of one moment.
  void Learn(const std::vector<coordination::KeyValue>& rows);
  Group& LearnGroup(PartitionId partition, const PartitionRow& row);
  void LearnContainer(size_t number, const ContainerRow& row);
  void Host(Group& group, const replication::GroupConfig& config);
  void RemoveDeleted(PartitionId partition);
  // What a container shows as its redundancy holds for every replica that has a vote.
  void CheckRedundancy(const Group& group);
  void Note(const Copy& copy, uint64_t life, const replication::ReplicaStatus& status);

  SeededRandom random_;
  Scheduler scheduler_;
  Network network_;
  Strand coordination_strand_;
  coordination::InMemoryCoordinationStore coordination_;
  CoordinationConditions conditions_;
  const objects::ObjectStateMachine state_machine_;
  Node::World world_;
  const bool child_begins_whole_;
  std::deque<Group> groups_;
  std::vector<ContainerRow> containers_;
  std::set<NodeId> draining_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::string> violations_;
  Totals totals_;
  // The newest of each replica in each life of its node.
  std::map<std::pair<ReplicaId, uint64_t>, replication::ReplicaStatus> statuses_;
  // Who served in an epoch of a partition (I3).
  std::map<std::pair<PartitionId, Epoch>, ReplicaId> served_;
};

}  // namespace meridian::simulation
