// Makes a split's child on a disk from its parent's replica there (P7): copies the rows of the
// names that moved (storage/objects/child_rows.h). Or a replica of a partition of which nothing is
// left (P23).
#pragma once

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "base/executor.h"
#include "base/id.h"
#include "base/strong_int.h"
#include "replication/replica.h"
#include "storage/disk_store.h"
#include "storage/objects/keys.h"

namespace meridian::server {

// What every replica of a child has promised once it is built: the epoch of the entry that its log
// begins with. Nobody leads it.
inline constexpr Epoch kChildsFirstEpoch{1};

// `child` is a replica on `disk` that is not open, and was created as one whose install is not
// done; `parent` is its parent's replica on the same disk. Blocks; not on the strand. OK: the
// child's replica is whole, durably, and begins at entry 1 of epoch 1, as all of its group's do.
// FAILED_PRECONDITION: the parent's state does not hold the child's rows: it has not come to the
// split yet, is past its end, or got a snapshot meanwhile. RESOURCE_EXHAUSTED: the disk is full.
// DEADLINE_EXCEEDED: it takes longer than half a minute for one step. May be called again after any
// error or crash.
absl::Status BuildChild(storage::DiskStore& disk, ReplicaId child, PartitionId child_partition,
                        const replication::Replica& parent, absl::Duration retention,
                        Executor& strand);

// Likewise, of the only replica of a partition that begins anew: it owns `names`, holds nothing,
// and begins at entry 1 of `epoch`, that of the configuration in which the store first named it and
// which nobody leads. Not FAILED_PRECONDITION.
absl::Status BuildEmpty(storage::DiskStore& disk, ReplicaId replica, Epoch epoch,
                        const objects::NameRange& names, Executor& strand);

}  // namespace meridian::server
