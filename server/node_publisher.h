// Writes where a node is and what disks it has into the coordination store, and guards its name.
#pragma once

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "server/cluster_records.h"

namespace meridian::server {

// Confined to one thread at a time, on which it blocks.
class NodePublisher {
 public:
  // How long a process that has just died may seem to run.
  static constexpr absl::Duration kTakeOver = absl::Seconds(30);

  // `disks`: all that the process has opened, whether or not they are in service. `store` outlives
  // it.
  NodePublisher(coordination::CoordinationStore& store, NodeId node, std::vector<DiskId> disks,
                absl::Duration take_over = kTakeOver);

  // The store has `record` once it has returned OK, and nothing that was published before it
  // overwrites it later. Writes nothing if it is as last published. UNAVAILABLE: the store does not
  // answer; try again. FAILED_PRECONDITION: the node's name is another's (a process with none of
  // these disks runs under it, or has published since), or the node has data in another zone, or
  // the cluster's format version is above `record.newest_format`.
  absl::Status Publish(const NodeRecord& record);

 private:
  // Where none of this process' disks is: until nobody runs there.
  absl::Status AwaitTakeOver() const;
  absl::Status CheckRow(const NodeRecord& row, const NodeRecord& record) const;
  absl::StatusOr<std::optional<coordination::KeyValue>> Get(std::string key) const;

  coordination::CoordinationStore& store_;
  const NodeId node_;
  const std::vector<DiskId> disks_;
  const absl::Duration take_over_;
  std::optional<NodeRecord> published_;
};

}  // namespace meridian::server
