#include "server/control/recovery_members.h"

#include <algorithm>
#include <set>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "base/status.h"
#include "server/cluster_records.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using coordination::Compare;
using coordination::CoordinationStore;
using replication::GroupConfig;
using replication::Member;

constexpr absl::Duration kStatusTimeout = absl::Seconds(2);

// The first reason that the store has for it that the member, which does not answer, does not run.
// Whatever starts meanwhile can acknowledge nothing before it has changed the group's row (P1).
// That the disk was taken out is no reason: a process that has it open learns of that some minutes
// later, and then its node's record does not show the disk any more.
absl::Status FindWhetherGone(CoordinationStore& store, MemberAccount& account,
                             std::vector<Compare>& compares) {
  const Member& member = account.member;
  const std::string node_key = NodeKeyOf(member.node);
  ASSIGN_OR_RETURN(const auto node, GetFrom(store, node_key));
  if (!node) {
    compares.push_back({node_key, 0});
    account.is_gone = true;
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const NodeRecord record, DecodeNodeRecord(node->value));
  const bool shows_disk =
      std::find(record.disks.begin(), record.disks.end(), member.disk) != record.disks.end();
  const std::string alive_key = AliveKeyOf(member.node);
  ASSIGN_OR_RETURN(const auto alive, GetFrom(store, alive_key));
  if (shows_disk) {
    if (alive) return absl::OkStatus();
    compares.push_back({alive_key, 0});
  }
  compares.push_back({node_key, node->mod_revision});
  account.is_gone = true;
  account.runs_without_disk = alive.has_value();
  return absl::OkStatus();
}

absl::StatusOr<pb::ReplicaStatus> WhatIsSaid(const NodeStatuses& statuses, const Member& member) {
  const absl::StatusOr<pb::NodeStatus>& status = statuses.at(member.node);
  RETURN_IF_ERROR(status.status());
  const auto& all = status->replicas();
  const auto replica = std::find_if(all.begin(), all.end(), [&](const pb::ReplicaStatus& one) {
    return one.replica_id() == member.replica.bytes();
  });
  if (replica == all.end()) {
    return absl::NotFoundError("the node answers, and does not have this replica in service");
  }
  if (!replica->problem().empty()) return absl::UnavailableError(replica->problem());
  if (!replica->has_installing() || !replica->has_durable_index()) {
    return absl::UnimplementedError("the node's program is too old to tell what the replica has");
  }
  return *replica;
}

}  // namespace

NodeStatuses AskMembers(PeerClient& peers, const std::map<PartitionId, GroupConfig>& groups) {
  std::set<NodeId> nodes;
  pb::GetNodeStatusRequest ask;
  ask.set_with_names(true);
  for (const auto& [partition, config] : groups) {
    ask.add_partition_ids(std::string(partition.bytes()));
    for (const Member& member : AllMembers(config)) nodes.insert(member.node);
  }
  return peers.GetNodeStatuses({nodes.begin(), nodes.end()}, ask, kStatusTimeout);
}

absl::StatusOr<std::vector<MemberAccount>> AccountsOf(CoordinationStore& store,
                                                      const NodeStatuses& statuses,
                                                      const GroupConfig& config,
                                                      std::vector<Compare>& compares) {
  std::vector<MemberAccount> accounts;
  for (const Member& member : AllMembers(config)) {
    MemberAccount account{member, WhatIsSaid(statuses, member)};
    if (!account.said.ok()) RETURN_IF_ERROR(FindWhetherGone(store, account, compares));
    accounts.push_back(std::move(account));
  }
  return accounts;
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

}  // namespace meridian::server
