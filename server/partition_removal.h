// Deletes a partition that is empty, without a race against writers.
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "coordination/coordination_store.h"
#include "server/hosted_replica.h"

namespace meridian::server {

// Blocks; not on a strand. OK: it was empty, as of a moment during the call. FAILED_PRECONDITION:
// it was not. UNAVAILABLE: this replica does not lead, or there is no quorum.
absl::Status CheckEmpty(HostedReplica& replica, absl::Time deadline);

// On the leader: closes the partition to commands, waits until all that were let in have been
// applied, and if it is empty, commits `transaction` together with the removal of the group's keys,
// under the condition that the group's configuration is still the one that this replica leads by.
// So no other leader can have taken a write in between. Opened again unless it was removed.
// Errors as of CheckEmpty; ABORTED: a compare did not hold; UNAVAILABLE also if the store's answer
// was lost: then it is decided when the group's key is read again.
absl::Status RemoveIfEmpty(HostedReplica& replica, coordination::CoordinationStore& coordination,
                           coordination::Transaction transaction, absl::Time deadline);

}  // namespace meridian::server
