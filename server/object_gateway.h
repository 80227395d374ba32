// From a request about an object to the operation's context: authorizes the caller, finds the
// container, its partition and the replica here that leads it, or says where to go instead.
#pragma once

#include <functional>
#include <memory>
#include <optional>
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

  // What a call is about.
  struct Target {
    std::string container;
    // The object name whose partition serves the call, or why there is none.
    absl::StatusOr<std::string> name;
    Intent intent = Intent::kOther;
    // Whether the operation can be begun anew when it has found that the name is not here.
    bool repeatable = true;
  };
  using Operation = std::function<absl::Status(const ops::Context&)>;

  explicit ObjectGateway(Environment environment) : env_(std::move(environment)) {}

  // Runs the operation where this node leads the name's partition. Where the partition does not own
  // the name any more (ops::Moved), goes on by the container's map of now, or tells the client to.
  // Errors: the operation's; NOT_FOUND; PERMISSION_DENIED; UNAVAILABLE with NOT_LEADER, NO_LEADER
  // or NO_QUORUM; RESOURCE_EXHAUSTED.
  absl::Status Run(const tenancy::Principal& principal, const Target& target, absl::Time deadline,
                   const Operation& operation);

 private:
  struct Opened {
    uint64_t map_generation = 0;
    absl::StatusOr<ops::Context> context;
  };
  // By a map newer than `old_map`, if that is given. The outer error: the container cannot be
  // found.
  absl::StatusOr<Opened> Open(const tenancy::Principal& principal, const Target& target,
                              absl::Time deadline, std::optional<uint64_t> old_map);
  absl::StatusOr<ops::Context> OpenPartition(
      const std::shared_ptr<const tenancy::Directory::Container>& container, const Target& target,
      absl::Time deadline);
  // What an operation on the context answered; if it was UNAVAILABLE because too few replicas are
  // within reach, the message says how many are.
  absl::Status Explain(const ops::Context& context, const absl::Status& status) const;
  // Moved() if there is no such partition.
  absl::StatusOr<std::shared_ptr<HostedReplica>> FindLeading(const tenancy::PartitionRange& range,
                                                             uint64_t map_generation) const;
  // Empty if a quorum is within reach, else how many members are.
  std::string MissingQuorum(const replication::GroupConfig& config) const;

  // A name that moves again while it is followed is left to the client.
  static constexpr int kMaxMoves = 3;
  // Of all streams that write through this node, with 1 MiB each; see ops::RunWriter for one
  // stream's.
  static constexpr size_t kMaxChunksInFlight = 48;

  const Environment env_;
  ops::ChunkBudget chunk_budget_{kMaxChunksInFlight};
};

}  // namespace meridian::server
