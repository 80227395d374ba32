#include "server/control/sibling_names.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/status.h"
#include "replication/replica.h"
#include "server/control/recovery_members.h"
#include "server/errors.h"
#include "server/recovery_names.h"
#include "server/store_calls.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using coordination::CoordinationStore;
using replication::GroupConfig;
using tenancy::PartitionRange;

absl::Status Refuse(PartitionId sibling, const std::string& why) {
  return Error(absl::StatusCode::kFailedPrecondition, v1::SURVIVOR_ANSWERS,
               absl::StrCat("partition ", sibling.ToHex(),
                            " of the same container may have what this one began with: ", why));
}

// An old leader that was given up, or cut off, may still believe that it serves: its names are
// those of its own log.
const MemberAccount* FindLeader(const GroupConfig& config,
                                const std::vector<MemberAccount>& accounts) {
  const auto leads = [&](const MemberAccount& one) {
    return one.said.ok() && one.said->is_serving() && one.member.replica == config.leader &&
           one.said->epoch() == config.epoch.value();
  };
  const auto leader = std::find_if(accounts.begin(), accounts.end(), leads);
  return leader == accounts.end() ? nullptr : &*leader;
}

absl::Status CheckNobodyIsLeft(PartitionId sibling, const std::vector<MemberAccount>& accounts) {
  for (const MemberAccount& one : accounts) {
    if (one.said.ok() && IsWhole(StateOf(*one.said))) {
      return Refuse(sibling, absl::StrCat("it has no leader, and a replica on ", one.member.node,
                                          " that answers. Wait for the leader, or recover it "
                                          "first"));
    }
    if (!one.said.ok() && !one.is_gone) {
      return Refuse(sibling,
                    absl::StrCat("it has no leader, and ", one.member.node,
                                 " runs and does not tell what its replica has: ",
                                 one.said.status().message(), ". Bring it back, or stop the node"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<std::map<PartitionId, GroupConfig>> ReadGroups(
    CoordinationStore& store, PartitionId self, const std::vector<PartitionRange>& map,
    std::vector<coordination::Compare>& compares) {
  std::map<PartitionId, GroupConfig> groups;
  for (const PartitionId partition : PossibleHolders(self, map)) {
    const std::string key = replication::GroupConfigKey(partition);
    ASSIGN_OR_RETURN(const auto row, GetFrom(store, key));
    if (!row) return absl::UnavailableError("the container's map has changed meanwhile");
    ASSIGN_OR_RETURN(groups[partition], replication::DecodeGroupConfig(row->value));
    compares.push_back({key, row->mod_revision});
  }
  return groups;
}

}  // namespace

absl::StatusOr<SiblingNames> AskSiblings(CoordinationStore& store, PeerClient& peers,
                                         PartitionId self, const std::vector<PartitionRange>& map) {
  SiblingNames siblings;
  ASSIGN_OR_RETURN(const auto groups, ReadGroups(store, self, map, siblings.compares));
  // No partition would ask for all of them.
  const NodeStatuses statuses = groups.empty() ? NodeStatuses() : AskMembers(peers, groups);
  std::vector<OwnedNames> owned;
  for (const auto& [sibling, config] : groups) {
    std::vector<coordination::Compare> gone;
    ASSIGN_OR_RETURN(const std::vector<MemberAccount> accounts,
                     AccountsOf(store, statuses, config, gone));
    if (const MemberAccount* const leader = FindLeader(config, accounts)) {
      const pb::ReplicaStatus& said = *leader->said;
      if (!said.has_names_start()) {
        return Refuse(sibling, absl::StrCat(leader->member.node,
                                            " does not tell which names it has: its program may "
                                            "be too old"));
      }
      owned.push_back({sibling,
                       {said.names_start(), said.names_end()},
                       said.applied_index() >= said.commit_index()});
      continue;
    }
    RETURN_IF_ERROR(CheckNobodyIsLeft(sibling, accounts));
    siblings.lost.push_back(sibling);
    for (const MemberAccount& one : accounts) {
      if (!one.said.ok()) siblings.lost_nodes.insert(one.member.node);
    }
    siblings.compares.insert(siblings.compares.end(), gone.begin(), gone.end());
  }
  ASSIGN_OR_RETURN(siblings.holder, FindHolder(self, map, owned));
  return siblings;
}

}  // namespace meridian::server
