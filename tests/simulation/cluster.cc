#include "tests/simulation/cluster.h"

#include <algorithm>
#include <cstring>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "storage/objects/child_rows.h"
#include "storage/objects/object_reader.h"

namespace meridian::simulation {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(100);
constexpr absl::Duration kHostInterval = absl::Milliseconds(50);
constexpr char kGroupPrefix[] = "group/";
constexpr char kRegion[] = "region";

// Small, so that many things happen in few simulated seconds.
replication::ReplicaOptions MakeReplicaOptions() {
  replication::ReplicaOptions options;
  options.heartbeat_interval = absl::Milliseconds(50);
  options.election_timeout = absl::Milliseconds(300);
  options.request_timeout = absl::Seconds(2);
  options.max_append_bytes = 4 << 10;
  options.max_cached_log_bytes = 8 << 10;
  options.retained_log_entries = 30;
  options.retained_for_answering = 60;
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
             .disk_options = MakeDiskOptions(),
             .make_storage = plant.make_storage ? plant.make_storage : MakeFaithfulStorage,
             .report = [this](const std::string& violation) { Report(violation); }},
      child_begins_whole_(plant.child_begins_whole),
      containers_(kContainers) {
  if (plant.make_tamper) network_.TamperWith(plant.make_tamper());
  for (size_t i = 0; i < kNodes; ++i) {
    nodes_.push_back(std::make_unique<Node>(absl::StrCat("node-", i), random_.Next(), world_));
  }
  for (size_t number = 0; number < kContainers; ++number) MakeContainer(number);
}

// Replicas answer what waits when they go: into what the nodes refer to, which goes after them.
Cluster::~Cluster() { nodes_.clear(); }

void Cluster::MakeContainer(size_t number) {
  const PartitionId partition = PartitionId::Draw(random_);
  replication::GroupConfig config;
  for (size_t i = 0; i < kReplicas; ++i) {
    const Node& node = *nodes_[(number * (kReplicas - 1) + i) % kNodes];
    config.members.push_back(
        {.replica = ReplicaId::Draw(random_), .node = node.id(), .disk = node.disk()});
  }
  ContainerRow& container = containers_[number];
  container.map = {{partition, {}}};
  if (number == 0) container.redundancy = tenancy::Redundancy::kLrs;
  const PartitionRow row{.container = number, .redundancy = container.redundancy};
  coordination_.Commit(
      {.writes = {{replication::GroupConfigKey(partition), replication::EncodeGroupConfig(config)},
                  {PartitionKey(partition), EncodePartitionRow(row)},
                  {ContainerKey(number), EncodeContainer(container)}}},
      [](const auto&) {});
  Host(LearnGroup(partition, row), config);
}

const Group* Cluster::FindGroup(PartitionId partition) const {
  for (const Group& group : groups_) {
    if (group.partition == partition) return &group;
  }
  return nullptr;
}

void Cluster::HostReplicas() {
  coordination_.List("", [this](const auto& rows) { Learn(*rows); });
  scheduler_.After(kHostInterval, [this] { HostReplicas(); });
}

void Cluster::Learn(const std::vector<coordination::KeyValue>& rows) {
  std::map<PartitionId, PartitionRow> partitions;
  for (const coordination::KeyValue& row : rows) {
    if (!absl::StartsWith(row.key, kPartitionPrefix)) continue;
    partitions[PartitionOf(kPartitionPrefix, row.key)] = DecodePartitionRow(row.value);
  }
  for (const coordination::KeyValue& row : rows) {
    if (absl::StartsWith(row.key, kGroupPrefix)) {
      const PartitionId partition = PartitionOf(kGroupPrefix, row.key);
      Host(LearnGroup(partition, partitions.at(partition)),
           *replication::DecodeGroupConfig(row.value));
    } else if (absl::StartsWith(row.key, kContainerPrefix)) {
      LearnContainer(std::stoul(row.key.substr(strlen(kContainerPrefix))),
                     DecodeContainer(row.value));
    } else if (absl::StartsWith(row.key, kRemovedPrefix)) {
      RemoveDeleted(PartitionOf(kRemovedPrefix, row.key));
    }
  }
  for (const Group& group : groups_) CheckRedundancy(group);
}

void Cluster::LearnContainer(size_t number, const ContainerRow& row) {
  ContainerRow& known = containers_[number];
  totals_.conversions_begun += !known.target && row.target;
  totals_.conversions_ended += known.redundancy != row.redundancy;
  totals_.conversions_taken_back +=
      known.redundancy == row.redundancy && known.target && !row.target;
  known = row;
}

void Cluster::CheckRedundancy(const Group& group) {
  const ContainerRow& container = containers_[group.container];
  if (group.removed || !container.redundancy || container.target) return;
  for (const auto* set : {&group.config.members, &group.config.joint_old}) {
    if (set->empty()) continue;
    replication::GroupConfig voters;
    voters.members = *set;
    const server::GroupInPlan shown{
        *server::PolicyOf(*container.redundancy), kRegion, voters, {}, {}};
    if (server::KeepsPolicy(shown, Disks())) continue;
    const std::string violation = absl::StrCat(
        "a container shows a redundancy that its partition ", group.partition.ToHex().substr(0, 4),
        " does not have in epoch ", group.config.epoch.value());
    if (violations_.empty() || violations_.back() != violation) Report(violation);
  }
}

std::vector<server::DiskInPlan> Cluster::Disks() const {
  std::vector<server::DiskInPlan> disks;
  for (size_t i = 0; i < kNodes; ++i) {
    const Node& node = *nodes_[i];
    const std::string zone = absl::StrCat("zone-", i < kFirstZone ? 0 : i);
    disks.push_back({.disk = {node.id(), zone, kRegion, node.disk(), node.copies().size()},
                     .present = node.is_up(),
                     .draining = draining_.contains(node.id())});
  }
  return disks;
}

void Cluster::SetDraining(const Node& node, bool draining) {
  if (draining) {
    draining_.insert(node.id());
  } else {
    draining_.erase(node.id());
  }
}

Group& Cluster::LearnGroup(PartitionId partition, const PartitionRow& row) {
  for (Group& group : groups_) {
    if (group.partition != partition) continue;
    totals_.splits_finished += group.parent.has_value() && !row.parent.has_value();
    group.parent = row.parent;
    group.redundancy = row.redundancy;
    return group;
  }
  return groups_.emplace_back(Group{.partition = partition,
                                    .container = row.container,
                                    .keep_versions = row.container % 2 == 1,
                                    .parent = row.parent,
                                    .redundancy = row.redundancy});
}

void Cluster::RemoveDeleted(PartitionId partition) {
  for (Group& group : groups_) {
    if (group.partition != partition) continue;
    totals_.splits_given_up += !group.removed;
    group.removed = true;
    group.nodes.clear();
  }
  for (const std::unique_ptr<Node>& node : nodes_) {
    if (node->is_up() && !node->is_paused()) node->RemoveCopy(partition);
  }
}

void Cluster::Host(Group& group, const replication::GroupConfig& config) {
  if (group.removed) return;
  totals_.member_changes += !group.config.joint_old.empty() && config.joint_old.empty();
  group.config = config;
  group.nodes.clear();
  for (const std::unique_ptr<Node>& node : nodes_) {
    Copy* copy = node->FindCopy(group.partition);
    const bool runs = node->is_up() && !node->is_paused();
    if (runs && copy != nullptr && !config.Names(copy->id, node->id())) {
      node->RemoveCopy(group.partition);
    }
    for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
      for (const replication::Member& member : *set) {
        if (member.node != node->id()) continue;
        if (set == &config.members) group.nodes.push_back(node.get());
        if (runs && node->FindCopy(group.partition) == nullptr) {
          node->AddCopy(group.partition, member.replica, group.container,
                        group.parent.has_value() && !child_begins_whole_);
        }
      }
    }
  }
}

bool Cluster::SplitsAreOver() const {
  for (const Group& group : groups_) {
    if (group.removed) continue;
    if (group.parent.has_value()) return false;
    for (const std::unique_ptr<Node>& node : nodes_) {
      const Copy* const copy = node->FindCopy(group.partition);
      if (copy == nullptr || copy->replica == nullptr) continue;
      if (objects::FindSplit(*copy->replica->NewView())->has_value()) return false;
    }
  }
  return true;
}

bool Cluster::ConversionsAreOver() const {
  return std::none_of(containers_.begin(), containers_.end(),
                      [](const ContainerRow& row) { return row.target.has_value(); });
}

void Cluster::CheckRanges() {
  for (size_t container = 0; container < kContainers; ++container) {
    const ContainerMap& map = MapOf(container);
    std::string end;
    for (size_t i = 0; i < map.size(); ++i) {
      const Group* const group = FindGroup(map[i].partition);
      const objects::NameRange& names = map[i].names;
      if (names.start != end || (names.end.empty() != (i + 1 == map.size()))) {
        Report("the map of a container has not every name once");
      }
      end = names.end;
      for (Node* const node : group->nodes) {
        const auto view = node->FindCopy(group->partition)->replica->NewView();
        if (*objects::ObjectReader(*view).Owned() == names) continue;
        Report(absl::StrCat("a replica on ", node->id(), " owns other names than the map says"));
      }
    }
    for (const Group& group : groups_) {
      if (group.container != container || group.removed) continue;
      const bool in_map = std::any_of(map.begin(), map.end(), [&](const MapEntry& entry) {
        return entry.partition == group.partition;
      });
      if (!in_map) Report("a partition is in no map");
    }
  }
}

void Cluster::ChangeMembers(const Group& group, const std::vector<replication::Member>& members) {
  for (const std::unique_ptr<Node>& node : nodes_) {
    const Copy* copy = node->FindCopy(group.partition);
    if (!node->is_up() || copy == nullptr || copy->replica == nullptr) continue;
    if (objects::FindSplit(*copy->replica->NewView())->has_value()) continue;
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
  replication::ReplicaStatus& known = statuses_[{copy.id, life}];
  if (!status.config.joint_old.empty() || !status.config.learners.empty()) {
    totals_.suspensions_in_changes += status.counters.suspensions - known.counters.suspensions;
  }
  known = status;
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
                      status.counters.appends_rejected, " chunks awaited ", status.chunks_awaited,
                      " lost ", status.counters.chunks_lost, "\n");
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
  totals.children_built = world_.children.built;
  totals.children_by_snapshot = world_.children.by_snapshot;
  for (const auto& [life, status] : statuses_) {
    totals.leader_changes += status.counters.leaderships_begun;
    totals.suspensions += status.counters.suspensions;
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
