#include "server/control/recover_group.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "server/errors.h"
#include "server/log.h"
#include "server/placement_plan.h"
#include "server/recovery_names.h"
#include "server/recovery_plan.h"
#include "server/recovery_record.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using coordination::Compare;
using coordination::CoordinationStore;
using coordination::KeyValue;
using replication::GroupConfig;
using replication::Member;

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);

// A group as it was found, and what the transaction that recovers it compares.
struct Found {
  PartitionId partition;
  GroupConfig config;
  std::optional<KeyValue> row;            // of the partition
  std::optional<PartitionRecord> record;  // in it
  std::vector<RecoveryMemberInPlan> members;
  // Of each member that tells it.
  std::map<ReplicaId, objects::NameRange> names;
  RecoveryPlan plan;
  std::vector<v1::GroupRecovery> earlier;
  std::vector<Compare> compares;
  v1::RecoverGroupResponse shown;
};

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const timespec since = absl::ToTimespec(time);
  proto->set_seconds(since.tv_sec);
  proto->set_nanos(static_cast<int32_t>(since.tv_nsec));
}

// The first reason that the store has for it that the member, which does not answer, does not run;
// what that rests on is added to `compares`. A process that starts writes its node's record first.
// That the disk was taken out is no reason: a process that has it open learns of that some minutes
// later, and then its node's record does not show the disk any more.
absl::StatusOr<bool> IsGone(CoordinationStore& store, const Member& member,
                            std::vector<Compare>& compares) {
  const std::string node_key = NodeKeyOf(member.node);
  ASSIGN_OR_RETURN(const auto node, GetFrom(store, node_key));
  if (!node) {
    compares.push_back({node_key, 0});
    return true;
  }
  ASSIGN_OR_RETURN(const NodeRecord record, DecodeNodeRecord(node->value));
  const bool shows_disk =
      std::find(record.disks.begin(), record.disks.end(), member.disk) != record.disks.end();
  if (shows_disk) {
    const std::string alive_key = AliveKeyOf(member.node);
    ASSIGN_OR_RETURN(const auto alive, GetFrom(store, alive_key));
    if (alive) return false;
    compares.push_back({alive_key, 0});
  }
  compares.push_back({node_key, node->mod_revision});
  return true;
}

const pb::ReplicaStatus* FindReplica(const pb::NodeStatus& status, const ReplicaId& replica) {
  for (const pb::ReplicaStatus& candidate : status.replicas()) {
    if (candidate.replica_id() == replica.bytes()) return &candidate;
  }
  return nullptr;
}

SurvivorState StateOf(const pb::ReplicaStatus& status) {
  SurvivorState state;
  state.installing = status.installing();
  state.promised = Epoch(status.epoch());
  state.last_epoch = Epoch(status.durable_epoch());
  state.last_index = LogIndex(status.durable_index());
  state.commit_index = LogIndex(status.commit_index());
  state.freeable_index = LogIndex(status.freeable_index());
  state.chunks_without_copy = status.chunks_without_copy();
  return state;
}

void Describe(const pb::ReplicaStatus& status, v1::RecoveryMember& proto) {
  proto.set_answers(true);
  proto.set_installing(status.installing());
  proto.set_epoch(status.epoch());
  proto.set_last_epoch(status.durable_epoch());
  proto.set_last_index(status.durable_index());
  if (status.durable_time_us() != 0) {
    SetTime(absl::FromUnixMicros(static_cast<int64_t>(status.durable_time_us())),
            proto.mutable_last_entry_time());
  }
  proto.set_commit_index(status.commit_index());
  proto.set_applied_index(status.applied_index());
  if (status.applied_time_us() != 0) {
    SetTime(absl::FromUnixMicros(static_cast<int64_t>(status.applied_time_us())),
            proto.mutable_applied_time());
  }
  proto.set_chunks_without_copy(static_cast<int64_t>(status.chunks_without_copy()));
}

// The member's own account, or why there is none.
absl::StatusOr<pb::ReplicaStatus> AccountOf(
    const Member& member, const std::map<NodeId, absl::StatusOr<pb::NodeStatus>>& statuses) {
  const absl::StatusOr<pb::NodeStatus>& status = statuses.at(member.node);
  RETURN_IF_ERROR(status.status());
  const pb::ReplicaStatus* replica = FindReplica(*status, member.replica);
  if (replica == nullptr) {
    return absl::NotFoundError("the node answers, and does not have this replica in service");
  }
  if (!replica->problem().empty()) return absl::UnavailableError(replica->problem());
  if (!replica->has_installing() || !replica->has_durable_index()) {
    return absl::UnimplementedError("the node's program is too old to tell what the replica has");
  }
  return *replica;
}

bool Contains(const std::vector<Member>& members, const ReplicaId& replica) {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.replica == replica; });
}

objects::NameRange NamesOf(const pb::ReplicaStatus& status) {
  return {status.names_start(), status.names_end()};
}

absl::Status LookAtMembers(CoordinationStore& store, PeerClient& peers, Found& found) {
  std::set<NodeId> nodes;
  const std::vector<Member> members = AllMembers(found.config);
  for (const Member& member : members) nodes.insert(member.node);
  pb::GetNodeStatusRequest ask;
  ask.add_partition_ids(std::string(found.partition.bytes()));
  ask.set_with_names(true);
  const auto statuses = peers.GetNodeStatuses({nodes.begin(), nodes.end()}, ask, kStatusTimeout);
  for (const Member& member : members) {
    RecoveryMemberInPlan& one = found.members.emplace_back();
    one.member = member;
    v1::RecoveryMember& proto = *found.shown.add_members();
    proto.set_id(member.replica.ToHex());
    proto.set_node(member.node);
    proto.set_disk_id(member.disk.ToHex());
    proto.set_votes(Contains(found.config.members, member.replica));
    proto.set_voted_before(Contains(found.config.joint_old, member.replica));
    const absl::StatusOr<pb::ReplicaStatus> account = AccountOf(member, statuses);
    if (account.ok()) {
      one.state = StateOf(*account);
      Describe(*account, proto);
      if (account->has_names_start()) found.names[member.replica] = NamesOf(*account);
      continue;
    }
    proto.set_problem(std::string(FromAbsl(account.status().message())));
    ASSIGN_OR_RETURN(one.is_gone, IsGone(store, member, found.compares));
    proto.set_is_gone(one.is_gone);
  }
  return absl::OkStatus();
}

void AddNotes(const RecoveryContext& context, Found& found) {
  v1::RecoverGroupResponse& shown = found.shown;
  if (found.record && found.record->parent) {
    shown.add_notes(absl::StrCat("it is being split off from partition ",
                                 found.record->parent->ToHex(),
                                 ", and made from its replicas: if that one has lost its quorum "
                                 "too, recover it first, and look at this one again"));
  }
  if (!found.plan.survivor) return;
  const auto names = found.names.find(found.members[*found.plan.survivor].member.replica);
  if (names != found.names.end()) {
    std::string note = CompareNames(names->second, found.partition, context.map);
    if (!note.empty()) shown.add_notes(std::move(note));
  }
  const uint64_t lacks = found.members[*found.plan.survivor].state->chunks_without_copy;
  if (lacks > 0) {
    shown.add_notes(absl::StrCat("the survivor has no good copy of ", lacks,
                                 " chunks: what no other replica has of them is lost, and reads of "
                                 "the objects that they belong to answer DATA_LOSS"));
  }
  for (size_t i = 0; i < found.members.size(); ++i) {
    const RecoveryMemberInPlan& one = found.members[i];
    if (!one.state || i == *found.plan.survivor) continue;
    shown.add_notes(absl::StrCat("replica ", one.member.replica.ToHex(), " on ", one.member.node,
                                 " answers too, and is given up: it comes back as a new one, with ",
                                 "the survivor's data"));
  }
}

absl::StatusOr<Found> Look(const RecoveryContext& context, PartitionId partition) {
  CoordinationStore& store = context.store;
  Found found;
  found.partition = partition;
  const std::string group_key = replication::GroupConfigKey(partition);
  const std::string recovered_key = RecoveredKeyOf(partition);
  ASSIGN_OR_RETURN(const auto group, GetFrom(store, group_key));
  if (!group) return NodeOrZoneMissing(v1::ResourceMissing::GROUP, partition.ToHex());
  ASSIGN_OR_RETURN(found.config, replication::DecodeGroupConfig(group->value));
  found.compares.push_back({group_key, group->mod_revision});
  ASSIGN_OR_RETURN(const auto earlier, GetFrom(store, recovered_key));
  found.compares.push_back({recovered_key, earlier ? earlier->mod_revision : 0});
  if (earlier) {
    ASSIGN_OR_RETURN(found.earlier, DecodeRecoveries(earlier->value));
  }
  // What the other keepers do with the partition rests on its state, which may go back by this.
  const std::string partition_key = PartitionKeyOf(partition);
  ASSIGN_OR_RETURN(found.row, GetFrom(store, partition_key));
  found.compares.push_back({partition_key, found.row ? found.row->mod_revision : 0});
  if (found.row) {
    ASSIGN_OR_RETURN(found.record, DecodePartitionRecord(found.row->value));
  }
  RETURN_IF_ERROR(LookAtMembers(store, context.peers, found));
  found.plan = PlanRecovery(found.config, found.members);
  v1::RecoverGroupResponse& shown = found.shown;
  shown.set_epoch(found.config.epoch.value());
  for (const NodeId& node : found.plan.lost_nodes) shown.add_lost_nodes(node);
  if (found.plan.survivor) {
    shown.set_survivor(found.members[*found.plan.survivor].member.replica.ToHex());
  }
  shown.set_refusal(std::string(FromAbsl(found.plan.refusal.message())));
  shown.set_known_missing_entries(found.plan.known_missing_entries);
  shown.set_may_begin_empty(found.plan.beginning_refusal.ok());
  AddNotes(context, found);
  return found;
}

// What the request was made by is what there is.
absl::Status CheckAsShown(const Found& found, const v1::RecoverGroupRequest& request) {
  if (request.epoch() != found.config.epoch.value()) {
    return absl::AbortedError(absl::StrCat("the group's configuration is of epoch ",
                                           found.config.epoch.value(), ", not ", request.epoch(),
                                           ": look at it, and ask again"));
  }
  RETURN_IF_ERROR(request.begin_empty() ? found.plan.beginning_refusal : found.plan.refusal);
  const std::set<NodeId> named(request.lost_nodes().begin(), request.lost_nodes().end());
  const std::set<NodeId> lost(found.plan.lost_nodes.begin(), found.plan.lost_nodes.end());
  if (named != lost || static_cast<size_t>(request.lost_nodes_size()) != named.size()) {
    return InvalidField("lost_nodes",
                        absl::StrCat("members on ", absl::StrJoin(lost, ","),
                                     " do not answer; given up were ", absl::StrJoin(named, ",")));
  }
  if (request.survivor() != found.shown.survivor()) {
    return absl::AbortedError(absl::StrCat("the survivor with the most is ", found.shown.survivor(),
                                           " now: look at it, and ask again"));
  }
  return absl::OkStatus();
}

v1::GroupRecovery RecoveryOf(const Found& found, AccessKeyId by, absl::Time now) {
  v1::GroupRecovery recovery;
  SetTime(now, recovery.mutable_time());
  recovery.set_access_key_id(by.ToHex());
  recovery.set_epoch(found.config.epoch.value() + 1);
  for (int i = 0; i < found.shown.members_size(); ++i) {
    const v1::RecoveryMember& member = found.shown.members(i);
    if (found.plan.survivor == static_cast<size_t>(i)) {
      recovery.set_survivor(member.id());
      recovery.set_survivor_node(member.node());
      recovery.set_last_epoch(member.last_epoch());
      recovery.set_last_index(member.last_index());
      *recovery.mutable_last_entry_time() = member.last_entry_time();
      continue;
    }
    v1::LostReplica& lost = *recovery.add_given_up();
    lost.set_id(member.id());
    lost.set_node(member.node());
    lost.set_disk_id(member.disk_id());
    lost.set_lost(!member.answers());
  }
  return recovery;
}

// Sorted, and each once: members of a group may be on one node.
std::vector<Compare> Distinct(std::vector<Compare> compares) {
  const auto by_key = [](const Compare& a, const Compare& b) { return a.key < b.key; };
  std::stable_sort(compares.begin(), compares.end(), by_key);
  const auto same = [](const Compare& a, const Compare& b) {
    return a.key == b.key && a.mod_revision == b.mod_revision;
  };
  compares.erase(std::unique(compares.begin(), compares.end(), same), compares.end());
  return compares;
}

// What the store is to hold after a recovery, beside the record of it.
struct Change {
  GroupConfig config;
  std::optional<PartitionRecord> record;  // nullopt: as it is
};

absl::Status Commit(CoordinationStore& store, const Found& found, const Change& next,
                    const v1::GroupRecovery& recovery) {
  std::vector<v1::GroupRecovery> recoveries = found.earlier;
  recoveries.push_back(recovery);
  coordination::Transaction change;
  change.compares = Distinct(found.compares);
  change.writes = {{replication::GroupConfigKey(found.partition), EncodeGroupConfig(next.config)},
                   {RecoveredKeyOf(found.partition), EncodeRecoveries(std::move(recoveries))}};
  if (next.record) {
    change.writes.push_back({found.row->key, EncodePartitionRecord(*next.record)});
  }
  RETURN_IF_ERROR(CommitTo(store, std::move(change)));
  Log(LogLevel::kWarning, "recovery",
      recovery.began_empty()
          ? "a partition begins anew: what its group had is gone"
          : "a group goes on without a quorum: what only the lost members had is gone",
      {{"group", found.partition.ToHex()},
       {"epoch", recovery.epoch()},
       {"survivor", recovery.survivor()},
       {"survivor_node", recovery.survivor_node()},
       {"last_epoch", recovery.last_epoch()},
       {"last_index", recovery.last_index()},
       {"begins_with", recovery.begins_with()},
       {"lost_nodes", absl::StrJoin(found.plan.lost_nodes, ",")},
       {"access_key", recovery.access_key_id()}});
  return absl::OkStatus();
}

// What serves of the container's other partitions, or might, and which names it owns. A node that
// runs and does not tell is waited for: what it has would be given up by mistake.
absl::StatusOr<std::vector<OthersNames>> AskOthers(const RecoveryContext& context,
                                                   PartitionId self) {
  pb::GetNodeStatusRequest ask;
  ask.set_with_names(true);
  for (const tenancy::PartitionRange& range : context.map) {
    if (range.partition != self) ask.add_partition_ids(std::string(range.partition.bytes()));
  }
  std::vector<OthersNames> others;
  if (ask.partition_ids().empty()) return others;  // none would be: all
  ASSIGN_OR_RETURN(const auto announced, ListFrom(context.store, kAliveKeyPrefix));
  std::vector<NodeId> nodes;
  for (const KeyValue& row : announced) {
    nodes.push_back(row.key.substr(std::string_view(kAliveKeyPrefix).size()));
  }
  for (const auto& [node, status] : context.peers.GetNodeStatuses(nodes, ask, kStatusTimeout)) {
    if (!status.ok()) {
      return absl::UnavailableError(absl::StrCat(
          node,
          " runs and does not tell what it has of the container: ", status.status().message()));
    }
    for (const pb::ReplicaStatus& replica : status->replicas()) {
      const auto partition = PartitionId::FromBytes(replica.partition_id());
      if (!partition || !replica.problem().empty()) continue;
      const bool tells = replica.has_installing() && replica.has_durable_index();
      if (tells && !IsWhole(StateOf(replica))) continue;
      if (!tells || !replica.has_names_start()) {
        return absl::FailedPreconditionError(absl::StrCat(
            node, " does not tell which names its replicas have: its program may be too old"));
      }
      others.push_back({*partition, replica.is_serving(), NamesOf(replica)});
    }
  }
  return others;
}

// The disk for the only replica of a partition that begins anew: by its policy, and not where the
// group had one, unless there is no other.
absl::StatusOr<Member> PlaceFirst(const RecoveryContext& context, const Found& found) {
  const auto policy = PolicyOf(found.record->redundancy.value_or(tenancy::Redundancy::kLrs));
  if (!policy) return absl::UnimplementedError("nothing can be placed by this redundancy");
  const auto placed = replication::PlaceGroup(*policy, found.record->region, context.disks);
  if (!placed.ok()) return WithReason(placed.status(), v1::PLACEMENT_IMPOSSIBLE);
  const auto is_new = [&](const replication::PlacedReplica& one) {
    return std::none_of(found.members.begin(), found.members.end(),
                        [&](const auto& member) { return member.member.disk == one.disk; });
  };
  auto place = std::find_if(placed->begin(), placed->end(), is_new);
  if (place == placed->end()) place = placed->begin();
  return Member{ReplicaId::Draw(context.random), place->node, place->disk};
}

// Nothing is left of the group. What another partition still has of its names it begins with:
// SplitKeeper makes the split again, as for a group that nobody has ever led. Else it begins with
// nothing, which ReplicaHost makes.
absl::StatusOr<Change> BeginAnew(const RecoveryContext& context, const Found& found,
                                 v1::GroupRecovery& recovery) {
  if (!found.record) return absl::NotFoundError("the partition is gone");
  ASSIGN_OR_RETURN(const std::vector<OthersNames> others, AskOthers(context, found.partition));
  ASSIGN_OR_RETURN(const std::optional<PartitionId> holder,
                   FindHolder(found.partition, context.map, others));
  recovery.set_began_empty(true);
  Change change;
  change.config.epoch = found.config.epoch + 1;
  if (!holder) {
    ASSIGN_OR_RETURN(const Member first, PlaceFirst(context, found));
    change.config.members = {first};
    recovery.set_survivor(first.replica.ToHex());
    recovery.set_survivor_node(first.node);
    return change;
  }
  if (found.record->parent && found.record->parent != holder) {
    return Error(absl::StatusCode::kFailedPrecondition, v1::SURVIVOR_ANSWERS,
                 absl::StrCat("partition ", holder->ToHex(), " still has its names, while it is ",
                              "being split off from ", found.record->parent->ToHex(),
                              ": that has to be over first"));
  }
  change.config.members = found.config.members;
  change.record = *found.record;
  change.record->parent = holder;
  change.record->serves = false;
  recovery.set_begins_with(holder->ToHex());
  return change;
}

// What the administrator has not seen stays: later recoveries, and a record that cannot be read.
absl::Status Acknowledge(CoordinationStore& store, PartitionId partition, uint64_t seen,
                         AccessKeyId by) {
  ASSIGN_OR_RETURN(const auto row, GetFrom(store, RecoveredKeyOf(partition)));
  if (!row) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::vector<v1::GroupRecovery> recoveries, DecodeRecoveries(row->value));
  const size_t forgotten =
      std::erase_if(recoveries, [seen](const auto& recovery) { return recovery.epoch() <= seen; });
  if (forgotten == 0) return absl::OkStatus();
  // Until somebody leads, nodes go by the record.
  const std::string group_key = replication::GroupConfigKey(partition);
  ASSIGN_OR_RETURN(const auto group, GetFrom(store, group_key));
  if (group) {
    ASSIGN_OR_RETURN(const GroupConfig config, replication::DecodeGroupConfig(group->value));
    if (config.leader.is_nil()) {
      return absl::FailedPreconditionError("nobody leads the group yet: acknowledge it after that");
    }
  }
  coordination::Write write{row->key, std::nullopt};
  if (!recoveries.empty()) write.value = EncodeRecoveries(std::move(recoveries));
  RETURN_IF_ERROR(CommitTo(
      store, {{{row->key, row->mod_revision}, {group_key, group ? group->mod_revision : 0}},
              {std::move(write)}}));
  Log(LogLevel::kInfo, "recovery", "an administrator has acknowledged a group's recoveries",
      {{"group", partition.ToHex()}, {"up_to_epoch", seen}, {"access_key", by.ToHex()}});
  return absl::OkStatus();
}

absl::Status CheckRequest(const v1::RecoverGroupRequest& request) {
  if (request.acknowledge() && request.epoch() == 0) {
    return InvalidField("epoch", "of the newest recovery that was seen");
  }
  if (!request.accept_data_loss() && request.begin_empty()) {
    return InvalidField("begin_empty", "gives up all that the partition held: accept_data_loss");
  }
  if (!request.accept_data_loss()) return absl::OkStatus();
  if (request.acknowledge()) {
    return InvalidField("acknowledge", "what is being done cannot be acknowledged beforehand");
  }
  if (request.lost_nodes().empty()) {
    return InvalidField("lost_nodes", "the nodes that are given up have to be named");
  }
  if (request.epoch() == 0) return InvalidField("epoch", "of the configuration that was shown");
  if (request.survivor().empty() != request.begin_empty()) {
    return InvalidField("survivor", "that was shown; none with begin_empty");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::RecoverGroupResponse> RecoverGroup(const RecoveryContext& context,
                                                      const v1::RecoverGroupRequest& request) {
  const std::optional<PartitionId> partition = PartitionId::FromHex(request.partition_id());
  if (!partition) return InvalidField("partition_id", "must be 32 hex digits: `meridian group ls`");
  RETURN_IF_ERROR(CheckRequest(request));
  if (request.acknowledge()) {
    RETURN_IF_ERROR(Acknowledge(context.store, *partition, request.epoch(), context.by));
  }
  ASSIGN_OR_RETURN(Found found, Look(context, *partition));
  if (!request.accept_data_loss()) return std::move(found.shown);
  // Carried out before, by a request whose answer was lost.
  for (const v1::GroupRecovery& earlier : found.earlier) {
    const bool same =
        request.begin_empty() ? earlier.began_empty() : earlier.survivor() == request.survivor();
    if (earlier.epoch() != request.epoch() + 1 || !same) continue;
    *found.shown.mutable_recovery() = earlier;
    return std::move(found.shown);
  }
  RETURN_IF_ERROR(CheckAsShown(found, request));
  v1::GroupRecovery recovery = RecoveryOf(found, context.by, context.now);
  Change change;
  if (request.begin_empty()) {
    ASSIGN_OR_RETURN(change, BeginAnew(context, found, recovery));
  } else {
    const Member& survivor = found.members[*found.plan.survivor].member;
    change.config = replication::RecoveredConfig(found.config, survivor);
  }
  RETURN_IF_ERROR(Commit(context.store, found, change, recovery));
  *found.shown.mutable_recovery() = recovery;
  return std::move(found.shown);
}

absl::StatusOr<std::map<PartitionId, std::vector<v1::GroupRecovery>>> ListRecoveries(
    CoordinationStore& store) {
  ASSIGN_OR_RETURN(const auto rows, ListFrom(store, kRecoveredKeyPrefix));
  std::map<PartitionId, std::vector<v1::GroupRecovery>> recoveries;
  for (const KeyValue& row : rows) {
    const auto partition = PartitionOfKey(kRecoveredKeyPrefix, row.key);
    if (!partition) continue;
    auto decoded = DecodeRecoveries(row.value);
    // A newer program's, perhaps: that there was one is to be seen all the same.
    if (!decoded.ok()) decoded.emplace(1);
    recoveries[*partition] = *std::move(decoded);
  }
  return recoveries;
}

}  // namespace meridian::server
