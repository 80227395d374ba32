// One node of a cluster of processes, as its configuration file describes it.
#pragma once

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/random.h"
#include "meridian/internal/v1/node_config.pb.h"

namespace meridian::server {

// Thread-safe. The destructor is a crash of the node, as Node's.
class ClusterNode {
 public:
  virtual ~ClusterNode() = default;

  // `config` as of ReadNodeConfig. Serves on return; waits for etcd as ClusterConnection does.
  // `clock` and `random` (thread-safe) outlive it. FAILED_PRECONDITION: the cluster has not been
  // made. Errors also as of ClusterConnection::Open and Node::Start.
  static absl::StatusOr<std::unique_ptr<ClusterNode>> Start(const internal::v1::NodeConfig& config,
                                                            Clock& clock, Random& random);

  // Where it listens to clients: HOST:PORT.
  virtual const std::string& endpoint() const = 0;
  // Takes no new calls and lets running ones end until the deadline.
  virtual void Drain(absl::Time deadline) = 0;
};

}  // namespace meridian::server
