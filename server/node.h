// One storage node: its strand, disk, transport, replicas and public server.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "replication/replica.h"
#include "server/api.h"
#include "server/public_server.h"
#include "server/tls_material.h"
#include "storage/disk_store.h"
#include "storage/posix_disk.h"

namespace meridian::storage {
class RocksMemory;
}

namespace meridian::server {

struct NodeOptions {
  NodeId id;
  // Exists: holds the node's wrapped key and its disk's folder.
  std::string folder;
  TlsMaterial tls;
  std::string public_address = "127.0.0.1:0";
  std::string internal_address = "127.0.0.1:0";
  replication::ReplicaOptions replica;
  // Sizes and RocksDB's environment; the node sets the rest.
  storage::DiskStoreOptions disk;
  std::function<absl::StatusOr<std::unique_ptr<storage::Disk>>(std::string root)> open_disk =
      storage::OpenPosixDisk;
  ServerResources server_resources;
  std::shared_ptr<storage::RocksMemory> rocks_memory;
};

// Thread-safe. The destructor is a crash: sockets and files are closed, memory is freed, nothing is
// flushed. Drain first for a stop that clients do not notice.
class Node {
 public:
  virtual ~Node() = default;

  // Recovers the disk, opens the replicas, publishes where the node is, and serves. `platform`
  // outlives it. FAILED_PRECONDITION: the folder belongs to another cluster, node or version, or is
  // in use.
  static absl::StatusOr<std::unique_ptr<Node>> Start(const Platform& platform, NodeOptions options);

  virtual const std::string& public_endpoint() const = 0;
  // Lets running calls end, until the deadline. Then a checkpoint, so that the next start replays
  // little; waited for as long as kCheckpointTime.
  static constexpr absl::Duration kCheckpointTime = absl::Seconds(5);
  virtual void Drain(absl::Time deadline) = 0;
};

}  // namespace meridian::server
