// Keeps a partition empty while its container is removed, without a race against writers.
#pragma once

#include <cstdint>
#include <map>
#include <memory>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "server/hosted_replica.h"
#include "storage/objects/object_reader.h"

namespace meridian::server {

// Thread-safe. Calls block: not on a strand.
class PartitionCloser {
 public:
  using Replica = std::shared_ptr<HostedReplica>;

  // How long whoever has had a partition closed may take to remove it.
  static constexpr absl::Duration kHoldTime = absl::Seconds(5);

  // `coordination` outlives it.
  explicit PartitionCloser(coordination::CoordinationStore& coordination,
                           absl::Duration hold_time = kHoldTime);

  // OK: it was empty, and all names of the range were its own, as of a moment during the call.
  // FAILED_PRECONDITION: it was not empty. ABORTED: some of the names are another partition's.
  // UNAVAILABLE: this replica does not lead, or there is no quorum.
  absl::Status CheckEmpty(HostedReplica& replica, const objects::NameRange& range,
                          absl::Time deadline);

  // On the leader: closes the partition to commands, waits until all that were let in have been
  // applied, and if it is as CheckEmpty demands, returns the revision of the row with the group's
  // configuration by which this replica leads. While it is closed, a transaction that removes the
  // group under the condition that this revision stands removes an empty partition: no other leader
  // can have taken a write in between. Opened again by Reopen, or after the hold time; not before
  // the row has been written again, so that no such transaction can take effect any more; never, if
  // the group is gone. Errors as of CheckEmpty; ABORTED: it is closed already.
  absl::StatusOr<int64_t> CloseIfEmpty(const Replica& replica, const objects::NameRange& range,
                                       absl::Time deadline);

  // No effect unless the partition is closed.
  void Reopen(PartitionId partition) ABSL_LOCKS_EXCLUDED(mutex_);

 private:
  // A partition that is closed, until it is known whether it is gone.
  struct Closed {
    std::weak_ptr<HostedReplica> replica;
    coordination::KeyValue group;
  };
  enum class Fate { kThere, kGone, kUnknown };

  absl::StatusOr<coordination::KeyValue> LedGroup(HostedReplica& replica, absl::Time deadline);
  // Of a removal that may happen under the condition that `group` is unchanged.
  Fate Settle(const coordination::KeyValue& group);
  void SettleAfter(absl::Duration delay, PartitionId partition, int64_t revision);
  void SettleNow(PartitionId partition, int64_t revision) ABSL_LOCKS_EXCLUDED(mutex_);

  coordination::CoordinationStore& coordination_;
  const absl::Duration hold_time_;
  absl::Mutex mutex_;
  std::map<PartitionId, Closed> closed_ ABSL_GUARDED_BY(mutex_);
  // Last: its tasks use the above. Waits for the store for kSettleTimeout at most.
  const std::unique_ptr<Executor> settler_;
};

}  // namespace meridian::server
