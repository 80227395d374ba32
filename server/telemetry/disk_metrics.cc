#include "server/telemetry/disk_metrics.h"

#include <filesystem>
#include <string>
#include <system_error>
#include <utility>

namespace meridian::server {
namespace {

constexpr Metric kInService = {"meridian_disk_in_service",
                               "1; 0 once a write or sync has failed, or if it cannot be opened."};
constexpr Metric kFree = {"meridian_disk_free_bytes", "Of its file system."};
constexpr Metric kCapacity = {"meridian_disk_capacity_bytes", "Of its file system."};
constexpr Metric kSyncSeconds = {
    "meridian_disk_sync_seconds",
    "How long one sync took; of the journal, the write with it (O_DSYNC)."};
constexpr Metric kSyncRecords = {"meridian_disk_sync_records",
                                 "Records that one sync made durable."};
constexpr Metric kSyncBytes = {"meridian_disk_sync_bytes", "Bytes that one sync made durable."};
constexpr Metric kWaiting = {"meridian_disk_journal_waiting_bytes",
                             "Given to the journal and not answered yet."};
constexpr Metric kSegments = {"meridian_disk_journal_segments", "Segments in use."};
constexpr Metric kCheckpoints = {"meridian_disk_checkpoints_total", "Checkpoints done."};
constexpr Metric kExtents = {"meridian_disk_extents", "Files that hold chunks."};
constexpr Metric kExtentBytes = {"meridian_disk_extent_bytes", "What those files take."};
constexpr Metric kChunkBytes = {"meridian_disk_chunk_bytes", "What of it is in use."};
constexpr Metric kCorrupt = {"meridian_disk_corrupt_reads_total",
                             "Reads of records and chunks that found damage."};
constexpr Metric kAwaitingRepair = {"meridian_disk_chunks_awaiting_repair",
                                    "Chunks of which there is no good copy on the disk now."};
constexpr Metric kScrubProgress = {"meridian_disk_scrub_progress",
                                   "How much of the disk its last pass has verified, 0 to 1."};
constexpr Metric kScrubVerified = {"meridian_disk_scrub_verified_bytes",
                                   "Verified in the last pass; it begins at 0 with each."};
constexpr Metric kScrubCorrupt = {"meridian_disk_scrub_corrupt_records",
                                  "Records found damaged in the last pass, and in the one before."};
constexpr Metric kScrubEnd = {"meridian_disk_scrub_end_timestamp_seconds",
                              "When a pass last ended; none if none has."};
constexpr Metric kScrubHeld = {
    "meridian_disk_scrub_held",
    "1 while the pass does not get on; `meridian scrub status` says why."};

void CollectSyncs(const storage::SyncCounts& syncs, const MetricLabels& labels,
                  MetricsBuilder& out) {
  out.Histogram(kSyncSeconds, labels, syncs.time, kMicrosecond);
  out.Histogram(kSyncRecords, labels, syncs.records, 1);
  out.Histogram(kSyncBytes, labels, syncs.bytes, 1);
}

void CollectStats(const storage::DiskStats& stats, const MetricLabels& labels,
                  MetricsBuilder& out) {
  const auto gauge = [&](const Metric& metric, uint64_t value) {
    out.Gauge(metric, labels, static_cast<double>(value));
  };
  const auto counter = [&](const Metric& metric, uint64_t value) {
    out.Counter(metric, labels, static_cast<double>(value));
  };
  gauge(kFree, stats.free_bytes);
  gauge(kWaiting, stats.journal_waiting_bytes);
  gauge(kSegments, stats.segments_in_use);
  gauge(kExtents, stats.extents);
  gauge(kExtentBytes, stats.chunk_space_bytes);
  gauge(kChunkBytes, stats.chunk_live_bytes);
  counter(kCheckpoints, stats.checkpoints);
  counter(kCorrupt, stats.corrupt_reads);
  gauge(kAwaitingRepair, stats.lost_chunks);
  CollectSyncs(stats.journal_syncs, labels + std::pair("part", "journal"), out);
  CollectSyncs(stats.extent_syncs, labels + std::pair("part", "extents"), out);
}

}  // namespace

void CollectScrubMetrics(const storage::ScrubStatus& scrub, const MetricLabels& labels,
                         MetricsBuilder& out) {
  if (scrub.bytes_per_second == 0) return;
  out.Gauge(kScrubProgress, labels, scrub.progress);
  out.Gauge(kScrubVerified, labels, static_cast<double>(scrub.verified_bytes));
  out.Gauge(kScrubCorrupt, labels + std::pair("pass", "last"), static_cast<double>(scrub.corrupt));
  out.Gauge(kScrubCorrupt, labels + std::pair("pass", "before"),
            static_cast<double>(scrub.corrupt_before));
  if (scrub.last_pass_end != absl::InfinitePast()) {
    out.Gauge(kScrubEnd, labels, absl::ToDoubleSeconds(scrub.last_pass_end - absl::UnixEpoch()));
  }
  out.Gauge(kScrubHeld, labels, scrub.problem.ok() ? 0 : 1);
}

void CollectDiskMetrics(const ServedDisk& disk, const MetricLabels& node, MetricsBuilder& out) {
  const std::string id = disk.store == nullptr ? std::string() : disk.store->disk_id().ToHex();
  const MetricLabels labels = node + std::pair("disk", id) + std::pair("folder", disk.folder);
  out.Gauge(kInService, labels, disk.store != nullptr && disk.store->health().ok() ? 1 : 0);
  if (disk.store == nullptr) return;
  std::error_code error;
  const std::filesystem::space_info space = std::filesystem::space(disk.folder, error);
  if (!error) out.Gauge(kCapacity, labels, static_cast<double>(space.capacity));
  const absl::StatusOr<storage::DiskStats> stats = disk.store->Stats();
  if (stats.ok()) CollectStats(*stats, labels, out);
  CollectScrubMetrics(disk.store->scrub(), labels, out);
}

}  // namespace meridian::server
