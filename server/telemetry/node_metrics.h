// The metrics of one node: what its parts have counted, read when somebody asks. docs/operations.md
// lists them.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "base/id.h"
#include "replication/transport/node_transport.h"
#include "server/group_scrubs.h"
#include "server/node_disks.h"
#include "server/replica_host.h"
#include "server/telemetry/call_observer.h"
#include "server/telemetry/metrics_builder.h"

namespace meridian::server {

struct MeteredNode {
  NodeId id;
  std::string region;
  std::string zone;
  const CallObserver& calls;
  const NodeDisks& disks;
  const ReplicaHost& host;
  const GroupScrubs& scrubs;
  const replication::NodeTransport& transport;
  std::vector<NodeId> peers;
  std::string public_endpoint;
};

// Waits for replicas' answers, up to `timeout`; not on a strand. Those that have not answered by
// then are left out, and counted. Every sample has the label `node`.
void CollectNodeMetrics(const MeteredNode& node, absl::Duration timeout, MetricsBuilder& out);

// Established TCP connections of this network namespace that were accepted on `port`, by what
// `table` says: the content of /proc/net/tcp or tcp6.
uint64_t CountConnections(const std::string& table, uint16_t port);

}  // namespace meridian::server
