// The disks that placement chooses among, from what nodes have published.
#pragma once

#include <vector>

#include "server/cluster_view.h"
#include "server/placement_plan.h"

namespace meridian::server {

std::vector<DiskInPlan> PlacementDisks(const ClusterView& view);

}  // namespace meridian::server
