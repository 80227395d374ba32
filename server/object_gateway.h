// From a request about an object to the operation's context: authorizes the caller, finds the
// container, its partition and the replica here that leads it, or says where to go instead.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/random.h"
#include "server/cluster_view.h"
#include "server/ops/chunk_budget.h"
#include "server/ops/context.h"
#include "server/replica_host.h"
#include "tenancy/authenticator.h"
#include "tenancy/authorizer.h"
#include "tenancy/directory.h"

namespace meridian::server {

// Thread-safe; calls block.
class ObjectGateway {
 public:
  struct Environment {
    NodeId self;
    ReplicaHost* host;  // null: no replicas here, every call is sent on
    ClusterView& view;
    tenancy::Authorizer& authorizer;
    tenancy::Directory& directory;
    Random& random;
    // Whether a node can be reached from here, as far as is known.
    std::function<bool(const NodeId&)> reachable;
    // Whether a disk takes new data; not used without a host.
    std::function<absl::Status(DiskId)> admit;
  };

  enum class Intent {
    kOther,
    kNewData,  // refused with RESOURCE_EXHAUSTED (DISK_FULL) when there is no room
  };

  explicit ObjectGateway(Environment environment) : env_(std::move(environment)) {}

  // Errors: NOT_FOUND; PERMISSION_DENIED; UNAVAILABLE with NOT_LEADER, NO_LEADER or NO_QUORUM;
  // RESOURCE_EXHAUSTED.
  absl::StatusOr<ops::Context> Open(const tenancy::Principal& principal,
                                    const std::string& container_name,
                                    const std::string& object_name, absl::Time deadline,
                                    Intent intent);

  // What an operation on the context answered; if it was UNAVAILABLE because too few replicas are
  // within reach, the message says how many are.
  absl::Status Explain(const ops::Context& context, const absl::Status& status) const;

 private:
  absl::StatusOr<std::shared_ptr<HostedReplica>> FindLeading(PartitionId partition) const;
  // Empty if a quorum is within reach, else how many members are.
  std::string MissingQuorum(const replication::GroupConfig& config) const;

  // Of all streams that write through this node, with 1 MiB each; see ops::RunWriter for one
  // stream's.
  static constexpr size_t kMaxChunksInFlight = 48;

  const Environment env_;
  ops::ChunkBudget chunk_budget_{kMaxChunksInFlight};
};

}  // namespace meridian::server
