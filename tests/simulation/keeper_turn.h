// What the simulated keepers have in common: whatever looks after a partition on the node that
// leads it, in turns, by what the coordination store and the replica say.
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
#include "tests/simulation/cluster.h"

namespace meridian::simulation {

// One keeper's work on one partition, as far as one thing follows from another. What comes after an
// error or a crash is for the next turn. Not thread-safe.
class KeeperTurn : public std::enable_shared_from_this<KeeperTurn> {
 public:
  // All outlive it. `dies` is asked before each step.
  KeeperTurn(Cluster& cluster, Node& node, const Copy& copy, std::function<bool()> dies);
  virtual ~KeeperTurn() = default;

  void Start();
  // Also if its answers do not come.
  bool is_over() const { return over_ || cluster_.scheduler().now() > deadline_; }

 protected:
  using Row = std::optional<coordination::KeyValue>;
  using Rows = std::vector<coordination::KeyValue>;

  // The turn, on the node's strand; nobody has asked yet whether the replica serves.
  virtual void Run(const replication::ReplicaStatus& status) = 0;

  void GiveUp() { over_ = true; }
  // `step` runs on the node's strand, unless the process or the replica has gone.
  void Continue(std::function<void()> step);
  // These call `next` so, or end the turn: the store cannot be reached, a compare does not hold.
  void Read(const std::string& key, std::function<void(Row)> next);
  void List(const std::string& prefix, std::function<void(Rows)> next);
  void Commit(coordination::Transaction transaction, std::function<void()> next);

  Copy& copy() { return *node_.FindCopy(partition_); }
  std::unique_ptr<storage::KvReader> View() { return copy().replica->NewView(); }

  Cluster& cluster_;
  Node& node_;
  const PartitionId partition_;
  const ReplicaId replica_;

 private:
  bool Lives();

  const std::function<bool()> dies_;
  const uint64_t life_;
  const absl::Duration deadline_;
  bool over_ = false;
};

// One turn after the other for every replica that runs. Not thread-safe.
class KeeperTurns {
 public:
  using Make = std::function<std::shared_ptr<KeeperTurn>(Node& node, const Copy& copy)>;
  // `cluster` outlives the scheduler's events; so does this.
  KeeperTurns(Cluster& cluster, absl::Duration interval, Make make)
      : cluster_(cluster), interval_(interval), make_(std::move(make)) {}

  void Start();

 private:
  void Tick();

  Cluster& cluster_;
  const absl::Duration interval_;
  const Make make_;
  std::map<std::pair<NodeId, PartitionId>, std::shared_ptr<KeeperTurn>> turns_;
};

}  // namespace meridian::simulation
