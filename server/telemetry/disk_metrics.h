// The metrics of one disk.
#pragma once

#include "server/node_service.h"
#include "server/telemetry/metrics_builder.h"
#include "storage/disk_store.h"

namespace meridian::server {

// Adds labels `folder`, as it is configured, and `disk`, its id; a disk that could not be opened
// has none, and is only told to be out of service. Reads counts in memory and asks the file system.
void CollectDiskMetrics(const ServedDisk& disk, const MetricLabels& node, MetricsBuilder& out);

// How its verification stands; nothing of a disk that is not verified.
void CollectScrubMetrics(const storage::ScrubStatus& scrub, const MetricLabels& disk,
                         MetricsBuilder& out);

}  // namespace meridian::server
