#include "server/control/recover_group.h"

#include <algorithm>
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
  std::vector<RecoveryMemberInPlan> members;
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

absl::Status LookAtMembers(CoordinationStore& store, PeerClient& peers, Found& found) {
  std::set<NodeId> nodes;
  const std::vector<Member> members = AllMembers(found.config);
  for (const Member& member : members) nodes.insert(member.node);
  pb::GetNodeStatusRequest ask;
  ask.add_partition_ids(std::string(found.partition.bytes()));
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
      continue;
    }
    proto.set_problem(std::string(FromAbsl(account.status().message())));
    ASSIGN_OR_RETURN(one.is_gone, IsGone(store, member, found.compares));
    proto.set_is_gone(one.is_gone);
  }
  return absl::OkStatus();
}

void AddNotes(const Found& found, const std::optional<PartitionRecord>& record,
              v1::RecoverGroupResponse& shown) {
  if (record && record->parent) {
    shown.add_notes(absl::StrCat("it is being split off from partition ", record->parent->ToHex(),
                                 ", and made from its replicas: if that one has lost its quorum "
                                 "too, recover it first, and look at this one again"));
  }
  if (!found.plan.survivor) return;
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

absl::StatusOr<Found> Look(CoordinationStore& store, PeerClient& peers, PartitionId partition) {
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
  std::optional<PartitionRecord> record;
  // What the other keepers do with the partition rests on its state, which may go back by this.
  const std::string partition_key = PartitionKeyOf(partition);
  ASSIGN_OR_RETURN(const auto row, GetFrom(store, partition_key));
  found.compares.push_back({partition_key, row ? row->mod_revision : 0});
  if (row) {
    ASSIGN_OR_RETURN(record, DecodePartitionRecord(row->value));
  }
  RETURN_IF_ERROR(LookAtMembers(store, peers, found));
  found.plan = PlanRecovery(found.config, found.members);
  v1::RecoverGroupResponse& shown = found.shown;
  shown.set_epoch(found.config.epoch.value());
  for (const NodeId& node : found.plan.lost_nodes) shown.add_lost_nodes(node);
  if (found.plan.survivor) {
    shown.set_survivor(found.members[*found.plan.survivor].member.replica.ToHex());
  }
  shown.set_refusal(std::string(FromAbsl(found.plan.refusal.message())));
  shown.set_known_missing_entries(found.plan.known_missing_entries);
  AddNotes(found, record, shown);
  return found;
}

// What the request was made by is what there is.
absl::Status CheckAsShown(const Found& found, const v1::RecoverGroupRequest& request) {
  if (request.epoch() != found.config.epoch.value()) {
    return absl::AbortedError(absl::StrCat("the group's configuration is of epoch ",
                                           found.config.epoch.value(), ", not ", request.epoch(),
                                           ": look at it, and ask again"));
  }
  RETURN_IF_ERROR(found.plan.refusal);
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
    if (static_cast<size_t>(i) == *found.plan.survivor) {
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

absl::Status Commit(CoordinationStore& store, const Found& found,
                    const v1::GroupRecovery& recovery) {
  const Member& survivor = found.members[*found.plan.survivor].member;
  std::vector<v1::GroupRecovery> recoveries = found.earlier;
  recoveries.push_back(recovery);
  coordination::Transaction change;
  change.compares = Distinct(found.compares);
  change.writes = {{replication::GroupConfigKey(found.partition),
                    EncodeGroupConfig(replication::RecoveredConfig(found.config, survivor))},
                   {RecoveredKeyOf(found.partition), EncodeRecoveries(std::move(recoveries))}};
  RETURN_IF_ERROR(CommitTo(store, std::move(change)));
  Log(LogLevel::kWarning, "recovery",
      "a group goes on without a quorum: what only the lost members had is gone",
      {{"group", found.partition.ToHex()},
       {"epoch", recovery.epoch()},
       {"survivor", recovery.survivor()},
       {"survivor_node", recovery.survivor_node()},
       {"last_epoch", recovery.last_epoch()},
       {"last_index", recovery.last_index()},
       {"lost_nodes", absl::StrJoin(found.plan.lost_nodes, ",")},
       {"access_key", recovery.access_key_id()}});
  return absl::OkStatus();
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
  coordination::Write write{row->key, std::nullopt};
  if (!recoveries.empty()) write.value = EncodeRecoveries(std::move(recoveries));
  RETURN_IF_ERROR(CommitTo(store, {{{row->key, row->mod_revision}}, {std::move(write)}}));
  Log(LogLevel::kInfo, "recovery", "an administrator has acknowledged a group's recoveries",
      {{"group", partition.ToHex()}, {"up_to_epoch", seen}, {"access_key", by.ToHex()}});
  return absl::OkStatus();
}

absl::Status CheckRequest(const v1::RecoverGroupRequest& request) {
  if (request.acknowledge() && request.epoch() == 0) {
    return InvalidField("epoch", "of the newest recovery that was seen");
  }
  if (!request.accept_data_loss()) return absl::OkStatus();
  if (request.acknowledge()) {
    return InvalidField("acknowledge", "what is being done cannot be acknowledged beforehand");
  }
  if (request.lost_nodes().empty()) {
    return InvalidField("lost_nodes", "the nodes that are given up have to be named");
  }
  if (request.epoch() == 0) return InvalidField("epoch", "of the configuration that was shown");
  if (request.survivor().empty()) return InvalidField("survivor", "that was shown");
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<v1::RecoverGroupResponse> RecoverGroup(CoordinationStore& store, PeerClient& peers,
                                                      const v1::RecoverGroupRequest& request,
                                                      AccessKeyId by, absl::Time now) {
  const std::optional<PartitionId> partition = PartitionId::FromHex(request.partition_id());
  if (!partition) return InvalidField("partition_id", "must be 32 hex digits: `meridian group ls`");
  RETURN_IF_ERROR(CheckRequest(request));
  if (request.acknowledge()) {
    RETURN_IF_ERROR(Acknowledge(store, *partition, request.epoch(), by));
  }
  ASSIGN_OR_RETURN(Found found, Look(store, peers, *partition));
  if (!request.accept_data_loss()) return std::move(found.shown);
  // Carried out before, by a request whose answer was lost.
  for (const v1::GroupRecovery& earlier : found.earlier) {
    if (earlier.epoch() != request.epoch() + 1 || earlier.survivor() != request.survivor())
      continue;
    *found.shown.mutable_recovery() = earlier;
    return std::move(found.shown);
  }
  RETURN_IF_ERROR(CheckAsShown(found, request));
  const v1::GroupRecovery recovery = RecoveryOf(found, by, now);
  RETURN_IF_ERROR(Commit(store, found, recovery));
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
