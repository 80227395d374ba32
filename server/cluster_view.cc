#include "server/cluster_view.h"

#include <utility>
#include <vector>

#include "replication/replica.h"

namespace meridian::server {
namespace {

// After a read of the store that failed.
constexpr absl::Duration kRetryDelay = absl::Seconds(1);

}  // namespace

// Shared with the callbacks of reads under way, which may outlive the view.
class ClusterView::State : public std::enable_shared_from_this<State> {
 public:
  // `timer` outlives Close.
  State(coordination::CoordinationStore& coordination, Executor& timer, NodesChanged nodes_changed)
      : coordination_(coordination), timer_(timer), nodes_changed_(std::move(nodes_changed)) {}

  void ReadGroups() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!Begin(groups_read_)) return;
    coordination_.List(kGroupKeyPrefix, [self = shared_from_this()](auto rows) {
      const bool failed = !rows.ok();
      self->TakeGroups(std::move(rows));
      if (failed) self->RetryLater(&State::ReadGroups);
      if (self->End(self->groups_read_)) self->ReadGroups();
    });
  }

  void ReadNodes() ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!Begin(nodes_read_)) return;
    coordination_.List(kNodeKeyPrefix, [self = shared_from_this()](auto rows) {
      const bool failed = !rows.ok();
      self->TakeNodes(std::move(rows));
      if (failed) self->RetryLater(&State::ReadNodes);
      if (self->End(self->nodes_read_)) self->ReadNodes();
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
      return have_groups_ && have_nodes_;
    };
    return mutex_.AwaitWithTimeout(absl::Condition(&read), timeout);
  }

  std::map<PartitionId, Group> groups() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return groups_;
  }
  std::map<NodeId, NodeRecord> nodes() const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    return nodes_;
  }
  std::optional<Group> FindGroup(PartitionId partition) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto group = groups_.find(partition);
    return group == groups_.end() ? std::nullopt : std::optional(group->second);
  }
  std::string PublicEndpoint(const NodeId& node) const ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    const auto record = nodes_.find(node);
    return record == nodes_.end() ? std::string() : record->second.public_endpoint;
  }

 private:
  // One read at a time; a change during one asks for another.
  struct Read {
    bool running = false;
    bool again = false;
  };

  bool Begin(Read& read) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return false;
    if (std::exchange(read.running, true)) {
      read.again = true;
      return false;
    }
    return true;
  }
  // Whether to read again.
  bool End(Read& read) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    read.running = false;
    return std::exchange(read.again, false);
  }

  // The change that asked for the read is not told of again.
  void RetryLater(void (State::*read)()) ABSL_LOCKS_EXCLUDED(mutex_) {
    absl::MutexLock lock(&mutex_);
    if (closed_) return;
    timer_.PostAfter(kRetryDelay, [self = shared_from_this(), read] { (self.get()->*read)(); });
  }

  void TakeGroups(absl::StatusOr<std::vector<coordination::KeyValue>> rows)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!rows.ok()) return;
    std::map<PartitionId, Group> groups;
    for (const coordination::KeyValue& row : *rows) {
      const auto partition = PartitionOfKey(kGroupKeyPrefix, row.key);
      auto config = replication::DecodeGroupConfig(row.value);
      // Its members refuse to serve it; here it is merely unknown.
      if (!partition || !config.ok()) continue;
      groups[*partition] = {*std::move(config), row.mod_revision};
    }
    absl::MutexLock lock(&mutex_);
    groups_ = std::move(groups);
    have_groups_ = true;
  }

  void TakeNodes(absl::StatusOr<std::vector<coordination::KeyValue>> rows)
      ABSL_LOCKS_EXCLUDED(mutex_) {
    if (!rows.ok()) return;
    std::map<NodeId, NodeRecord> nodes;
    for (const coordination::KeyValue& row : *rows) {
      auto record = DecodeNodeRecord(row.value);
      if (record.ok()) nodes[row.key.substr(sizeof(kNodeKeyPrefix) - 1)] = *std::move(record);
    }
    absl::MutexLock callback_lock(&callback_mutex_);
    {
      absl::MutexLock lock(&mutex_);
      have_nodes_ = true;
      if (closed_ || nodes == nodes_) return;
      nodes_ = nodes;
    }
    if (nodes_changed_) nodes_changed_(nodes);
  }

  coordination::CoordinationStore& coordination_;
  Executor& timer_;
  const NodesChanged nodes_changed_;
  absl::Mutex callback_mutex_;  // held during nodes_changed_; before mutex_
  mutable absl::Mutex mutex_;
  Read groups_read_;
  Read nodes_read_;
  bool closed_ ABSL_GUARDED_BY(mutex_) = false;
  bool have_groups_ ABSL_GUARDED_BY(mutex_) = false;
  bool have_nodes_ ABSL_GUARDED_BY(mutex_) = false;
  std::map<PartitionId, Group> groups_ ABSL_GUARDED_BY(mutex_);
  std::map<NodeId, NodeRecord> nodes_ ABSL_GUARDED_BY(mutex_);
};

ClusterView::ClusterView(coordination::CoordinationStore& coordination, NodesChanged nodes_changed)
    : timer_(MakeThreadExecutor("cluster-view")),
      state_(std::make_shared<State>(coordination, *timer_, std::move(nodes_changed))),
      // Watched before they are read, so that no change falls between.
      group_watch_(coordination.Watch(kGroupKeyPrefix, [state = state_] { state->ReadGroups(); })),
      node_watch_(coordination.Watch(kNodeKeyPrefix, [state = state_] { state->ReadNodes(); })) {
  state_->ReadGroups();
  state_->ReadNodes();
}

ClusterView::~ClusterView() {
  group_watch_.reset();
  node_watch_.reset();
  state_->Close();
}

absl::Status ClusterView::WaitUntilRead(absl::Duration timeout) {
  if (state_->WaitUntilRead(timeout)) return absl::OkStatus();
  return absl::UnavailableError("the coordination store does not answer");
}

std::optional<ClusterView::Group> ClusterView::FindGroup(PartitionId partition) const {
  return state_->FindGroup(partition);
}

std::map<PartitionId, ClusterView::Group> ClusterView::groups() const { return state_->groups(); }

std::map<NodeId, NodeRecord> ClusterView::nodes() const { return state_->nodes(); }

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
  return leader == nullptr ? std::string() : state_->PublicEndpoint(leader->node);
}

}  // namespace meridian::server
