// What the coordination store last showed of groups and nodes: what requests are routed by and
// replicas are placed by. A hint; replicas decide. Goes on with what it knows while the store is
// down (I12).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "replication/core/group_config.h"
#include "server/cluster_records.h"
#include "server/topology.h"

namespace meridian::server {

// Thread-safe.
class ClusterView {
 public:
  struct Group {
    replication::GroupConfig config;
    int64_t revision = 0;
    bool operator==(const Group&) const = default;
  };

  // `coordination` outlives the view. `nodes_changed`, if set, is called with all nodes after a
  // change, on a thread of the store's; it must not block.
  using NodesChanged = std::function<void(const std::map<NodeId, NodeRecord>&)>;
  explicit ClusterView(coordination::CoordinationStore& coordination,
                       NodesChanged nodes_changed = {});
  ~ClusterView();

  // Until everything has been read once. UNAVAILABLE after the timeout.
  absl::Status WaitUntilRead(absl::Duration timeout);

  std::optional<Group> FindGroup(PartitionId partition) const;
  std::map<PartitionId, Group> groups() const;
  std::optional<PartitionRecord> FindPartition(PartitionId partition) const;
  std::map<PartitionId, PartitionRecord> partitions() const;

  // All that have ever started here and were not removed.
  std::map<NodeId, NodeRecord> nodes() const;
  // The same, by regions and zones. Never null.
  std::shared_ptr<const Topology> topology() const;
  // Of the cluster, as last read; it never goes back.
  ClusterFormat format() const;

  // Those that run, and those that are to be emptied.
  std::set<NodeId> alive() const;
  std::set<NodeId> draining() const;
  // Those that are to be emptied, or are removed.
  std::set<DiskId> retired_disks() const;

  // The leader's public endpoint; empty if the group has no leader or is not known.
  std::string LeaderEndpoint(PartitionId partition) const;
  // Null if there is none.
  static const replication::Member* LeaderOf(const replication::GroupConfig& config);

 private:
  class State;
  const std::unique_ptr<Executor> timer_;  // of reads that failed; outlives Close of the state
  const std::shared_ptr<State> state_;
  std::vector<std::unique_ptr<coordination::CoordinationStore::WatchHandle>> watches_;
};

}  // namespace meridian::server
