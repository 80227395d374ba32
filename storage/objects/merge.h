// Merging a partition in which nothing is left into its neighbour (P7). It is closed first: from
// the apply of that entry on it owns no name, for good. Only then, by an entry in a log of its own,
// does the neighbour take the names over. So between the two nobody has the names, and never two;
// and as there is nothing in them, no row moves.
//
// What the closed partition knew and forgot goes on to count: the neighbour's entry is above its
// last timestamp (P14), so that a request id too old for the one is too old for the other (P5), and
// its floor of request ids is the higher of the two.
#pragma once

#include <optional>

#include "absl/status/statusor.h"
#include "storage/kv.h"
#include "storage/objects/records.h"

namespace meridian::objects {

// Whether the partition could be closed, as its state is: whether nothing is in it that a client
// could ask for, no split is under way, and what its own split has left is done with.
absl::StatusOr<bool> MayBeClosed(const storage::KvReader& state);

// nullopt: it has not been closed.
absl::StatusOr<std::optional<pb::ClosedPartition>> FindClosed(const storage::KvReader& state);

}  // namespace meridian::objects
