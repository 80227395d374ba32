// One storage node: its strand, disk, transport, replicas and public server.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "replication/rebuild_throttle.h"
#include "replication/replica.h"
#include "server/api.h"
#include "server/conversion_driver.h"
#include "server/node_disks.h"
#include "server/placement_keeper.h"
#include "server/public_server.h"
#include "server/split_plan.h"
#include "server/telemetry/call_record.h"
#include "server/telemetry/metrics_builder.h"
#include "server/tls_material.h"
#include "storage/disk_store.h"
#include "storage/posix_disk.h"

namespace meridian::storage {
class RocksMemory;
}

namespace meridian::server {

struct NodeOptions {
  NodeId id;
  // Where it stands: unique names in the cluster.
  std::string region;
  std::string zone;
  std::vector<DiskFolder> disks;
  TlsMaterial tls;
  // What may ask it besides nodes, by its certificate: the front of dev mode. Empty: nothing.
  std::string front;
  std::string public_address = "127.0.0.1:0";
  std::string internal_address = "127.0.0.1:0";
  // HOST:PORT by which clients and other nodes reach it; empty: as it listens.
  std::string advertised_public_address;
  std::string advertised_internal_address;
  replication::ReplicaOptions replica;
  PlacementOptions placement;
  SplitOptions splits;
  // Bytes a second that it brings itself of copies that it is to have, of all groups together.
  uint64_t rebuild_rate = replication::kDefaultRebuildRate;
  ConversionOptions conversions;
  // Of each disk: sizes and RocksDB's environment; the node sets the rest.
  storage::DiskStoreOptions disk;
  std::function<absl::StatusOr<std::unique_ptr<storage::Disk>>(std::string root)> open_disk =
      storage::OpenPosixDisk;
  ServerResources server_resources;
  std::shared_ptr<storage::RocksMemory> rocks_memory;
  // See CallObserver.
  absl::Duration slow_request = kDefaultSlowRequest;
};

// Thread-safe. The destructor is a crash: sockets and files are closed, memory is freed, nothing is
// flushed. Drain first for a stop that clients do not notice.
class Node {
 public:
  virtual ~Node() = default;

  // Recovers the disks, opens the replicas, publishes where the node is, and serves. `platform`
  // outlives it. Errors as of NodeDisks::Open and NodePublisher::Publish.
  static absl::StatusOr<std::unique_ptr<Node>> Start(const Platform& platform, NodeOptions options);

  virtual const std::string& public_endpoint() const = 0;
  // What the node counts, see CollectNodeMetrics. Waits for replicas for kMetricsTime at most.
  static constexpr absl::Duration kMetricsTime = absl::Seconds(2);
  virtual void CollectMetrics(MetricsBuilder& out) const = 0;
  // Takes back that the node runs, and lets running calls end, until the deadline. Then a
  // checkpoint of every disk, so that the next start replays little; waited for as long as
  // kCheckpointTime.
  static constexpr absl::Duration kCheckpointTime = absl::Seconds(5);
  virtual void Drain(absl::Time deadline) = 0;
};

}  // namespace meridian::server
