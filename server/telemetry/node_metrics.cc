#include "server/telemetry/node_metrics.h"

#include <fstream>
#include <iterator>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "server/telemetry/disk_metrics.h"
#include "server/telemetry/group_metrics.h"

namespace meridian::server {
namespace {

constexpr Metric kNode = {"meridian_node_info", "1; where the node stands."};
constexpr Metric kConnections = {"meridian_connections",
                                 "Clients' connections to the public port."};
constexpr Metric kConnected = {"meridian_peer_connected",
                               "Whether there is a stream to another node."};
constexpr Metric kSent = {"meridian_peer_messages_sent_total", "Replicas' messages to that node."};
constexpr Metric kDropped = {
    "meridian_peer_messages_dropped_total",
    "Replicas' messages that were not sent: the node is out of reach, or too slow."};

// The fields of a line of /proc/net/tcp: number, local address, remote address, state, ...
constexpr size_t kLocalField = 1, kStateField = 3;
constexpr char kEstablished[] = "01";

void CollectConnections(const MeteredNode& node, const MetricLabels& labels, MetricsBuilder& out) {
  uint32_t port = 0;
  const size_t colon = node.public_endpoint.rfind(':');
  if (!absl::SimpleAtoi(node.public_endpoint.substr(colon + 1), &port)) return;
  uint64_t connections = 0;
  for (const char* table : {"/proc/self/net/tcp", "/proc/self/net/tcp6"}) {
    std::ifstream file(table);
    const std::string text((std::istreambuf_iterator<char>(file)), {});
    connections += CountConnections(text, static_cast<uint16_t>(port));
  }
  out.Gauge(kConnections, labels, static_cast<double>(connections));
}

void CollectPeers(const MeteredNode& node, const MetricLabels& labels, MetricsBuilder& out) {
  for (const NodeId& peer : node.peers) {
    if (peer == node.id) continue;
    const replication::PeerLinkStatus link = node.transport.GetLinkStatus(peer);
    const MetricLabels of_peer = labels + std::pair("peer", peer);
    out.Gauge(kConnected, of_peer, link.connected ? 1 : 0);
    out.Counter(kSent, of_peer, static_cast<double>(link.sent_messages));
    out.Counter(kDropped, of_peer, static_cast<double>(link.dropped_messages));
  }
}

}  // namespace

uint64_t CountConnections(const std::string& table, uint16_t port) {
  uint64_t count = 0;
  for (const absl::string_view line : absl::StrSplit(table, '\n')) {
    const std::vector<absl::string_view> fields = absl::StrSplit(line, ' ', absl::SkipEmpty());
    if (fields.size() <= kStateField || fields[kStateField] != kEstablished) continue;
    const absl::string_view local = fields[kLocalField];
    uint32_t local_port = 0;
    const size_t colon = local.rfind(':');
    if (colon == absl::string_view::npos ||
        !absl::SimpleHexAtoi(local.substr(colon + 1), &local_port)) {
      continue;
    }
    if (local_port == port) ++count;
  }
  return count;
}

void CollectNodeMetrics(const MeteredNode& node, absl::Duration timeout, MetricsBuilder& out) {
  const MetricLabels labels = {{"node", node.id}};
  out.Gauge(kNode, {{"node", node.id}, {"region", node.region}, {"zone", node.zone}}, 1);
  node.calls.Collect(labels, out);
  CollectConnections(node, labels, out);
  CollectPeers(node, labels, out);
  for (const ServedDisk& disk : node.disks.Describe()) CollectDiskMetrics(disk, labels, out);
  CollectGroupMetrics(node.host.List(), node.scrubs, timeout, labels, out);
}

}  // namespace meridian::server
