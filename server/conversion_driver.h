// Carries out the conversions of containers (tenancy/conversions.h): sets the policy that each
// partition's group is kept to, a few partitions at a time, and ends the conversion once every
// group keeps it. The replicas move as in any repair (placement_keeper.h).
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/clock.h"
#include "base/id.h"
#include "replication/core/group_config.h"
#include "server/cluster_records.h"
#include "server/cluster_view.h"
#include "server/peer_client.h"
#include "server/placement_plan.h"
#include "tenancy/catalog_store.h"
#include "tenancy/containers.h"
#include "tenancy/conversions.h"

namespace meridian::server {

struct ConversionOptions {
  absl::Duration interval = absl::Seconds(1);
  // Partitions of a container that are on the way at the same time.
  size_t max_moves = 4;
  // The end is estimated by what this long has brought.
  absl::Duration rate_window = absl::Minutes(1);
};

// Each node has one; of a container, the one on the node that leads its first partition acts. Two
// that think so, or one that goes on after another, do no harm: all that counts is in the
// coordination store, and each change compares what it was decided by. Rounds run one at a time,
// and block: all conversions together wait once for nodes that do not answer. Else thread-safe.
class ConversionDriver {
 public:
  // All outlive it.
  struct Environment {
    NodeId node;
    tenancy::ConversionCatalog& conversions;
    tenancy::ContainerCatalog& containers;
    tenancy::CatalogStore& store;
    const ClusterView& view;
    PeerClient& peers;
    Clock& clock;
    ConversionOptions options;
  };

  explicit ConversionDriver(const Environment& environment) : env_(environment) {}

  // Takes every conversion that this node is to carry out a step further.
  void Round();
  // A round that runs ends after the call or the conversion that it is at.
  void BeginStop() { stopping_ = true; }

 private:
  // What this process has seen of a conversion: for display only.
  struct History {
    uint64_t generation = 0;
    std::map<PartitionId, uint64_t> sizes;
    // {when, bytes done}, of one generation.
    std::deque<std::pair<absl::Duration, uint64_t>> samples;
    absl::Status error;  // of the last round
  };
  struct Part {
    PartitionId partition;
    PartitionRecord record;
    int64_t revision = 0;  // of the record
    replication::GroupConfig config;
    // Its group is kept to the policy that is wanted; all its replicas keep it.
    bool begun = false;
    bool done = false;
    uint64_t bytes_done = 0;
    uint64_t bytes_total = 0;
    std::string problem;
  };
  using Parts = std::vector<Part>;
  // A conversion in a round.
  struct Work {
    tenancy::StoredContainer container;
    Parts parts;
    absl::Status status;
    // Partition records that cannot be read: of its own, so that it stands still; or of nobody
    // knows whom, maybe of a child of its that is not in its map yet, so that it does not end.
    absl::Status unreadable;
    absl::Status stray;
  };
  // Partition records that cannot be read.
  struct Unreadable {
    std::map<ContainerId, absl::Status> owned;
    std::map<PartitionId, absl::Status> strays;  // nobody knows whose
  };
  using NodeStatuses = std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>>;

  bool IsCarriedHere(const tenancy::ContainerRecord& container) const;
  absl::StatusOr<std::vector<Work>> FindWork();
  // With the parts of each, or why they cannot be told.
  absl::Status ReadParts(std::vector<Work>& works);
  // What of them concerns which of `works`.
  static void Assign(Unreadable unreadable, std::vector<Work>& works);
  // Of one whose records cannot be read.
  absl::Status ShowStandstill(const Work& work);
  static absl::StatusOr<Parts> OrderParts(const tenancy::ContainerRecord& container,
                                          std::map<PartitionId, Part> found);
  // The nodes of leaders and learners.
  NodeStatuses Ask(const std::vector<Work>& works);
  absl::Status Carry(Work& work, const NodeStatuses& statuses, History& history);
  absl::Status JudgeParts(tenancy::Redundancy wanted, const NodeStatuses& statuses, Parts& parts);
  absl::StatusOr<bool> IsDone(const Part& part, const internal::v1::ReplicaStatus& leader,
                              tenancy::Redundancy wanted);
  absl::Status BeginParts(const tenancy::StoredContainer& container, Parts& parts);
  void MeasureParts(const NodeStatuses& statuses, Parts& parts, History& history);
  static uint64_t BytesDone(const Part& part, const NodeStatuses& statuses,
                            const std::vector<DiskInPlan>& disks);
  tenancy::ConversionProgress ProgressOf(const Parts& parts, History& history) const;

  const Environment env_;
  std::atomic<bool> stopping_{false};
  std::map<tenancy::ConversionCatalog::Id, History> histories_;
};

}  // namespace meridian::server
