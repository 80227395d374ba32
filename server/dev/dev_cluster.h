// A whole cluster in one process: all nodes of a topology over real disks, sockets and TLS, an
// embedded coordination store, and a front where clients begin.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "coordination/coordination_store.h"
#include "replication/rebuild_throttle.h"
#include "replication/replica.h"
#include "server/conversion_driver.h"
#include "server/placement_keeper.h"
#include "server/split_plan.h"
#include "server/telemetry/call_record.h"
#include "server/topology.h"
#include "storage/disk_store.h"
#include "storage/posix_disk.h"

namespace meridian::server {

struct DevOptions {
  std::string data_folder;
  // Of the front. nullopt: where it last was if that is free, else any port of 127.0.0.1.
  std::optional<std::string> listen_address;
  std::optional<Topology> topology;
  replication::ReplicaOptions replica;
  PlacementOptions placement = {};
  SplitOptions splits = {};
  ConversionOptions conversions = {};
  uint64_t rebuild_rate = replication::kDefaultRebuildRate;
  // Of every node, see NodeOptions. The coordination store is on the same environment.
  storage::DiskStoreOptions disk;
  std::function<absl::StatusOr<std::unique_ptr<storage::Disk>>(std::string root)> open_disk =
      storage::OpenPosixDisk;
  // HOST:PORT of the metrics of all nodes and the front; nullopt: there is no such port.
  std::optional<std::string> metrics_listen_address = {};
  // See CallObserver.
  absl::Duration slow_request = kDefaultSlowRequest;
  // How long Start waits for the groups' leaders.
  absl::Duration leader_wait = absl::Seconds(15);
  // Puts something between the cluster and its coordination store; null: nothing.
  std::function<std::unique_ptr<coordination::CoordinationStore>(
      std::unique_ptr<coordination::CoordinationStore>)>
      wrap_coordination = {};
};

// Thread-safe. The destructor is a crash of all nodes; Drain first for a stop that clients do not
// notice.
class DevCluster {
 public:
  virtual ~DevCluster() = default;

  // Serves on return. `clock` and `random` (thread-safe) outlive it. Errors as of DataFolder::Open
  // and Node::Start.
  static absl::StatusOr<std::unique_ptr<DevCluster>> Start(const DevOptions& options, Clock& clock,
                                                           Random& random);

  // Of the front: HOST:PORT.
  virtual const std::string& endpoint() const = 0;
  // Of the metrics; empty if there is no such port.
  virtual std::string metrics_endpoint() const = 0;
  // Of the administrator's profile.
  virtual std::string profile_path() const = 0;
  // Takes no new calls and lets running ones end until the deadline.
  virtual void Drain(absl::Time deadline) = 0;
};

}  // namespace meridian::server
