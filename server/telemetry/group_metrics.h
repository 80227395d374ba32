// The metrics of the groups that have a replica on a node.
#pragma once

#include <memory>
#include <vector>

#include "absl/time/time.h"
#include "base/id.h"
#include "replication/replica.h"
#include "server/group_scrubs.h"
#include "server/hosted_replica.h"
#include "server/telemetry/metrics_builder.h"

namespace meridian::server {

// Asks all replicas at once and waits up to `timeout`. Adds the label `group`, the partition's id;
// followers are told by their nodes (`peer`), damage by disk. Some 40 series a group that is led
// here, 25 of one that is not.
// `scrubs`: what leaders here have compared.
void CollectGroupMetrics(const std::vector<std::shared_ptr<HostedReplica>>& replicas,
                         const GroupScrubs& scrubs, absl::Duration timeout,
                         const MetricLabels& node, MetricsBuilder& out);

// Of one replica, as it has answered.
void CollectReplicaMetrics(const HostedReplica::Identity& identity,
                           const replication::ReplicaStatus& status, const MetricLabels& node,
                           MetricsBuilder& out);

// Of a group that is led here.
void CollectComparisonMetrics(PartitionId partition, const GroupScrub& scrub,
                              const MetricLabels& node, MetricsBuilder& out);

}  // namespace meridian::server
