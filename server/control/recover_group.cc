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
#include "server/control/recovery_members.h"
#include "server/control/sibling_names.h"
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

// That the coordination store takes in one transaction (docs/etcd.md).
constexpr size_t kMaxCompares = 128;

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
  // If it may begin anew: with what, and if with nothing, where.
  SiblingNames siblings;
  std::optional<Member> first;
  v1::RecoverGroupResponse shown;
};

void SetTime(absl::Time time, google::protobuf::Timestamp* proto) {
  const timespec since = absl::ToTimespec(time);
  proto->set_seconds(since.tv_sec);
  proto->set_nanos(static_cast<int32_t>(since.tv_nsec));
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

bool Contains(const std::vector<Member>& members, const ReplicaId& replica) {
  return std::any_of(members.begin(), members.end(),
                     [&](const Member& member) { return member.replica == replica; });
}

objects::NameRange NamesOf(const pb::ReplicaStatus& status) {
  return {status.names_start(), status.names_end()};
}

absl::Status LookAtMembers(CoordinationStore& store, PeerClient& peers, Found& found) {
  const NodeStatuses statuses = AskMembers(peers, {{found.partition, found.config}});
  ASSIGN_OR_RETURN(const std::vector<MemberAccount> accounts,
                   AccountsOf(store, statuses, found.config, found.compares));
  for (const MemberAccount& account : accounts) {
    const Member& member = account.member;
    RecoveryMemberInPlan& one = found.members.emplace_back();
    one.member = member;
    v1::RecoveryMember& proto = *found.shown.add_members();
    proto.set_id(member.replica.ToHex());
    proto.set_node(member.node);
    proto.set_disk_id(member.disk.ToHex());
    proto.set_votes(Contains(found.config.members, member.replica));
    proto.set_voted_before(Contains(found.config.joint_old, member.replica));
    if (account.said.ok()) {
      one.state = StateOf(*account.said);
      Describe(*account.said, proto);
      if (account.said->has_names_start()) found.names[member.replica] = NamesOf(*account.said);
      continue;
    }
    proto.set_problem(std::string(FromAbsl(account.said.status().message())));
    one.is_gone = account.is_gone;
    proto.set_is_gone(account.is_gone);
    if (account.runs_without_disk) {
      found.shown.add_notes(absl::StrCat(
          member.node, " runs WITHOUT disk ", member.disk.ToHex(),
          ": it is out of service or not mounted, and the node's log says why. It may come back by "
          "a restart of the node, with all that it has"));
    }
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

// What the partition would begin with, if it may.
absl::Status LookAtBeginning(const RecoveryContext& context, Found& found) {
  RETURN_IF_ERROR(found.plan.beginning_refusal);
  if (!found.record) return absl::NotFoundError("the partition is gone");
  ASSIGN_OR_RETURN(found.siblings,
                   AskSiblings(context.store, context.peers, found.partition, context.map));
  if (found.compares.size() + found.siblings.compares.size() > kMaxCompares) {
    return absl::ResourceExhaustedError(
        "the container has too many partitions before this one to compare all of their groups");
  }
  if (found.siblings.holder) return absl::OkStatus();
  ASSIGN_OR_RETURN(found.first, PlaceFirst(context, found));
  return absl::OkStatus();
}

void AddNotesOfBeginning(Found& found) {
  v1::RecoverGroupResponse& shown = found.shown;
  if (!found.plan.beginning_refusal.ok()) {
    shown.add_notes(
        absl::StrCat("it cannot begin anew now: ", found.plan.beginning_refusal.message()));
    return;
  }
  shown.add_notes(found.siblings.holder
                      ? absl::StrCat("it would begin with what partition ",
                                     found.siblings.holder->ToHex(), " still has of its names")
                      : std::string("it would begin EMPTY: no other partition of the container "
                                    "that can be asked has anything of its names"));
  for (const PartitionId lost : found.siblings.lost) {
    shown.add_notes(absl::StrCat(
        "nobody is left of partition ", lost.ToHex(),
        " of the same container either: if one of its disks comes back, recover that one first, as "
        "it may have what this one began with. The nodes to be given up are those of both"));
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
  if (found.plan.survivor) {
    shown.set_survivor(found.members[*found.plan.survivor].member.replica.ToHex());
  } else {
    found.plan.beginning_refusal = LookAtBeginning(context, found);
    AddNotesOfBeginning(found);
  }
  std::set<NodeId> lost = found.siblings.lost_nodes;
  lost.insert(found.plan.lost_nodes.begin(), found.plan.lost_nodes.end());
  for (const NodeId& node : lost) shown.add_lost_nodes(node);
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
  const std::set<NodeId> lost(found.shown.lost_nodes().begin(), found.shown.lost_nodes().end());
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
       {"lost_nodes", absl::StrJoin(found.shown.lost_nodes(), ",")},
       {"access_key", recovery.access_key_id()}});
  return absl::OkStatus();
}

// Nothing is left of the group. What another partition still has of its names it begins with:
// SplitKeeper makes the split again, as for a group that nobody has ever led. Else it begins with
// nothing, which ReplicaHost makes.
Change BeginAnew(Random& random, const Found& found, v1::GroupRecovery& recovery) {
  recovery.set_began_empty(true);
  Change change;
  change.config.epoch = found.config.epoch + 1;
  if (!found.siblings.holder) {
    change.config.members = {*found.first};
    recovery.set_survivor(found.first->replica.ToHex());
    recovery.set_survivor_node(found.first->node);
    return change;
  }
  // Until the split is made again, with others: nobody is to be built from what was given up.
  for (const Member& member : found.config.members) {
    change.config.members.push_back({ReplicaId::Draw(random), member.node, member.disk});
  }
  change.record = *found.record;
  change.record->parent = found.siblings.holder;
  change.record->serves = false;
  recovery.set_begins_with(found.siblings.holder->ToHex());
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
    change = BeginAnew(context.random, found, recovery);
    found.compares.insert(found.compares.end(), found.siblings.compares.begin(),
                          found.siblings.compares.end());
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
