#include "server/replica_host.h"

#include <algorithm>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "server/await.h"
#include "server/child_builder.h"
#include "server/cluster_records.h"
#include "server/log.h"
#include "server/recovery_record.h"
#include "server/store_calls.h"
#include "storage/objects/child_rows.h"

namespace meridian::server {
namespace {

// Between attempts while the coordination store or a disk fails.
constexpr absl::Duration kRetryDelay = absl::Seconds(1);
constexpr absl::Duration kCoordinationTimeout = absl::Seconds(10);
// A child is looked after so often while its split is new; its names wait for it.
constexpr absl::Duration kSplitPoll = absl::Milliseconds(50);
constexpr absl::Duration kSplitTime = absl::Seconds(5);

}  // namespace

ReplicaHost::ReplicaHost(Environment environment) : environment_(std::move(environment)) {}

ReplicaHost::~ReplicaHost() { Stop(); }

void ReplicaHost::Start() {
  {
    absl::MutexLock lock(&mutex_);
    worker_ = MakeThreadExecutor(environment_.node + "-host");
  }
  // Watched first, so that no change falls between.
  watch_ = environment_.coordination.Watch(kGroupKeyPrefix, [this] { ScheduleReconcile(); });
  AwaitUntil<bool>(absl::InfiniteFuture(), [this](std::function<void(bool)> done) {
    absl::MutexLock lock(&mutex_);
    worker_->Post([this, done = std::move(done)] {
      Reconcile();
      done(true);
    });
  });
}

void ReplicaHost::BeginStop() {
  watch_.reset();
  std::map<PartitionId, Hosted> hosted;
  {
    absl::MutexLock lock(&mutex_);
    stopping_ = true;
    hosted.swap(hosted_);
  }
  for (auto& [partition, one] : hosted) Drop(std::move(one.replica));
}

void ReplicaHost::Stop() {
  BeginStop();
  std::unique_ptr<Executor> worker;
  {
    absl::MutexLock lock(&mutex_);
    worker = std::move(worker_);
  }
  worker.reset();  // a round that runs comes to its end
  absl::MutexLock lock(&mutex_);
  mutex_.Await(absl::Condition(
      +[](size_t* alive) { return *alive == 0; }, &alive_));
}

void ReplicaHost::Drop(std::shared_ptr<HostedReplica> replica) {
  environment_.strand.Post([replica = std::move(replica)] { replica->Stop(); });
}

std::shared_ptr<HostedReplica> ReplicaHost::Find(PartitionId partition) const {
  absl::MutexLock lock(&mutex_);
  const auto hosted = hosted_.find(partition);
  return hosted == hosted_.end() ? nullptr : hosted->second.replica;
}

std::vector<std::shared_ptr<HostedReplica>> ReplicaHost::List() const {
  absl::MutexLock lock(&mutex_);
  std::vector<std::shared_ptr<HostedReplica>> replicas;
  for (const auto& [partition, hosted] : hosted_) replicas.push_back(hosted.replica);
  return replicas;
}

std::map<PartitionId, absl::Status> ReplicaHost::Problems() const {
  absl::MutexLock lock(&mutex_);
  return problems_;
}

void ReplicaHost::SetPlacement(PartitionId partition, const Placement& placement) {
  absl::MutexLock lock(&mutex_);
  if (hosted_.contains(partition)) placements_[partition] = placement;
}

Placement ReplicaHost::PlacementOf(PartitionId partition) const {
  absl::MutexLock lock(&mutex_);
  const auto placement = placements_.find(partition);
  return placement == placements_.end() ? Placement() : placement->second;
}

void ReplicaHost::OnMessage(const NodeId& sender, replication::PeerMessage message) {
  std::shared_ptr<HostedReplica> replica;
  {
    absl::MutexLock lock(&mutex_);
    const auto hosted = hosted_.find(message.partition);
    if (hosted == hosted_.end()) return;
    replica = hosted->second.replica;
    if (!hosted->second.config.Names(message.from, sender) &&
        !replica->HasMember(message.from, sender)) {
      return;
    }
  }
  // A message for an earlier life of the replica is not for this one (P4).
  if (replica->identity().replica != message.to) return;
  replica->OnMessage(std::move(message));
}

void ReplicaHost::ScheduleReconcile() {
  absl::MutexLock lock(&mutex_);
  if (scheduled_ || stopping_) return;
  scheduled_ = true;
  worker_->Post([this] { Reconcile(); });
}

void ReplicaHost::Reconcile() {
  {
    // Before reading: a change from here on schedules another round.
    absl::MutexLock lock(&mutex_);
    scheduled_ = false;
  }
  const absl::Status status = TryReconcile();
  if (status != last_error_ && !status.ok()) {
    Log(LogLevel::kWarning, "replicas", "some are missing",
        {{"node", environment_.node}, {"error", status}});
  }
  last_error_ = status;
  if (status.ok()) return;
  absl::MutexLock lock(&mutex_);
  if (!stopping_) worker_->PostAfter(kRetryDelay, [this] { ScheduleReconcile(); });
}

absl::Status ReplicaHost::TryReconcile() {
  ASSIGN_OR_RETURN(const std::vector<Group> groups, ListGroups());
  std::erase_if(waiting_since_, [&groups](const auto& waiting) {
    return std::none_of(groups.begin(), groups.end(), [&waiting](const Group& group) {
      return group.partition == waiting.first && group.parent;
    });
  });
  absl::Status result = RemoveDeleted();
  result.Update(RemoveUnnamed(groups));
  std::map<DiskId, absl::Status> busy;
  for (const Group& group : groups) {
    std::shared_ptr<HostedReplica> changed;
    std::optional<ReplicaId> before;
    bool open = false;
    {
      absl::MutexLock lock(&mutex_);
      const auto hosted = hosted_.find(group.partition);
      if (hosted != hosted_.end() && group.local &&
          hosted->second.replica->identity().replica != group.local->replica) {
        before = hosted->second.replica->identity().replica;
      }
      open = hosted == hosted_.end() && group.local.has_value();
      if (hosted != hosted_.end() && hosted->second.config_revision != group.revision) {
        hosted->second.config_revision = group.revision;
        hosted->second.config = group.config;
        changed = hosted->second.replica;
      }
    }
    // Of a disk that is out of service: another of this node's has taken its place. Its end
    // schedules the next round, which opens that one.
    if (before) {
      DropHosted(group.partition, *before);
      continue;
    }
    if (changed != nullptr) environment_.strand.Post([changed] { changed->OnConfigHint(); });
    if (!open) continue;
    const absl::Status opened = OpenUnlessBusy(group, busy);
    absl::MutexLock lock(&mutex_);
    if (opened.ok()) {
      problems_.erase(group.partition);
    } else {
      problems_[group.partition] = opened;
      if (result.ok()) result = opened;  // tried again, as the others are meanwhile
    }
  }
  return result;
}

absl::StatusOr<std::vector<coordination::KeyValue>> ReplicaHost::ListKeys(
    const std::string& prefix) {
  using Rows = absl::StatusOr<std::vector<coordination::KeyValue>>;
  std::optional<Rows> rows =
      AwaitUntil<Rows>(absl::Now() + kCoordinationTimeout, [&](std::function<void(Rows)> done) {
        environment_.coordination.List(prefix, std::move(done));
      });
  if (!rows) return absl::UnavailableError("the coordination store does not answer");
  return *std::move(rows);
}

absl::StatusOr<std::vector<ReplicaHost::Group>> ReplicaHost::ListGroups() {
  ASSIGN_OR_RETURN(const std::vector<coordination::KeyValue> rows, ListKeys(kGroupKeyPrefix));
  ASSIGN_OR_RETURN(const std::vector<coordination::KeyValue> partition_rows,
                   ListKeys(kPartitionKeyPrefix));
  std::map<PartitionId, PartitionRecord> records;
  for (const coordination::KeyValue& row : partition_rows) {
    const std::optional<PartitionId> partition = PartitionOfKey(kPartitionKeyPrefix, row.key);
    if (!partition) return absl::DataLossError(absl::StrCat("malformed key ", row.key));
    ASSIGN_OR_RETURN(records[*partition], DecodePartitionRecord(row.value));
  }
  std::vector<Group> groups;
  for (const coordination::KeyValue& row : rows) {
    const std::optional<PartitionId> partition = PartitionOfKey(kGroupKeyPrefix, row.key);
    if (!partition) return absl::DataLossError(absl::StrCat("malformed key ", row.key));
    const auto record = records.find(*partition);
    if (record == records.end()) continue;  // deleted between the two reads
    ASSIGN_OR_RETURN(replication::GroupConfig config, replication::DecodeGroupConfig(row.value));
    Group group{*partition,
                std::move(config),
                row.mod_revision,
                record->second.container,
                record->second.parent,
                std::nullopt};
    group.local = LocalMember(group.config);
    groups.push_back(std::move(group));
  }
  return groups;
}

std::optional<replication::Member> ReplicaHost::LocalMember(
    const replication::GroupConfig& config) const {
  for (const auto* set : {&config.members, &config.joint_old, &config.learners}) {
    for (const replication::Member& member : *set) {
      // A disk that was replaced has another id, and none of the old one's replicas (P4); one that
      // is out of service makes room for another of this node's.
      if (member.node != environment_.node) continue;
      const storage::DiskStore* disk = FindDisk(member.disk);
      if (disk != nullptr && disk->health().ok()) return member;
    }
  }
  return std::nullopt;
}

storage::DiskStore* ReplicaHost::FindDisk(DiskId disk) const {
  for (storage::DiskStore* store : environment_.disks) {
    if (store->disk_id() == disk) return store;
  }
  return nullptr;
}

absl::Status ReplicaHost::RemoveDeleted() {
  ASSIGN_OR_RETURN(const std::vector<coordination::KeyValue> rows, ListKeys(kRemovedKeyPrefix));
  std::set<PartitionId> removed;
  for (const coordination::KeyValue& row : rows) {
    if (const auto partition = PartitionOfKey(kRemovedKeyPrefix, row.key)) {
      removed.insert(*partition);
    }
  }
  absl::Status result;
  for (storage::DiskStore* disk : environment_.disks) {
    if (!disk->health().ok()) continue;
    for (const storage::ReplicaOnDisk& replica : disk->ListReplicas()) {
      if (!removed.contains(replica.partition)) continue;
      if (DropHosted(replica.partition, replica.replica)) continue;
      const absl::Status status = disk->RemoveReplica(replica.replica, environment_.state_machine);
      // Still used by a running call: its end schedules the next round.
      if (status.ok() || absl::IsFailedPrecondition(status)) continue;
      result.Update(status);
      break;  // the disk's others at the next round
    }
  }
  return result;
}

bool ReplicaHost::DropHosted(PartitionId partition, ReplicaId replica) {
  std::shared_ptr<HostedReplica> open;
  {
    absl::MutexLock lock(&mutex_);
    const auto hosted = hosted_.find(partition);
    if (hosted == hosted_.end() || hosted->second.replica->identity().replica != replica) {
      return false;
    }
    open = std::move(hosted->second.replica);
    hosted_.erase(hosted);
    placements_.erase(partition);
  }
  Drop(std::move(open));
  return true;
}

absl::Status ReplicaHost::RemoveUnnamed(const std::vector<Group>& groups) {
  std::map<PartitionId, const Group*> by_partition;
  for (const Group& group : groups) by_partition[group.partition] = &group;
  absl::Status result;
  for (storage::DiskStore* disk : environment_.disks) {
    if (!disk->health().ok()) continue;
    for (const storage::ReplicaOnDisk& replica : disk->ListReplicas()) {
      const auto group = by_partition.find(replica.partition);
      // A configuration that is merely missing is no reason to remove anything.
      if (group == by_partition.end() ||
          group->second->config.Names(replica.replica, environment_.node) ||
          IsKept(replica, *group->second)) {
        continue;
      }
      const absl::Status status = RemoveUnnamed(*disk, replica, *group->second);
      if (status.ok()) continue;
      if (result.ok()) result = status;
      absl::MutexLock lock(&mutex_);
      problems_[replica.partition] = status;
    }
  }
  return result;
}

bool ReplicaHost::IsKept(const storage::ReplicaOnDisk& replica, const Group& group) {
  // A node has one replica of a group (P6).
  if (group.local) return false;
  const absl::Duration now = environment_.clock.MonotonicNow();
  const auto [since, first] = unnamed_since_.emplace(replica.replica, now);
  const absl::Duration left = since->second + environment_.keep_unnamed - now;
  if (left <= absl::ZeroDuration()) return false;
  absl::MutexLock lock(&mutex_);
  if (first && !stopping_) worker_->PostAfter(left, [this] { ScheduleReconcile(); });
  return true;
}

absl::Status ReplicaHost::RemoveUnnamed(storage::DiskStore& disk,
                                        const storage::ReplicaOnDisk& replica, const Group& group) {
  const replication::GroupConfig& config = group.config;
  if (DropHosted(replica.partition, replica.replica)) return absl::OkStatus();
  ASSIGN_OR_RETURN(const Epoch promised, disk.DurablePromise(replica.replica));
  // Who left was told of every epoch before the one that left it out, and of that one too if nobody
  // leads it yet (P23).
  const bool leaderless = config.leader.is_nil() && config.epoch > kChildsFirstEpoch;
  if (promised >= (leaderless ? config.epoch + 1 : config.epoch)) {
    return absl::FailedPreconditionError(
        absl::StrCat("replica ", replica.replica.ToHex(), " has promised epoch ", promised.value(),
                     ", and the coordination store, which does not name it, is only at ",
                     config.epoch.value(), ": is it restored from a backup? The replica is kept"));
  }
  const absl::Status removed = disk.RemoveReplica(replica.replica, environment_.state_machine);
  // Still used by a running call: its end schedules the next round.
  if (absl::IsFailedPrecondition(removed)) return absl::OkStatus();
  RETURN_IF_ERROR(removed);
  unnamed_since_.erase(replica.replica);
  {
    absl::MutexLock lock(&mutex_);
    problems_.erase(replica.partition);
  }
  Log(LogLevel::kInfo, "replicas", "removed one whose group has others in its place",
      {{"node", environment_.node},
       {"group", replica.partition.ToHex()},
       {"replica", replica.replica.ToHex()}});
  return absl::OkStatus();
}

absl::Status ReplicaHost::OpenUnlessBusy(const Group& group, std::map<DiskId, absl::Status>& busy) {
  const auto found = busy.find(group.local->disk);
  if (found != busy.end()) return found->second;
  const absl::Status opened = OpenGroup(group);
  // The other disks' replicas do not wait for this one.
  if (absl::IsResourceExhausted(opened) || absl::IsDeadlineExceeded(opened)) {
    busy[group.local->disk] = opened;
  }
  return opened;
}

absl::Status ReplicaHost::OpenGroup(const Group& group) {
  storage::DiskStore* disk = FindDisk(group.local->disk);
  const ReplicaId replica = group.local->replica;
  bool on_disk = false;
  for (const storage::ReplicaOnDisk& known : disk->ListReplicas()) {
    on_disk = on_disk || known.replica == replica;
    if (known.replica != replica && known.partition == group.partition) {
      // The range has one owner on a disk (P6).
      return absl::UnavailableError("the replica that was here before is still being removed");
    }
  }
  ASSIGN_OR_RETURN(const bool begins_empty, BeginsEmpty(group));
  // What is split off begins with rows of its parent's: until it has them, it is not whole (P6).
  if (!on_disk) {
    RETURN_IF_ERROR(disk->CreateReplica({replica, group.partition, group.container},
                                        /*installing=*/group.parent || begins_empty));
  }
  if (begins_empty) {
    ASSIGN_OR_RETURN(const bool ready, PrepareEmpty(group, *disk));
    if (!ready) return absl::OkStatus();  // SetNames goes on
  } else if (group.parent) {
    ASSIGN_OR_RETURN(const bool ready, PrepareChild(group, *disk));
    if (!ready) {
      AwaitSplit(group.partition);
      return absl::OkStatus();
    }
  }
  waiting_since_.erase(group.partition);
  {
    absl::MutexLock lock(&mutex_);
    names_.erase(replica);
  }
  return OpenReplica(group, *disk);
}

absl::StatusOr<bool> ReplicaHost::PrepareChild(const Group& group, storage::DiskStore& disk) {
  // It has been open before, and may have acknowledged something: it goes on as what it is.
  ASSIGN_OR_RETURN(const Epoch promised, disk.DurablePromise(group.local->replica));
  if (promised > kChildsFirstEpoch) return true;
  const std::shared_ptr<HostedReplica> parent = Find(*group.parent);
  if (parent != nullptr && parent->identity().disk == group.local->disk) {
    const absl::Status built = BuildChild(disk, group.local->replica, group.partition, *parent,
                                          environment_.request_retention, environment_.strand);
    if (!absl::IsFailedPrecondition(built)) {
      RETURN_IF_ERROR(built);
      return true;
    }
    // The parent's replica came to the split by a snapshot, without the rows: its promise may be
    // what the child's other replicas need to choose a leader. By one view: the split may have been
    // applied since it was tried to build, and then the rows are there.
    const std::unique_ptr<storage::KvReader> state = parent->NewView();
    ASSIGN_OR_RETURN(const auto split, objects::FindSplit(*state));
    if (split && split->child_partition_id() == group.partition.bytes()) {
      return absl::IsFailedPrecondition(
          objects::ChildRows::Open(*state, group.partition, environment_.request_retention)
              .status());
    }
  }
  return !group.config.leader.is_nil();
}

absl::StatusOr<bool> ReplicaHost::BeginsEmpty(const Group& group) {
  const replication::GroupConfig& config = group.config;
  if (!config.leader.is_nil() || config.epoch <= kChildsFirstEpoch || config.members.size() != 1) {
    return false;
  }
  ASSIGN_OR_RETURN(const auto row,
                   GetFrom(environment_.coordination, RecoveredKeyOf(group.partition)));
  if (!row) return false;
  ASSIGN_OR_RETURN(const std::vector<v1::GroupRecovery> recoveries, DecodeRecoveries(row->value));
  if (recoveries.empty()) return false;
  const v1::GroupRecovery& last = recoveries.back();
  return last.began_empty() && last.epoch() == config.epoch.value() &&
         last.survivor() == group.local->replica.ToHex();
}

absl::StatusOr<bool> ReplicaHost::PrepareEmpty(const Group& group, storage::DiskStore& disk) {
  std::optional<objects::NameRange> names;
  {
    absl::MutexLock lock(&mutex_);
    const auto known = names_.find(group.local->replica);
    if (known != names_.end()) names = known->second;
  }
  if (!names) return false;
  RETURN_IF_ERROR(
      BuildEmpty(disk, group.local->replica, group.config.epoch, *names, environment_.strand));
  return true;
}

void ReplicaHost::SetNames(ReplicaId replica, const objects::NameRange& names) {
  {
    absl::MutexLock lock(&mutex_);
    names_.insert_or_assign(replica, names);
  }
  ScheduleReconcile();
}

void ReplicaHost::AwaitSplit(PartitionId child) {
  const absl::Duration now = environment_.clock.MonotonicNow();
  const auto [since, first] = waiting_since_.try_emplace(child, now);
  const bool is_new = now - since->second < kSplitTime;
  absl::MutexLock lock(&mutex_);
  if (stopping_ || std::exchange(polling_, true)) return;
  worker_->PostAfter(is_new ? kSplitPoll : kRetryDelay, [this] {
    {
      absl::MutexLock lock(&mutex_);
      polling_ = false;
    }
    ScheduleReconcile();
  });
}

absl::Status ReplicaHost::OpenReplica(const Group& group, storage::DiskStore& disk) {
  return *AwaitUntil<absl::Status>(
      absl::InfiniteFuture(), [&](std::function<void(absl::Status)> done) {
        environment_.strand.Post([this, &group, &disk, done = std::move(done)] {
          auto storage = disk.OpenReplica(group.local->replica);
          if (!storage.ok()) {
            done(storage.status());
            return;
          }
          std::shared_ptr<HostedReplica> hosted = MakeHosted(group, *std::move(storage));
          bool stopping = false;
          {
            absl::MutexLock lock(&mutex_);
            stopping = stopping_;
            if (!stopping) {
              hosted_[group.partition] = {std::move(hosted), group.revision, group.config};
            }
          }
          done(stopping ? absl::CancelledError("the node stops") : absl::OkStatus());
        });
      });
}

std::unique_ptr<HostedReplica> ReplicaHost::MakeHosted(
    const Group& group, std::unique_ptr<storage::ReplicaStorage> storage) {
  {
    absl::MutexLock lock(&mutex_);
    ++alive_;
  }
  const PartitionId partition = group.partition;
  replication::Replica::Environment environment{
      environment_.strand,
      environment_.clock,
      environment_.random,
      environment_.transport,
      environment_.coordination,
      std::move(storage),
      environment_.state_machine,
      environment_.encode_abort_run,
      [this, partition](const absl::Status& status) {
        Log(LogLevel::kError, "replicas", "one is out of service",
            {{"node", environment_.node}, {"group", partition.ToHex()}, {"error", status}});
        absl::MutexLock lock(&mutex_);
        problems_[partition] = status;
      },
      environment_.rebuild_throttle};
  replication::ReplicaOptions options = environment_.options;
  options.digest_on_own_thread = true;
  auto replica = replication::MakeReplica(partition, group.local->replica, group.config,
                                          group.revision, options, std::move(environment));
  return std::make_unique<HostedReplica>(
      HostedReplica::Identity{partition, group.local->replica, group.container, group.local->disk},
      environment_.strand, std::move(replica), [this] {
        ScheduleReconcile();
        absl::MutexLock lock(&mutex_);
        --alive_;
      });
}

}  // namespace meridian::server
