// Records the openings of disks in the coordination store, so that a copy of a disk's past is not
// taken for the disk (P11).
#pragma once

#include "absl/status/status.h"
#include "base/id.h"
#include "coordination/coordination_store.h"
#include "storage/disk_store.h"

namespace meridian::server {

// For DiskStoreOptions::record_opening of a disk of `node`: the disk's record in the store goes
// from `opening.last` to `opening.next`, by compare. So of two folders that hold the same disk, the
// first that opens goes on and the other is refused, now and after any restart. Blocks.
// FAILED_PRECONDITION: the folder is a copy; another opening than it knows of was recorded since.
// NOT_FOUND: the disk was taken out of the cluster. RESOURCE_EXHAUSTED: the store takes no writes.
// DATA_LOSS: the record is unreadable. UNAVAILABLE: any other error of the store, whatever its code
// was, or the record is a newer program's: that says nothing of the disk.
absl::Status RecordDiskOpening(coordination::CoordinationStore& store, const NodeId& node,
                               const storage::DiskOpening& opening);

}  // namespace meridian::server
