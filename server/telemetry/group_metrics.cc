#include "server/telemetry/group_metrics.h"

#include <algorithm>
#include <map>
#include <optional>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"

namespace meridian::server {
namespace {

using replication::GroupConfig;
using replication::Member;
using replication::ReplicaStatus;

constexpr Metric kGroups = {"meridian_groups", "Groups that have a replica here."};
constexpr Metric kUnanswered = {"meridian_groups_unanswered",
                                "Replicas that did not tell their state in time for this page."};
constexpr Metric kInService = {"meridian_group_in_service",
                               "Whether the replica votes, stores and serves: its disk is whole."};
constexpr Metric kRole = {"meridian_group_role",
                          "1 for what the replica is: leader, follower or learner."};
constexpr Metric kServing = {"meridian_group_serving", "Whether it leads and serves."};
constexpr Metric kInstalling = {"meridian_group_installing",
                                "Whether it is being built from a snapshot."};
constexpr Metric kEpoch = {"meridian_group_epoch",
                           "Number of the group's configuration; each change of leader or members "
                           "raises it."};
constexpr Metric kBegun = {"meridian_group_leaderships_begun_total",
                           "Times this replica began to lead."};
constexpr Metric kLost = {"meridian_group_leaderships_lost_total",
                          "Times this replica stopped to lead."};
constexpr Metric kSuspended = {"meridian_group_suspensions_total",
                               "Times this replica led and heard no quorum for an election "
                               "timeout."};
constexpr Metric kMemberChanges = {"meridian_group_member_changes_total",
                                   "Epochs that this leader raised to change the members."};
constexpr Metric kSwapsFailed = {"meridian_group_swaps_failed_total",
                                 "Changes of the configuration that the coordination store did "
                                 "not carry out."};
constexpr Metric kCommitSeconds = {
    "meridian_group_commit_seconds",
    "From a command's proposal to this leader until it was applied."};
constexpr Metric kProposals = {"meridian_group_proposals_waiting",
                               "Commands that wait for their commit."};
constexpr Metric kReads = {"meridian_group_reads_waiting",
                           "Reads that wait for their quorum round."};
constexpr Metric kCommitIndex = {"meridian_group_commit_index", "Of its log, as known here."};
constexpr Metric kAppliedIndex = {"meridian_group_applied_index", "Of its log, here."};
constexpr Metric kLag = {"meridian_group_follower_lag_entries",
                         "Entries of the leader's log that a member is not known to have."};
constexpr Metric kSilence = {"meridian_group_follower_silence_seconds",
                             "Since the leader last heard a member."};
constexpr Metric kAwaited = {"meridian_group_chunks_awaited",
                             "Chunks that the log or a snapshot waits for here."};
constexpr Metric kWithoutCopy = {"meridian_group_chunks_without_copy",
                                 "Chunks of which there is no good copy here; searched for."};
constexpr Metric kCorrupt = {"meridian_group_chunks_corrupt_total",
                             "Reads for clients that found a chunk damaged here."};
constexpr Metric kRepaired = {"meridian_group_chunks_repaired_total",
                              "Chunks whose copy here was replaced by a peer's."};
constexpr Metric kChunksLost = {"meridian_group_chunks_lost_total",
                                "Chunks that no peer had, recorded as lost here."};
constexpr Metric kSnapshotsSent = {"meridian_group_snapshots_sent_total",
                                   "Snapshots begun to rebuild a member."};
constexpr Metric kSnapshotsInstalled = {"meridian_group_snapshots_installed_total",
                                        "Snapshots that replaced this replica's state."};

constexpr Metric kDiffering = {"meridian_group_replicas_differing",
                               "Replicas whose state is not that of the others, as the leader's "
                               "comparison has found."};
constexpr Metric kCompared = {"meridian_group_compared_timestamp_seconds",
                              "When the leader's last whole comparison of the replicas ended; none "
                              "if none has."};

bool IsVoter(const GroupConfig& config, ReplicaId replica) {
  for (const auto* set : {&config.members, &config.joint_old}) {
    for (const Member& member : *set) {
      if (member.replica == replica) return true;
    }
  }
  return false;
}

void CollectRole(const HostedReplica::Identity& identity, const ReplicaStatus& status,
                 const MetricLabels& labels, MetricsBuilder& out) {
  const std::string role = status.is_leader                           ? "leader"
                           : IsVoter(status.config, identity.replica) ? "follower"
                                                                      : "learner";
  for (const char* name : {"leader", "follower", "learner"}) {
    out.Gauge(kRole, labels + std::pair("role", name), role == name ? 1 : 0);
  }
  out.Gauge(kServing, labels, status.is_serving ? 1 : 0);
  out.Gauge(kInstalling, labels, status.installing ? 1 : 0);
}

// A node that has two members of the group, as while a replica moves between its disks, is told by
// the one that is further behind.
void CollectFollowers(const ReplicaStatus& status, const MetricLabels& labels,
                      MetricsBuilder& out) {
  struct Worst {
    uint64_t lag = 0;
    absl::Duration silence;
  };
  std::map<NodeId, Worst> nodes;
  const GroupConfig& config = status.config;
  for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
    for (const Member& member : *set) {
      const auto lag = status.lag.find(member.replica);
      if (lag == status.lag.end()) continue;
      Worst& worst = nodes[member.node];
      worst.lag = std::max(worst.lag, lag->second);
      worst.silence = std::max(worst.silence, status.silence.at(member.replica));
    }
  }
  for (const auto& [node, worst] : nodes) {
    const MetricLabels of_peer = labels + std::pair("peer", node);
    out.Gauge(kLag, of_peer, static_cast<double>(worst.lag));
    out.Gauge(kSilence, of_peer, absl::ToDoubleSeconds(worst.silence));
  }
}

void CollectCounters(const ReplicaStatus& status, const MetricLabels& labels, MetricsBuilder& out) {
  const auto count = [&](const Metric& metric, uint64_t value) {
    out.Counter(metric, labels, static_cast<double>(value));
  };
  count(kBegun, status.counters.leaderships_begun);
  count(kLost, status.counters.leaderships_lost);
  count(kSuspended, status.counters.suspensions);
  count(kMemberChanges, status.counters.member_changes);
  count(kSwapsFailed, status.counters.swaps_failed);
  count(kChunksLost, status.counters.chunks_lost);
  count(kSnapshotsSent, status.counters.snapshots_sent);
  count(kSnapshotsInstalled, status.counters.snapshots_installed);
}

// The replicas' answers, those that have come by the deadline.
class Answers {
 public:
  explicit Answers(size_t replicas) : answers_(replicas), missing_(replicas) {}

  void Set(size_t i, ReplicaStatus status) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    answers_[i] = std::move(status);
    --missing_;
  }
  std::vector<std::optional<ReplicaStatus>> Await(absl::Duration timeout)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    mutex_.AwaitWithTimeout(absl::Condition(this, &Answers::AreAllHere), timeout);
    return answers_;
  }

 private:
  bool AreAllHere() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) { return missing_ == 0; }

  absl::Mutex mutex_;
  std::vector<std::optional<ReplicaStatus>> answers_ ABSL_GUARDED_BY(mutex_);
  size_t missing_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

void CollectReplicaMetrics(const HostedReplica::Identity& identity, const ReplicaStatus& status,
                           const MetricLabels& node, MetricsBuilder& out) {
  const MetricLabels labels = node + std::pair("group", identity.partition.ToHex());
  const auto gauge = [&](const Metric& metric, uint64_t value) {
    out.Gauge(metric, labels, static_cast<double>(value));
  };
  gauge(kInService, status.health.ok() ? 1 : 0);
  CollectRole(identity, status, labels, out);
  gauge(kEpoch, status.epoch.value());
  gauge(kProposals, status.proposals_waiting);
  gauge(kReads, status.reads_waiting);
  gauge(kCommitIndex, status.commit_index.value());
  gauge(kAppliedIndex, status.applied_index.value());
  gauge(kAwaited, status.chunks_awaited);
  gauge(kWithoutCopy, status.chunks_without_copy);
  CollectCounters(status, labels, out);
  CollectFollowers(status, labels, out);
  // One that has never led has committed nothing as a leader.
  if (status.counters.leaderships_begun > 0) {
    out.Histogram(kCommitSeconds, labels, status.commit_latency, kMicrosecond);
  }
  const MetricLabels on_disk = labels + std::pair("disk", identity.disk.ToHex());
  out.Counter(kCorrupt, on_disk, static_cast<double>(status.corrupt_chunks));
  out.Counter(kRepaired, on_disk, static_cast<double>(status.repaired_chunks));
}

void CollectComparisonMetrics(PartitionId partition, const GroupScrub& scrub,
                              const MetricLabels& node, MetricsBuilder& out) {
  const MetricLabels labels = node + std::pair("group", partition.ToHex());
  out.Gauge(kDiffering, labels, static_cast<double>(scrub.differing.size()));
  if (scrub.last_compared == absl::InfinitePast()) return;
  out.Gauge(kCompared, labels, absl::ToDoubleSeconds(scrub.last_compared - absl::UnixEpoch()));
}

void CollectGroupMetrics(const std::vector<std::shared_ptr<HostedReplica>>& replicas,
                         const GroupScrubs& scrubs, absl::Duration timeout,
                         const MetricLabels& node, MetricsBuilder& out) {
  const auto answers = std::make_shared<Answers>(replicas.size());
  for (size_t i = 0; i < replicas.size(); ++i) {
    replicas[i]->GetStatus([answers, i](ReplicaStatus status) { answers->Set(i, status); });
  }
  const std::vector<std::optional<ReplicaStatus>> statuses = answers->Await(timeout);
  size_t unanswered = 0;
  for (size_t i = 0; i < replicas.size(); ++i) {
    if (!statuses[i]) {
      ++unanswered;
      continue;
    }
    const HostedReplica::Identity& identity = replicas[i]->identity();
    CollectReplicaMetrics(identity, *statuses[i], node, out);
    const std::optional<GroupScrub> scrub = scrubs.Find(identity.partition);
    if (statuses[i]->is_serving && scrub) {
      CollectComparisonMetrics(identity.partition, *scrub, node, out);
    }
  }
  out.Gauge(kGroups, node, static_cast<double>(replicas.size()));
  out.Gauge(kUnanswered, node, static_cast<double>(unanswered));
}

}  // namespace meridian::server
