#include "tests/simulation/cluster.h"

#include "absl/strings/str_cat.h"

namespace meridian::simulation {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(100);
constexpr absl::Duration kHostInterval = absl::Milliseconds(50);

// Small, so that many things happen in few simulated seconds.
replication::ReplicaOptions MakeReplicaOptions() {
  replication::ReplicaOptions options;
  options.heartbeat_interval = absl::Milliseconds(50);
  options.election_timeout = absl::Milliseconds(300);
  options.request_timeout = absl::Seconds(2);
  options.max_append_bytes = 4 << 10;
  options.max_cached_log_bytes = 8 << 10;
  options.retained_log_entries = 30;
  options.garbage_interval = absl::Milliseconds(400);
  options.orphan_age = absl::Seconds(3);
  return options;
}

storage::MemoryDiskOptions MakeDiskOptions() {
  storage::MemoryDiskOptions options;
  options.min_sync = absl::Microseconds(200);
  options.max_sync = absl::Milliseconds(8);
  return options;
}

std::unique_ptr<storage::ReplicaStorage> MakeFaithfulStorage(Copy& copy, Executor& strand,
                                                             Random& random) {
  return std::make_unique<storage::MemoryReplicaStorage>(copy.disk, strand, random);
}

}  // namespace

Cluster::Cluster(uint64_t seed, const Plant& plant)
    : random_(seed),
      network_(scheduler_, random_),
      coordination_strand_(scheduler_, 1),
      coordination_(coordination_strand_),
      world_{.scheduler = scheduler_,
             .network = network_,
             .coordination = coordination_,
             .coordination_conditions = conditions_,
             .state_machine = state_machine_,
             .replica_options = MakeReplicaOptions(),
             .make_storage = plant.make_storage ? plant.make_storage : MakeFaithfulStorage,
             .report = [this](const std::string& violation) { Report(violation); }} {
  if (plant.make_tamper) network_.TamperWith(plant.make_tamper());
  for (size_t i = 0; i < kNodes; ++i) {
    nodes_.push_back(std::make_unique<Node>(absl::StrCat("node-", i), random_.Next(), world_));
  }
  for (size_t number = 0; number < kGroups; ++number) MakeGroup(number);
}

// Replicas answer what waits when they go: into what the nodes refer to, which goes after them.
Cluster::~Cluster() { nodes_.clear(); }

void Cluster::MakeGroup(size_t number) {
  Group group{.partition = PartitionId::Draw(random_), .keep_versions = number % 2 == 1};
  replication::GroupConfig& config = group.config;
  for (size_t i = 0; i < kReplicas; ++i) {
    Node& node = *nodes_[(number * (kReplicas - 1) + i) % kNodes];
    auto copy =
        std::make_unique<Copy>(group.partition, ReplicaId::Draw(random_), MakeDiskOptions());
    config.members.push_back(
        {.replica = copy->id, .node = node.id(), .disk = DiskId::Draw(random_)});
    node.AddCopy(std::move(copy));
    group.nodes.push_back(&node);
  }
  coordination_.Commit({.writes = {{replication::GroupConfigKey(group.partition),
                                    replication::EncodeGroupConfig(config)}}},
                       [](const auto&) {});
  groups_.push_back(std::move(group));
}

void Cluster::HostReplicas() {
  for (Group& group : groups_) {
    coordination_.Get(replication::GroupConfigKey(group.partition),
                      [this, &group](const auto& stored) {
                        Host(group, *replication::DecodeGroupConfig((**stored).value));
                      });
  }
  scheduler_.After(kHostInterval, [this] { HostReplicas(); });
}

void Cluster::Host(Group& group, const replication::GroupConfig& config) {
  totals_.member_changes += !group.config.joint_old.empty() && config.joint_old.empty();
  group.config = config;
  group.nodes.clear();
  for (const std::unique_ptr<Node>& node : nodes_) {
    Copy* copy = node->FindCopy(group.partition);
    const bool runs = node->is_up() && !node->is_paused();
    if (runs && copy != nullptr && !config.Names(copy->id, node->id())) {
      node->RemoveCopy(group.partition);
      copy = nullptr;
    }
    for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
      for (const replication::Member& member : *set) {
        if (member.node != node->id()) continue;
        if (set == &config.members) group.nodes.push_back(node.get());
        if (runs && node->FindCopy(group.partition) == nullptr) {
          node->AddCopy(std::make_unique<Copy>(group.partition, member.replica, MakeDiskOptions()));
        }
      }
    }
  }
}

void Cluster::ChangeMembers(const Group& group, const std::vector<replication::Member>& members) {
  for (const std::unique_ptr<Node>& node : nodes_) {
    const Copy* copy = node->FindCopy(group.partition);
    if (!node->is_up() || copy == nullptr || copy->replica == nullptr) continue;
    copy->replica->ChangeMembers(members, [](const absl::Status&) {});
  }
}

void Cluster::StartAll() {
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (!node->is_up()) node->Start();
    if (node->is_paused()) node->Resume();
  }
}

void Cluster::Crash(Node& node, bool power_loss) {
  if (node.Crash(power_loss) > 0) ++totals_.crashes_that_lost_bytes;
}

void Cluster::WatchStatus() {
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (!node->is_up()) continue;
    for (const std::unique_ptr<Copy>& copy : node->copies()) {
      if (copy->replica == nullptr) continue;
      copy->replica->GetStatus(
          [this, copy = copy.get(), life = node->life()](const replication::ReplicaStatus& status) {
            Note(*copy, life, status);
          });
    }
  }
  scheduler_.After(kPollInterval, [this] { WatchStatus(); });
}

void Cluster::Note(const Copy& copy, uint64_t life, const replication::ReplicaStatus& status) {
  if (!status.health.ok()) return;  // the answer of one that is stopped
  statuses_[{copy.id, life}] = status;
  if (!status.is_serving) return;
  const auto [served, first] = served_.emplace(std::pair(copy.partition, status.epoch), copy.id);
  if (!first && served->second != copy.id) {
    Report(absl::StrCat("two replicas serve in epoch ", status.epoch.value()));
  }
}

void Cluster::CheckInvariants() const {
  for (const std::unique_ptr<Node>& node : nodes_) {
    for (const std::unique_ptr<Copy>& copy : node->copies()) {
      if (copy->replica != nullptr) copy->replica->CheckInvariants();
    }
  }
}

std::string Cluster::DescribeReplicas() const {
  std::string text;
  for (const std::unique_ptr<Node>& node : nodes_) {
    for (const std::unique_ptr<Copy>& copy : node->copies()) {
      const auto found = statuses_.find({copy->id, node->life()});
      if (found == statuses_.end()) continue;
      const replication::ReplicaStatus& status = found->second;
      absl::StrAppend(&text, "  ", node->id(), " ", copy->partition.ToHex().substr(0, 4), ":",
                      status.is_serving ? " serves" : "", status.is_leader ? " leads" : "",
                      status.installing ? " installs" : "", " epoch ", status.epoch.value(),
                      " last ", status.last_index.value(), " commit ", status.commit_index.value(),
                      " applied ", status.applied_index.value(), " snapshots sent ",
                      status.counters.snapshots_sent, " appends rejected ",
                      status.counters.appends_rejected, "\n");
    }
  }
  return text;
}

Totals Cluster::CollectTotals() const {
  Totals totals = totals_;
  totals.messages_dropped = network_.totals().dropped;
  totals.messages_reordered = network_.totals().reordered;
  totals.messages_duplicated = network_.totals().duplicated;
  totals.unknown_swaps = conditions_.unknown_outcomes;
  for (const auto& [life, status] : statuses_) {
    totals.leader_changes += status.counters.leaderships_begun;
    totals.snapshots += status.counters.snapshots_installed;
    totals.stale_epochs_rejected += status.counters.stale_epochs_rejected;
    totals.entries_truncated += status.counters.entries_truncated;
    totals.chunks_repaired += status.repaired_chunks;
    totals.runs_freed += status.counters.runs_freed;
    totals.orphans_aborted += status.counters.orphans_aborted;
  }
  return totals;
}

}  // namespace meridian::simulation
