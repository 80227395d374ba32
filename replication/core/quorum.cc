#include "replication/core/quorum.h"

#include <algorithm>
#include <functional>
#include <optional>

#include "base/check.h"

namespace meridian::replication {
namespace {

std::vector<ReplicaId> Ids(const std::vector<Member>& members) {
  std::vector<ReplicaId> ids;
  ids.reserve(members.size());
  for (const Member& member : members) ids.push_back(member.replica);
  return ids;
}

}  // namespace

Quorum::Quorum(const GroupConfig& config) {
  CHECK_INVARIANT(!config.members.empty(), "a group has members");
  sets_.push_back(Ids(config.members));
  if (!config.joint_old.empty()) sets_.push_back(Ids(config.joint_old));
  for (const auto& set : sets_) {
    for (const ReplicaId& id : set) {
      if (std::find(voters_.begin(), voters_.end(), id) == voters_.end()) voters_.push_back(id);
    }
  }
}

bool Quorum::Reached(const std::function<bool(ReplicaId)>& has) const {
  return std::all_of(sets_.begin(), sets_.end(), [&](const std::vector<ReplicaId>& set) {
    size_t count = static_cast<size_t>(std::count_if(set.begin(), set.end(), has));
    return count > set.size() / 2;
  });
}

LogIndex Quorum::HighestReached(const std::function<LogIndex(ReplicaId)>& index) const {
  std::optional<LogIndex> lowest;
  for (const auto& set : sets_) {
    std::vector<LogIndex> reached;
    reached.reserve(set.size());
    for (const ReplicaId& id : set) reached.push_back(index(id));
    // Sorted from high to low, the one at size/2 is reached by a majority.
    std::sort(reached.begin(), reached.end(), std::greater<>());
    LogIndex of_set = reached[set.size() / 2];
    if (!lowest || of_set < *lowest) lowest = of_set;
  }
  return *lowest;
}

bool Quorum::IsVoter(ReplicaId replica) const {
  return std::find(voters_.begin(), voters_.end(), replica) != voters_.end();
}

}  // namespace meridian::replication
