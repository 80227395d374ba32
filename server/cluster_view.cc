#include "server/cluster_view.h"

#include <algorithm>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/synchronization/mutex.h"
#include "replication/replica.h"
#include "server/cluster_format.h"

namespace meridian::server {
namespace {

// After a read of the store that failed.
constexpr absl::Duration kRetryDelay = absl::Seconds(1);

}  // namespace

// Shared with the callbacks of reads under way, which may outlive the view.
class ClusterView::State : public std::enable_shared_from_this<State> {
 public:
  using Rows = std::vector<coordination::KeyValue>;

  // `timer` outlives Close.
  State(coordination::CoordinationStore& coordination, Executor& timer, NodesChanged nodes_changed)
      : coordination_(coordination), timer_(timer), nodes_changed_(std::move(nodes_changed)) {}

  // Of each prefix that is followed, what takes its rows.
  static const std::map<std::string, void (State::*)(const Rows&)>& Sections() {
    static const auto* sections = new std::map<std::string, void (State::*)(const Rows&)>{
        {kGroupKeyPrefix, &State::TakeGroups}, {kPartitionKeyPrefix, &State::TakePartitions},
        {kNodeKeyPrefix, &State::TakeNodes},   {kAliveKeyPrefix, &State::TakeAlive},
        {kDrainKeyPrefix, &State::TakeDrains}, {kRetiredDiskKeyPrefix, &State::TakeRetiredDisks},
        {kFormatKey, &State::TakeFormat},
    };
    return *sections;
  }

  void Read(const std::string& prefix) ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!Begin(prefix)) return;
    coordination_.List(prefix, [self = shared_from_this(), prefix](absl::StatusOr<Rows> rows) {
      if (rows.ok()) {
        (self.get()->*Sections().at(prefix))(*rows);
      } else {
        self->RetryLater(prefix);
      }
      if (self->End(prefix, rows.ok())) self->Read(prefix);
    });
  }

  void Close() ABSL_LOCKS_EXCLUDED(mutex_) {
    // Waits for a running nodes_changed, and lets no other begin.
    absl::MutexLock callback_lock(&callback_mutex_);
    absl::MutexLock lock(&mutex_);
    closed_ = true;
  }

  bool WaitUntilRead(absl::Duration timeout) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto read = [this] {
      mutex_.AssertReaderHeld();
      return read_once_.size() == Sections().size();
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&read), timeout);
  }

  struct Known {
    std::map<PartitionId, Group> groups;
    std::map<PartitionId, PartitionRecord> partitions;
    std::map<NodeId, NodeRecord> nodes;
    std::shared_ptr<const Topology> topology =
        std::make_shared<const Topology>(Topology::FromNodes({}));
    std::set<NodeId> alive;
    std::set<NodeId> draining;
    std::set<DiskId> retired_disks;
    ClusterFormat format = kFirstClusterFormat;
  };
  // A part of what is known, copied.
  template <typename Part>
  Part Get(Part Known::*part) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return known_.*part;
  }
  template <typename Key, typename Value>
  std::optional<Value> Find(std::map<Key, Value> Known::*part, const Key& key) const
      ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto found = (known_.*part).find(key);
    return found == (known_.*part).end() ? std::nullopt : std::optional(found->second);
  }

 private:
  // One read of a prefix at a time; a change during one asks for another.
  struct Reading {
    bool running = false;
    bool again = false;
  };

  bool Begin(const std::string& prefix) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    Reading& reading = reading_[prefix];
    if (std::exchange(reading.running, true)) {
      reading.again = true;
      return false;
    }
    return true;
  }
  // Whether to read again.
  bool End(const std::string& prefix, bool read) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (read) read_once_.insert(prefix);
    Reading& reading = reading_[prefix];
    reading.running = false;
    return std::exchange(reading.again, false);
  }

  // The change that asked for the read is not told of again.
  void RetryLater(const std::string& prefix) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    timer_.PostAfter(kRetryDelay, [self = shared_from_this(), prefix] { self->Read(prefix); });
  }

  // What cannot be decoded is refused where it matters; here it is merely unknown.
  void TakeGroups(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::map<PartitionId, Group> groups;
    for (const coordination::KeyValue& row : rows) {
      const auto partition = PartitionOfKey(kGroupKeyPrefix, row.key);
      auto config = replication::DecodeGroupConfig(row.value);
      if (partition && config.ok()) groups[*partition] = {*std::move(config), row.mod_revision};
    }
    absl::MutexLock lock(&mutex_);
    known_.groups = std::move(groups);
  }

  void TakePartitions(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::map<PartitionId, PartitionRecord> partitions;
    for (const coordination::KeyValue& row : rows) {
      const auto partition = PartitionOfKey(kPartitionKeyPrefix, row.key);
      auto record = DecodePartitionRecord(row.value);
      if (partition && record.ok()) partitions[*partition] = *std::move(record);
    }
    absl::MutexLock lock(&mutex_);
    known_.partitions = std::move(partitions);
  }

  void TakeNodes(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::map<NodeId, NodeRecord> nodes;
    std::vector<Topology::Node> places;
    for (const coordination::KeyValue& row : rows) {
      const NodeId node = row.key.substr(sizeof(kNodeKeyPrefix) - 1);
      auto record = DecodeNodeRecord(row.value);
      if (!record.ok()) {
        // Of a newer version, perhaps: no reason to take the node for gone.
        const std::optional<NodeRecord> before = Find(&Known::nodes, node);
        if (!before) continue;
        record = *before;
      }
      places.push_back({node, record->zone, record->region});
      nodes[node] = *std::move(record);
    }
    auto topology = std::make_shared<const Topology>(Topology::FromNodes(places));
    absl::MutexLock callback_lock(&callback_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      if (closed_ || nodes == known_.nodes) return;
      known_.nodes = nodes;
      known_.topology = std::move(topology);
    }
    if (nodes_changed_) nodes_changed_(nodes);
  }

  static std::set<NodeId> NodesOf(const Rows& rows, size_t prefix_size) {
    std::set<NodeId> nodes;
    for (const coordination::KeyValue& row : rows) nodes.insert(row.key.substr(prefix_size));
    return nodes;
  }
  void TakeAlive(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::set<NodeId> alive = NodesOf(rows, sizeof(kAliveKeyPrefix) - 1);
    absl::MutexLock lock(&mutex_);
    known_.alive = std::move(alive);
  }
  void TakeDrains(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::set<NodeId> draining = NodesOf(rows, sizeof(kDrainKeyPrefix) - 1);
    absl::MutexLock lock(&mutex_);
    known_.draining = std::move(draining);
  }

  void TakeFormat(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    for (const coordination::KeyValue& row : rows) {
      if (row.key != kFormatKey) continue;
      const absl::StatusOr<ClusterFormat> format = DecodeClusterFormat(row);
      absl::MutexLock lock(&mutex_);
      if (format.ok()) known_.format = std::max(known_.format, *format);
    }
  }

  void TakeRetiredDisks(const Rows& rows) ABSL_LOCKS_EXCLUDED(mutex_) {
    std::set<DiskId> disks;
    for (const coordination::KeyValue& row : rows) {
      const auto disk = DiskId::FromHex(row.key.substr(sizeof(kRetiredDiskKeyPrefix) - 1));
      if (disk) disks.insert(*disk);
    }
    absl::MutexLock lock(&mutex_);
    known_.retired_disks = std::move(disks);
  }

  coordination::CoordinationStore& coordination_;
  Executor& timer_;
  const NodesChanged nodes_changed_;
  absl::Mutex callback_mutex_;  // held during nodes_changed_; before mutex_
  mutable absl::Mutex mutex_;
  std::map<std::string, Reading> reading_ ABSL_GUARDED_BY(mutex_);
  std::set<std::string> read_once_ ABSL_GUARDED_BY(mutex_);
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  Known known_ ABSL_GUARDED_BY(mutex_);
};

ClusterView::ClusterView(coordination::CoordinationStore& coordination, NodesChanged nodes_changed)
    : timer_(MakeThreadExecutor("cluster-view")),
      state_(std::make_shared<State>(coordination, *timer_, std::move(nodes_changed))) {
  for (const auto& [prefix, take] : State::Sections()) {
    // Watched before it is read, so that no change falls between.
    watches_.push_back(
        coordination.Watch(prefix, [state = state_, prefix = prefix] { state->Read(prefix); }));
    state_->Read(prefix);
  }
}

ClusterView::~ClusterView() {
  watches_.clear();
  state_->Close();
}

absl::Status ClusterView::WaitUntilRead(absl::Duration timeout) {
  if (state_->WaitUntilRead(timeout)) return absl::OkStatus();
  return absl::UnavailableError("the coordination store does not answer");
}

std::optional<ClusterView::Group> ClusterView::FindGroup(PartitionId partition) const {
  return state_->Find(&State::Known::groups, partition);
}

std::map<PartitionId, ClusterView::Group> ClusterView::groups() const {
  return state_->Get(&State::Known::groups);
}

std::optional<PartitionRecord> ClusterView::FindPartition(PartitionId partition) const {
  return state_->Find(&State::Known::partitions, partition);
}

std::map<PartitionId, PartitionRecord> ClusterView::partitions() const {
  return state_->Get(&State::Known::partitions);
}

std::map<NodeId, NodeRecord> ClusterView::nodes() const {
  return state_->Get(&State::Known::nodes);
}

std::shared_ptr<const Topology> ClusterView::topology() const {
  return state_->Get(&State::Known::topology);
}

std::set<NodeId> ClusterView::alive() const { return state_->Get(&State::Known::alive); }

ClusterFormat ClusterView::format() const { return state_->Get(&State::Known::format); }

std::set<NodeId> ClusterView::draining() const { return state_->Get(&State::Known::draining); }

std::set<DiskId> ClusterView::retired_disks() const {
  return state_->Get(&State::Known::retired_disks);
}

const replication::Member* ClusterView::LeaderOf(const replication::GroupConfig& config) {
  if (config.leader.is_nil()) return nullptr;
  for (const auto* set : {&config.members, &config.joint_old}) {
    for (const replication::Member& member : *set) {
      if (member.replica == config.leader) return &member;
    }
  }
  return nullptr;
}

std::string ClusterView::LeaderEndpoint(PartitionId partition) const {
  const std::optional<Group> group = FindGroup(partition);
  if (!group) return {};
  const replication::Member* leader = LeaderOf(group->config);
  if (leader == nullptr) return {};
  const std::optional<NodeRecord> node = state_->Find(&State::Known::nodes, leader->node);
  return node ? node->public_endpoint : std::string();
}

}  // namespace meridian::server
