// The file that says whose folder a disk's is.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/statusor.h"
#include "base/id.h"
#include "base/random.h"
#include "storage/disk.h"

namespace meridian::storage {

struct DiskIdentity {
  ClusterId cluster;
  NodeId node;
  DiskId disk;
  // Of the disk's openings (P11), the last one that is known to be recorded, and its number; nil
  // and 0: none.
  OpeningId opening;
  uint64_t incarnation = 0;
  // The one that follows it, while it is not known to be recorded; nil: none.
  OpeningId next_opening;
  // The folder's first opening came to its end: from then on nothing in it may be missing.
  bool initialised = false;
  bool operator==(const DiskIdentity&) const = default;
};

// identity    := magic(8) version(4) cluster(16) disk(16) incarnation(8) openings initialised(1)
//                node_size(1) node crc32c(4)
// magic       := "MRDNDISK"
// version     := 3, or 2, which is read and not written
// openings    := opening(16) next_opening(16), or nothing in version 2: its incarnation counted
//                openings that nobody recorded, and is read as 0
// A folder of another version is not read: 1 had one replica of a container on a disk.
// Integers are little endian; crc32c is of all bytes before it.
std::string EncodeIdentity(const DiskIdentity& identity);
// DATA_LOSS if damaged; FAILED_PRECONDITION if of another version.
absl::StatusOr<DiskIdentity> DecodeIdentity(std::string_view bytes);

// Checks that the folder is `cluster`'s and `node`'s, or takes an empty one for it; the answer has,
// durably, a next opening, which is to be recorded. FAILED_PRECONDITION if it is somebody else's or
// of another version.
absl::StatusOr<DiskIdentity> ClaimDisk(Disk& disk, ClusterId cluster, const NodeId& node,
                                       Random& random);
// The check alone, without a change: OK also if nothing that can be read says whose the folder is.
absl::Status CheckDiskOwner(Disk& disk, ClusterId cluster, const NodeId& node);
// Durably: the next opening, unless there is one already; and that it was recorded. On an error (a
// full disk) `identity` stays as the folder has it: else the record would run ahead of the disk.
absl::Status BeginOpening(Disk& disk, DiskIdentity& identity, Random& random);
absl::Status EndOpening(Disk& disk, DiskIdentity& identity);
absl::Status WriteIdentity(Disk& disk, const DiskIdentity& identity);

}  // namespace meridian::storage
