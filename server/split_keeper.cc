#include "server/split_keeper.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "server/await.h"
#include "server/child_builder.h"
#include "server/log.h"
#include "server/recovery_record.h"
#include "server/store_calls.h"
#include "storage/objects/child_rows.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/records.h"

namespace meridian::server {
namespace {

namespace pb = internal::v1;

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);
constexpr absl::Duration kProposeTimeout = absl::Seconds(10);
constexpr absl::Duration kSampleTime = absl::Minutes(1);

// Of the row of a group's recoveries: whether one of its replicas was gone on with, or is made
// without anything, so that nothing of a parent's may be mixed with it.
bool WasGoneOnWith(const std::optional<coordination::KeyValue>& row) {
  if (!row) return false;
  const auto recoveries = DecodeRecoveries(row->value);
  return !recoveries.ok() || recoveries->empty() || recoveries->back().begins_with().empty();
}

}  // namespace

SplitKeeper::SplitKeeper(const Environment& environment)
    : env_(environment), worker_(MakeThreadExecutor(environment.node + "-splits")) {
  ScheduleTurn();
}

SplitKeeper::~SplitKeeper() {
  std::unique_ptr<Executor> worker;
  {
    absl::MutexLock lock(&mutex_);
    worker = std::move(worker_);
  }
  worker.reset();  // a turn that runs comes to its end
}

void SplitKeeper::ScheduleTurn() {
  absl::MutexLock lock(&mutex_);
  if (worker_ == nullptr) return;
  worker_->PostAfter(env_.options.interval, [this] {
    Turn();
    ScheduleTurn();
  });
}

std::optional<SplitKeeper::Led> SplitKeeper::FindLed(const Replica& replica) const {
  std::optional<replication::ReplicaStatus> status = AwaitUntil<replication::ReplicaStatus>(
      absl::Now() + kStatusTimeout, [&](std::function<void(replication::ReplicaStatus)> done) {
        replica->GetStatus(std::move(done));
      });
  std::optional<PartitionRecord> record = env_.view.FindPartition(replica->identity().partition);
  if (!status || !status->is_serving || !record) return std::nullopt;
  return Led{replica, *std::move(status), *std::move(record)};
}

void SplitKeeper::Turn() {
  std::map<PartitionId, std::vector<PartitionId>> children;
  for (const auto& [partition, record] : env_.view.partitions()) {
    if (record.parent) children[*record.parent].push_back(partition);
  }
  std::map<PartitionId, Sample> samples;
  for (const Replica& replica : env_.host.List()) {
    const std::optional<Led> led = FindLed(replica);
    if (!led) continue;
    const PartitionId partition = replica->identity().partition;
    Measure(*led);
    const absl::Status status = TurnOf(*led, children[partition]);
    samples[partition] = samples_[partition];  // with what the turn wrote
    // The group or the store is busy or away, or somebody was faster: the next turn goes on.
    if (status.ok() || absl::IsUnavailable(status) || absl::IsAborted(status)) continue;
    Log(LogLevel::kWarning, "split", "cannot split a group",
        {{"node", env_.node}, {"group", partition.ToHex()}, {"error", status}});
  }
  samples_ = std::move(samples);
  TellNames();
  RemoveOrphans(children);
}

// The map cannot change for a partition that nobody leads: only its own leader splits it.
void SplitKeeper::TellNames() {
  for (const auto& [partition, group] : env_.view.groups()) {
    const replication::GroupConfig& config = group.config;
    if (!config.leader.is_nil() || config.epoch <= kChildsFirstEpoch ||
        config.members.size() != 1 || config.members.front().node != env_.node ||
        env_.host.Find(partition) != nullptr) {
      continue;
    }
    const std::optional<PartitionRecord> record = env_.view.FindPartition(partition);
    if (!record) continue;
    const auto stored = env_.containers.FindById(record->tenant, record->container);
    if (!stored.ok() || !*stored) continue;  // at the next turn
    const auto& map = (*stored)->record.partitions;
    const auto range = std::find_if(
        map.begin(), map.end(),
        [&, partition = partition](const auto& one) { return one.partition == partition; });
    if (range == map.end()) continue;
    env_.host.SetNames(config.members.front().replica, {range->start, range->end});
  }
}

void SplitKeeper::RemoveOrphans(const std::map<PartitionId, std::vector<PartitionId>>& children) {
  for (const auto& [parent, its_children] : children) {
    if (env_.view.FindGroup(parent)) continue;
    for (const PartitionId& child : its_children) {
      const absl::Status status = RemoveOrphan(parent, child);
      if (status.ok() || absl::IsUnavailable(status) || absl::IsAborted(status)) continue;
      Log(LogLevel::kWarning, "split", "cannot remove an orphan",
          {{"node", env_.node}, {"group", child.ToHex()}, {"error", status}});
    }
  }
}

// A partition is not removed while it is split, and with its container goes every other one that
// the container's map names: this one is in no map.
absl::Status SplitKeeper::RemoveOrphan(PartitionId parent, PartitionId child) {
  ASSIGN_OR_RETURN(const auto group,
                   GetFrom(env_.coordination, replication::GroupConfigKey(parent)));
  if (group) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto row, GetFrom(env_.coordination, PartitionKeyOf(child)));
  if (!row) return absl::OkStatus();
  ASSIGN_OR_RETURN(const PartitionRecord record, DecodePartitionRecord(row->value));
  ASSIGN_OR_RETURN(const auto stored, env_.containers.FindById(record.tenant, record.container));
  return stored ? absl::OkStatus() : Remove(child);
}

void SplitKeeper::Measure(const Led& led) {
  const absl::Duration now = env_.clock.MonotonicNow();
  const LogIndex applied = led.status.applied_index;
  const auto [sample, first] =
      samples_.try_emplace(led.replica->identity().partition, Sample{now, applied});
  sample->second.steadiness.Note(led.status, now);
  const absl::Duration time = now - sample->second.time;
  if (first || time < kSampleTime) return;
  const auto entries = static_cast<double>(applied.value() - sample->second.applied.value());
  sample->second.time = now;
  sample->second.applied = applied;
  sample->second.entries_per_second = entries / absl::ToDoubleSeconds(time);
}

absl::Status SplitKeeper::TurnOf(const Led& led, const std::vector<PartitionId>& children) {
  ASSIGN_OR_RETURN(const std::optional<pb::PendingSplit> split,
                   objects::FindSplit(*led.replica->NewView()));
  if (split) {
    RETURN_IF_ERROR(Advance(led, *split));
  } else {
    // What a child of a lost split waits for is not settled before.
    ASSIGN_OR_RETURN(const bool agrees, AgreesWithMap(led));
    if (!agrees) return absl::OkStatus();
  }
  for (const PartitionId& child : children) {
    const bool under_way = split && split->child_partition_id() == child.bytes();
    if (!under_way) RETURN_IF_ERROR(Settle(led, child));
  }
  if (led.record.parent) {
    return led.record.serves ? absl::OkStatus() : NoteServing(led);
  }
  RETURN_IF_ERROR(LetFree(led));
  if (split) return absl::OkStatus();
  ASSIGN_OR_RETURN(const bool due, IsDue(led));
  return due ? Begin(led) : absl::OkStatus();
}

absl::Status SplitKeeper::LetFree(const Led& led) {
  const std::unique_ptr<storage::KvReader> state = led.replica->NewView();
  ASSIGN_OR_RETURN(const std::optional<pb::PartitionMeta> meta,
                   objects::ObjectReader(*state).Meta());
  if (!meta || !meta->holds_garbage()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto row,
                   GetFrom(env_.coordination, PartitionKeyOf(led.replica->identity().partition)));
  if (!row) return absl::OkStatus();
  ASSIGN_OR_RETURN(const PartitionRecord record, DecodePartitionRecord(row->value));
  if (record.parent) return absl::OkStatus();  // the view is older
  pb::Command command;
  command.mutable_begin_freeing();
  return Propose(led, command).status();
}

absl::StatusOr<bool> SplitKeeper::IsDue(const Led& led) {
  const Sample& sample = samples_[led.replica->identity().partition];
  // A member that is away or behind could not build its child's replica, and the names that move
  // would wait for it wherever another fails.
  if (!sample.steadiness.Holds(env_.options.steady)) return false;
  const std::unique_ptr<storage::KvReader> state = led.replica->NewView();
  ASSIGN_OR_RETURN(const bool may_be_split, MayBeSplit(*state, env_.options));
  if (!may_be_split) return false;
  ASSIGN_OR_RETURN(const bool too_large, IsTooLarge(*state, env_.options));
  if (!too_large && sample.entries_per_second <= env_.options.max_entries_per_second) return false;
  ASSIGN_OR_RETURN(const uint64_t versions, CountVersions(*state));
  return versions > sample.whole_versions;
}

absl::Status SplitKeeper::Begin(const Led& led) {
  const std::unique_ptr<storage::KvReader> state = led.replica->NewView();
  ASSIGN_OR_RETURN(const std::optional<SplitPoint> point, FindSplitPoint(*state));
  Sample& sample = samples_[led.replica->identity().partition];
  if (!point) {
    ASSIGN_OR_RETURN(const uint64_t versions, CountVersions(*state));
    sample.whole_versions = versions + versions / 8;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const PartitionId child, CreateChild(led));
  if (child.is_nil()) return absl::OkStatus();
  // Whatever became of it is seen in the parent's state, at the next turn at the latest.
  ASSIGN_OR_RETURN(const pb::Outcome outcome, ProposeSplit(led, child, *point));
  if (outcome.code() != pb::Outcome::OK) return absl::OkStatus();
  // How busy it is has to be measured anew.
  sample.time = env_.clock.MonotonicNow();
  sample.applied = led.status.applied_index;
  sample.entries_per_second = 0;
  sample.whole_versions = 0;
  Log(LogLevel::kInfo, "split", "a group splits",
      {{"node", env_.node},
       {"group", led.replica->identity().partition.ToHex()},
       {"child", child.ToHex()}});
  // Its names wait for the map.
  ASSIGN_OR_RETURN(const std::optional<pb::PendingSplit> pending,
                   objects::FindSplit(*led.replica->NewView()));
  return pending ? Advance(led, *pending) : absl::OkStatus();
}

// Nil: not now.
absl::StatusOr<PartitionId> SplitKeeper::CreateChild(const Led& led) {
  const HostedReplica::Identity& self = led.replica->identity();
  ASSIGN_OR_RETURN(const auto stored,
                   env_.containers.FindById(led.record.tenant, led.record.container));
  if (!stored || stored->record.state != tenancy::ContainerRecord::State::kActive ||
      stored->record.conversion ||
      stored->record.partitions.size() >= env_.options.max_partitions) {
    return PartitionId();
  }
  ASSIGN_OR_RETURN(const auto group,
                   GetFrom(env_.coordination, replication::GroupConfigKey(self.partition)));
  ASSIGN_OR_RETURN(const auto partition,
                   GetFrom(env_.coordination, PartitionKeyOf(self.partition)));
  if (!group || !partition) return PartitionId();
  ASSIGN_OR_RETURN(const replication::GroupConfig config,
                   replication::DecodeGroupConfig(group->value));
  ASSIGN_OR_RETURN(PartitionRecord record, DecodePartitionRecord(partition->value));
  const auto next = ChildsGroup(led, config, Epoch(1));
  if (!next) return PartitionId();
  const PartitionId child = PartitionId::Draw(env_.random);
  record.parent = self.partition;
  const std::string child_key = replication::GroupConfigKey(child);
  coordination::Transaction creation;
  creation.compares = {tenancy::CatalogStore::Unchanged(stored->row),
                       {group->key, group->mod_revision},
                       {partition->key, partition->mod_revision},
                       tenancy::CatalogStore::Absent(child_key)};
  creation.writes = {{child_key, replication::EncodeGroupConfig(*next)},
                     {PartitionKeyOf(child), EncodePartitionRecord(record)}};
  RETURN_IF_ERROR(CommitTo(env_.coordination, std::move(creation)));
  return child;
}

std::optional<replication::GroupConfig> SplitKeeper::ChildsGroup(
    const Led& led, const replication::GroupConfig& parents, Epoch epoch) const {
  const ReplicaId self = led.replica->identity().replica;
  // The members that the child's replicas stand beside are those of the epoch that the split's
  // entry has to be of, or it is refused.
  if (parents.leader != self || parents.epoch != led.status.epoch || !parents.joint_old.empty() ||
      !parents.learners.empty()) {
    return std::nullopt;
  }
  replication::GroupConfig childs;
  childs.epoch = epoch;
  for (const replication::Member& member : parents.members) {
    const bool first = member.replica == self;  // it asks for the leadership at once
    childs.members.insert(first ? childs.members.begin() : childs.members.end(),
                          {ReplicaId::Draw(env_.random), member.node, member.disk});
  }
  return childs;
}

absl::StatusOr<std::optional<LostSplit>> SplitKeeper::FindLost(const Led& led) const {
  // The map first: a split leaves the state before it comes into the map.
  ASSIGN_OR_RETURN(const auto stored,
                   env_.containers.FindById(led.record.tenant, led.record.container));
  if (!stored) return std::optional<LostSplit>();
  return FindLostSplit(*led.replica->NewView(), led.replica->identity().partition,
                       stored->record.partitions);
}

absl::StatusOr<bool> SplitKeeper::AgreesWithMap(const Led& led) {
  Sample& sample = samples_[led.replica->identity().partition];
  if (sample.agreed == led.status.epoch) return true;
  ASSIGN_OR_RETURN(std::optional<LostSplit> lost, FindLost(led));
  if (lost) {
    // An entry of an earlier leader may not have been applied yet.
    pb::Command barrier;
    barrier.mutable_maintain();
    RETURN_IF_ERROR(Propose(led, barrier).status());
    ASSIGN_OR_RETURN(lost, FindLost(led));
  }
  if (lost) {
    RETURN_IF_ERROR(Repeat(led, *lost));
    return false;
  }
  // Only this thread adds to the map what this partition splits off, as long as it leads.
  sample.agreed = led.status.epoch;
  sample.repeats.clear();
  return true;
}

absl::Status SplitKeeper::Repeat(const Led& led, const LostSplit& lost) {
  const PartitionId self = led.replica->identity().partition;
  Sample& sample = samples_[self];
  const PartitionId child = lost.child;
  ASSIGN_OR_RETURN(const auto group,
                   GetFrom(env_.coordination, replication::GroupConfigKey(child)));
  ASSIGN_OR_RETURN(const auto row, GetFrom(env_.coordination, PartitionKeyOf(child)));
  ASSIGN_OR_RETURN(const auto recovered, GetFrom(env_.coordination, RecoveredKeyOf(child)));
  if (!group || !row) return absl::UnavailableError("the container's map has changed meanwhile");
  ASSIGN_OR_RETURN(const replication::GroupConfig config,
                   replication::DecodeGroupConfig(group->value));
  ASSIGN_OR_RETURN(PartitionRecord record, DecodePartitionRecord(row->value));
  if (std::exchange(sample.repeats_in, led.status.epoch) != led.status.epoch) {
    sample.repeats.clear();
  }
  LostSplitSteps& taken = sample.repeats[child];
  switch (NextStepOf(config, record, self, WasGoneOnWith(recovered), taken)) {
    case LostSplitStep::kMakeAnew:
      RETURN_IF_ERROR(MakeAnew(led, child, *group, recovered ? recovered->mod_revision : 0));
      return ProposeSplit(led, child, lost.point).status();
    case LostSplitStep::kTakeNames:
      return ProposeSplit(led, child, lost.point).status();
    case LostSplitStep::kForgetParent:
      RETURN_IF_ERROR(ForgetParent(self, child));
      taken.serves_alone = true;
      return absl::OkStatus();
    case LostSplitStep::kAskWhetherItServes:
      Log(LogLevel::kWarning, "split",
          "a group's log has lost a split: it keeps what it had until the other group serves",
          {{"node", env_.node}, {"group", self.ToHex()}, {"child", child.ToHex()}});
      record.parent = self;
      record.serves = false;
      RETURN_IF_ERROR(CommitTo(env_.coordination, {{{row->key, row->mod_revision}},
                                                   {{row->key, EncodePartitionRecord(record)}}}));
      taken.asked = true;
      return absl::OkStatus();
    case LostSplitStep::kWait:
      return absl::OkStatus();
    case LostSplitStep::kWaitForOther:
      break;
  }
  return absl::FailedPreconditionError(absl::StrCat("a split that was lost waits until that of ",
                                                    record.parent->ToHex(), " into ", child.ToHex(),
                                                    " is over"));
}

absl::Status SplitKeeper::MakeAnew(const Led& led, PartitionId child,
                                   const coordination::KeyValue& group, int64_t recovered) {
  const PartitionId self = led.replica->identity().partition;
  ASSIGN_OR_RETURN(const auto parents,
                   GetFrom(env_.coordination, replication::GroupConfigKey(self)));
  if (!parents) return absl::UnavailableError("the group is being removed");
  ASSIGN_OR_RETURN(const replication::GroupConfig of_parent,
                   replication::DecodeGroupConfig(parents->value));
  ASSIGN_OR_RETURN(const replication::GroupConfig before,
                   replication::DecodeGroupConfig(group.value));
  const auto next = ChildsGroup(led, of_parent, before.epoch + 1);
  if (!next) return absl::UnavailableError("the group's members change");
  Log(LogLevel::kWarning, "split", "a group's log has lost a split: it is made again",
      {{"node", env_.node}, {"group", self.ToHex()}, {"child", child.ToHex()}});
  return CommitTo(env_.coordination, {{{group.key, group.mod_revision},
                                       {parents->key, parents->mod_revision},
                                       {RecoveredKeyOf(child), recovered}},
                                      {{group.key, replication::EncodeGroupConfig(*next)}}});
}

absl::StatusOr<pb::Outcome> SplitKeeper::ProposeSplit(const Led& led, PartitionId child,
                                                      const SplitPoint& point) {
  pb::Command command;
  pb::SplitPartition* const split = command.mutable_split_partition();
  split->set_child_partition_id(std::string(child.bytes()));
  split->set_key(point.key);
  split->set_epoch(led.status.epoch.value());
  split->set_moved_count(point.moved_count);
  split->set_moved_bytes(point.moved_bytes);
  return Propose(led, command);
}

absl::Status SplitKeeper::Advance(const Led& led, const pb::PendingSplit& split) {
  ASSIGN_OR_RETURN(const PartitionId child,
                   objects::DecodeId<PartitionId>(split.child_partition_id()));
  RETURN_IF_ERROR(env_.containers.AddPartition(led.record.tenant, led.record.container,
                                               led.replica->identity().partition,
                                               {child, split.key(), split.end()}));
  ASSIGN_OR_RETURN(const auto stored,
                   env_.containers.FindById(led.record.tenant, led.record.container));
  if (stored) RETURN_IF_ERROR(KeepPolicy(*stored, child));
  // By the store: the view may be older than a beginning anew (P23), which put the parent back.
  ASSIGN_OR_RETURN(const auto row, GetFrom(env_.coordination, PartitionKeyOf(child)));
  if (!row) return absl::OkStatus();
  ASSIGN_OR_RETURN(const PartitionRecord record, DecodePartitionRecord(row->value));
  const PartitionId self = led.replica->identity().partition;
  if (!IsOver(record, self)) return absl::OkStatus();
  pb::Command command;
  command.mutable_finish_split()->set_child_partition_id(split.child_partition_id());
  RETURN_IF_ERROR(Propose(led, command).status());
  return ForgetParent(self, child);
}

absl::Status SplitKeeper::NoteServing(const Led& led) {
  const PartitionId child = led.replica->identity().partition;
  ASSIGN_OR_RETURN(const auto row, GetFrom(env_.coordination, PartitionKeyOf(child)));
  ASSIGN_OR_RETURN(const auto group,
                   GetFrom(env_.coordination, replication::GroupConfigKey(child)));
  if (!row || !group) return absl::OkStatus();
  ASSIGN_OR_RETURN(PartitionRecord record, DecodePartitionRecord(row->value));
  ASSIGN_OR_RETURN(const replication::GroupConfig config,
                   replication::DecodeGroupConfig(group->value));
  // One that was given up and does not know it yet speaks for nobody.
  const bool leads =
      config.leader == led.replica->identity().replica && config.epoch == led.status.epoch;
  if (!record.parent || !leads) return absl::OkStatus();
  record.serves = true;
  return CommitTo(env_.coordination,
                  {{{row->key, row->mod_revision}, {group->key, group->mod_revision}},
                   {{row->key, EncodePartitionRecord(record)}}});
}

// By the container's record as it is: another leader's split, and a conversion, may have ended
// since it was read.
absl::Status SplitKeeper::KeepPolicy(const tenancy::StoredContainer& container, PartitionId child) {
  ASSIGN_OR_RETURN(const auto row, GetFrom(env_.coordination, PartitionKeyOf(child)));
  if (!row) return absl::OkStatus();
  ASSIGN_OR_RETURN(PartitionRecord record, DecodePartitionRecord(row->value));
  const tenancy::Redundancy wanted = container.record.wanted_redundancy();
  if (!record.parent || record.redundancy == wanted) return absl::OkStatus();
  record.redundancy = wanted;
  return CommitTo(env_.coordination,
                  {{{row->key, row->mod_revision}, tenancy::CatalogStore::Unchanged(container.row)},
                   {{row->key, EncodePartitionRecord(record)}}});
}

absl::Status SplitKeeper::Settle(const Led& led, PartitionId child) {
  // After this the parent's state shows every split that is in its log, and only this thread would
  // add another: entries of earlier leaders are decided.
  pb::Command barrier;
  barrier.mutable_maintain();
  RETURN_IF_ERROR(Propose(led, barrier).status());
  ASSIGN_OR_RETURN(const std::optional<pb::PendingSplit> split,
                   objects::FindSplit(*led.replica->NewView()));
  if (split && split->child_partition_id() == child.bytes()) return absl::OkStatus();
  ASSIGN_OR_RETURN(const auto stored,
                   env_.containers.FindById(led.record.tenant, led.record.container));
  if (!stored) return absl::OkStatus();
  for (const tenancy::PartitionRange& range : stored->record.partitions) {
    if (range.partition != child) continue;
    ASSIGN_OR_RETURN(const objects::NameRange owned,
                     objects::ObjectReader(*led.replica->NewView()).Owned());
    // Not over, but lost (Repeat), after another one that is being made again.
    return owned.Contains(range.start) ? absl::OkStatus()
                                       : ForgetParent(led.replica->identity().partition, child);
  }
  return Remove(child);
}

// A child that owns nothing.
absl::Status SplitKeeper::Remove(PartitionId child) {
  ASSIGN_OR_RETURN(const auto group,
                   GetFrom(env_.coordination, replication::GroupConfigKey(child)));
  if (!group) return absl::OkStatus();
  coordination::Transaction removal;
  removal.compares = {{group->key, group->mod_revision}};
  removal.writes = {{group->key, std::nullopt},
                    {PartitionKeyOf(child), std::nullopt},
                    {RemovedKeyOf(child), std::string("1")}};
  return CommitTo(env_.coordination, std::move(removal));
}

absl::Status SplitKeeper::ForgetParent(PartitionId parent, PartitionId child) {
  ASSIGN_OR_RETURN(const auto row, GetFrom(env_.coordination, PartitionKeyOf(child)));
  if (!row) return absl::OkStatus();
  ASSIGN_OR_RETURN(PartitionRecord record, DecodePartitionRecord(row->value));
  if (record.parent != parent) return absl::OkStatus();  // another's, or nobody's any more
  record.parent.reset();
  record.serves = false;
  return CommitTo(env_.coordination,
                  {{{row->key, row->mod_revision}}, {{row->key, EncodePartitionRecord(record)}}});
}

absl::StatusOr<pb::Outcome> SplitKeeper::Propose(const Led& led, const pb::Command& command) {
  using Answer = absl::StatusOr<replication::Applied>;
  const std::optional<Answer> applied =
      AwaitUntil<Answer>(absl::Now() + kProposeTimeout, [&](std::function<void(Answer)> done) {
        replication::Proposal proposal;
        proposal.command = objects::EncodeRecord(command);
        led.replica->Propose(std::move(proposal), std::move(done));
      });
  if (!applied) return absl::UnavailableError("the partition's quorum did not answer in time");
  RETURN_IF_ERROR(applied->status());
  return objects::DecodeRecord<pb::Outcome>((*applied)->outcome);
}

}  // namespace meridian::server
