#include "server/control/replace_disk.h"

#include <algorithm>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "server/cluster_view.h"
#include "server/errors.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using replication::GroupConfig;
using replication::Member;

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);

using Groups = std::map<PartitionId, GroupConfig>;

// Those that have a replica on the disk.
absl::StatusOr<Groups> GroupsOn(coordination::CoordinationStore& store, DiskId disk) {
  ASSIGN_OR_RETURN(const auto rows, ListFrom(store, kGroupKeyPrefix));
  Groups groups;
  for (const coordination::KeyValue& row : rows) {
    const auto partition = PartitionOfKey(kGroupKeyPrefix, row.key);
    if (!partition) continue;
    ASSIGN_OR_RETURN(GroupConfig config, replication::DecodeGroupConfig(row.value));
    const auto is_there = [&](const std::vector<Member>& members) {
      return std::any_of(members.begin(), members.end(),
                         [&](const Member& member) { return member.disk == disk; });
    };
    if (is_there(config.members) || is_there(config.joint_old) || is_there(config.learners)) {
      groups[*partition] = std::move(config);
    }
  }
  return groups;
}

// Of the nodes where the groups have replicas; those that do not answer are missing.
std::vector<pb::NodeStatus> AskMembers(PeerClient& peers, const Groups& groups) {
  std::set<NodeId> nodes;
  for (const auto& [partition, config] : groups) {
    for (const auto* set : {&config.members, &config.joint_old}) {
      for (const Member& member : *set) nodes.insert(member.node);
    }
  }
  std::vector<pb::NodeStatus> answers;
  for (auto& [node, status] :
       peers.GetNodeStatuses({nodes.begin(), nodes.end()}, {}, kStatusTimeout)) {
    if (status.ok()) answers.push_back(*std::move(status));
  }
  return answers;
}

// Chunks that replicas lack, by the ids of those that are in service, answer, and are not being
// installed.
using Whole = std::map<std::string, uint64_t>;

// That the group's replica on the disk lacks: as many as that need not be saved. 0 if it does not
// tell.
uint64_t LackedBy(const GroupConfig& config, DiskId disk, const Whole& whole) {
  uint64_t lacked = 0;
  for (const auto* set : {&config.members, &config.joint_old}) {
    for (const Member& member : *set) {
      const auto found = whole.find(std::string(member.replica.bytes()));
      if (member.disk == disk && found != whole.end()) lacked = found->second;
    }
  }
  return lacked;
}

// The nodes of replicas that are no copies, if the others are not a quorum of each set.
std::set<std::string> MissingCopies(const GroupConfig& config, DiskId disk, const Whole& whole) {
  const uint64_t lacked = LackedBy(config, disk, whole);
  std::set<std::string> missing;
  bool enough = true;
  for (const auto* set : {&config.members, &config.joint_old}) {
    size_t others = 0;
    for (const Member& member : *set) {
      if (member.disk == disk) continue;
      const auto found = whole.find(std::string(member.replica.bytes()));
      if (found != whole.end() && found->second <= lacked) {
        ++others;
      } else {
        missing.insert(member.node);
      }
    }
    enough = enough && (set->empty() || others > set->size() / 2);
  }
  return enough ? std::set<std::string>() : missing;
}

// Each group has a quorum of each of its member sets on other disks, whole, in service and
// answering now: such a quorum has everything that the group has committed.
absl::Status CheckOtherCopies(PeerClient& peers, DiskId disk, const Groups& groups) {
  if (groups.empty()) return absl::OkStatus();
  Whole whole;
  for (const pb::NodeStatus& node : AskMembers(peers, groups)) {
    for (const pb::ReplicaStatus& replica : node.replicas()) {
      const bool told = replica.has_installing() && !replica.installing();
      if (told && replica.problem().empty()) {
        whole[replica.replica_id()] = replica.chunks_without_copy();
      }
    }
  }
  for (const auto& [partition, config] : groups) {
    const std::set<std::string> missing = MissingCopies(config, disk, whole);
    if (missing.empty()) continue;
    return Error(
        absl::StatusCode::kFailedPrecondition, v1::LAST_COPY,
        absl::StrCat("disk ", disk.ToHex(), " may have the last copy of something in ",
                     "partition ", partition.ToHex(), ": other replicas of it are on ",
                     absl::StrJoin(missing, " and "),
                     ", and do not answer, are not whole or lack chunks: bring them back, or wait, "
                     "first"));
  }
  return absl::OkStatus();
}

// Why replicas stay where they are; empty: nothing is known to hold them up.
std::string ProblemOf(PeerClient& peers, const Groups& groups) {
  std::map<std::string, std::string> problems;  // by partition
  for (const pb::NodeStatus& node : AskMembers(peers, groups)) {
    for (const pb::ReplicaStatus& replica : node.replicas()) {
      if (replica.is_serving()) problems[replica.partition_id()] = replica.placement_problem();
    }
  }
  for (const auto& [partition, config] : groups) {
    const auto leader = problems.find(std::string(partition.bytes()));
    if (leader == problems.end()) {
      return absl::StrCat("partition ", partition.ToHex(), " has no leader that answers");
    }
    if (!leader->second.empty()) {
      return absl::StrCat("partition ", partition.ToHex(), ": ", leader->second);
    }
  }
  return {};
}

absl::Status Cancel(coordination::CoordinationStore& store, const coordination::KeyValue& row,
                    const DiskRecord& record, const std::string& mark) {
  if (record.removed) {
    return Error(absl::StatusCode::kFailedPrecondition, v1::DISK_REMOVED,
                 "the disk was taken out already, and does not come back");
  }
  return CommitTo(store, {{{row.key, row.mod_revision}}, {{mark, std::nullopt}}});
}

}  // namespace

absl::StatusOr<v1::ReplaceDiskResponse> ReplaceDisk(coordination::CoordinationStore& store,
                                                    PeerClient& peers,
                                                    const v1::ReplaceDiskRequest& request) {
  const std::optional<DiskId> disk = DiskId::FromHex(request.disk());
  if (!disk) return InvalidField("disk", "must be 32 hex digits: see `meridian disk ls`");
  ASSIGN_OR_RETURN(const auto row, GetFrom(store, DiskKeyOf(*disk)));
  if (!row) return NodeOrZoneMissing(v1::ResourceMissing::DISK, request.disk());
  ASSIGN_OR_RETURN(DiskRecord record, DecodeDiskRecord(row->value));
  const std::string mark_key = RetiredDiskKeyOf(*disk);
  v1::ReplaceDiskResponse response;
  response.set_node(record.node);
  if (request.cancel()) {
    RETURN_IF_ERROR(Cancel(store, *row, record, mark_key));
    return response;
  }
  response.set_removed(record.removed);
  if (record.removed) return response;
  ASSIGN_OR_RETURN(const auto mark, GetFrom(store, mark_key));
  ASSIGN_OR_RETURN(const Groups groups, GroupsOn(store, *disk));
  response.set_remaining_replicas(static_cast<int32_t>(groups.size()));
  if (!mark) {
    RETURN_IF_ERROR(CheckOtherCopies(peers, *disk, groups));
    RETURN_IF_ERROR(CommitTo(store, {{{mark_key, 0}}, {{mark_key, "1"}}}));
    return response;
  }
  if (!groups.empty()) {
    const absl::Status copies = CheckOtherCopies(peers, *disk, groups);
    response.set_problem(copies.ok() ? ProblemOf(peers, groups) : std::string(copies.message()));
    return response;
  }
  // The mark stays: nothing is placed on the disk while its node has not noticed yet.
  record.removed = true;
  RETURN_IF_ERROR(CommitTo(store, {{{row->key, row->mod_revision}, {mark_key, mark->mod_revision}},
                                   {{row->key, EncodeDiskRecord(record)}}}));
  response.set_removed(true);
  return response;
}

}  // namespace meridian::server
