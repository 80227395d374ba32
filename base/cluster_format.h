// The version of all that a cluster's nodes write for each other and to keep: log entries, rows,
// records of the coordination store, messages. One number for a cluster, from which every format's
// own version follows, so that builds can be exchanged node by node, and back: a node reads what
// older versions wrote, and writes the cluster's. The cluster's is raised by an operator
// (server/cluster_format.h), when every node can write the next one.
#pragma once

#include "base/strong_int.h"

namespace meridian {

using ClusterFormat = StrongInt<struct ClusterFormatTag>;

// Of a cluster that nobody has raised.
inline constexpr ClusterFormat kFirstClusterFormat{1};

// The newest that this build can write. Defined in a file of its own, as are those formats that
// depend on it (storage/objects/version_format.cc), so that tests link a build of the next version.
extern const ClusterFormat kNewestClusterFormat;

}  // namespace meridian
