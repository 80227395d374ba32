// Deletes a partition that is empty, without a race against writers.
#pragma once

#include <functional>
#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "server/hosted_replica.h"

namespace meridian::server {

// Thread-safe. Calls block: not on a strand.
class PartitionRemover {
 public:
  // What takes the partition's container out of the catalog: read there by this node, never taken
  // from a caller. ABORTED: the catalog does not say that the container is being deleted.
  using Prepare = std::function<absl::StatusOr<coordination::Transaction>(PartitionId)>;

  // `coordination` outlives it.
  PartitionRemover(coordination::CoordinationStore& coordination, Prepare prepare);

  // OK: it was empty, as of a moment during the call. FAILED_PRECONDITION: it was not.
  // UNAVAILABLE: this replica does not lead, or there is no quorum.
  absl::Status CheckEmpty(HostedReplica& replica, absl::Time deadline);

  // On the leader: closes the partition to commands, waits until all that were let in have been
  // applied, and if it is empty, commits the catalog's change together with the removal of the
  // group's keys, under the condition that the group's configuration is still the one that this
  // replica leads by. So no other leader can have taken a write in between. Opened again unless it
  // was removed; where the store's answer was lost, as soon as it is sure that it was not.
  // Errors as of CheckEmpty and Prepare; ABORTED: a compare did not hold; UNAVAILABLE also if the
  // store's answer was lost.
  absl::Status RemoveIfEmpty(const std::shared_ptr<HostedReplica>& replica, absl::Time deadline);

 private:
  using Replica = std::shared_ptr<HostedReplica>;
  enum class Fate { kThere, kGone, kUnknown };

  absl::StatusOr<coordination::KeyValue> LedGroup(HostedReplica& replica, absl::Time deadline);
  absl::Status CommitRemoval(HostedReplica& replica, coordination::Transaction transaction,
                             const coordination::KeyValue& group, absl::Time deadline);
  // Of a removal that was to happen under the condition that `group` is unchanged.
  Fate Settle(const coordination::KeyValue& group);
  void SettleLater(std::weak_ptr<HostedReplica> replica, coordination::KeyValue group);

  coordination::CoordinationStore& coordination_;
  const Prepare prepare_;
  // Last: its tasks use the above. Waits for the store for kSettleTimeout at most.
  const std::unique_ptr<Executor> settler_;
};

}  // namespace meridian::server
