// The cluster's format version in the coordination store, and how it is raised.
//
// Each node publishes, with its record, the newest version that its build can write, under the
// condition that the cluster's is not above: a build that is too old never becomes a node. One that
// is put back says so before it opens a disk. Raising has the condition that no node has published
// since all were looked at. So no node runs that cannot read what is written, whatever is started
// or raised at the same time.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "base/cluster_format.h"
#include "base/id.h"
#include "coordination/coordination_store.h"

namespace meridian::server {

// A ClusterFormatRecord; absent: kFirstClusterFormat.
inline constexpr char kFormatKey[] = "format";
// Rewritten, with any value, by each transaction that writes a node's record.
inline constexpr char kPublishedKey[] = "published";

std::string EncodeClusterFormat(ClusterFormat format);
// Of the row of kFormatKey. DATA_LOSS if it is none.
absl::StatusOr<ClusterFormat> DecodeClusterFormat(const std::optional<coordination::KeyValue>& row);

// FAILED_PRECONDITION, saying what to do, if a build whose newest version is `newest` must not run
// in a cluster of version `cluster`.
absl::Status CheckClusterFormat(ClusterFormat cluster, ClusterFormat newest);

// By a node that starts, before it reads or writes anything else: if its record is of a newer
// build, the record says from now on that this one is `newest`. FAILED_PRECONDITION as
// CheckClusterFormat. UNAVAILABLE: try again. Blocks.
absl::Status ReserveClusterFormat(coordination::CoordinationStore& store, const NodeId& node,
                                  ClusterFormat newest);

struct FormatUpgrade {
  ClusterFormat from;
  ClusterFormat to;
};
// Raises it to the newest that every node can write; `check_only`: only tells what it would do.
// Blocks. FAILED_PRECONDITION: some nodes cannot write what others can; the message names them.
// ABORTED: a node has published meanwhile. UNAVAILABLE: it may have been raised.
absl::StatusOr<FormatUpgrade> UpgradeClusterFormat(coordination::CoordinationStore& store,
                                                   bool check_only);

}  // namespace meridian::server
