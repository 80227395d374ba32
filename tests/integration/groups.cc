#include "tests/integration/groups.h"

#include <cstdint>
#include <set>
#include <utility>

#include "base/status.h"
#include "tests/until.h"

namespace meridian {
namespace {

bool IsEqual(const v1::Group& group) {
  std::set<std::pair<uint64_t, std::string>> states;
  for (const v1::Replica& member : group.members()) {
    if (!member.reachable() || member.state_digest().empty()) return false;
    states.emplace(member.applied_index(), member.state_digest());
  }
  return group.members_size() == 3 && group.learners_size() == 0 && states.size() == 1;
}

// Until there are groups, and the predicate holds of each. DEADLINE_EXCEEDED with those of which it
// does not.
absl::StatusOr<std::vector<v1::Group>> AwaitGroups(Admin& admin, const std::string& container,
                                                   bool with_digest,
                                                   bool (*holds)(const v1::Group&),
                                                   absl::Duration at_most) {
  absl::StatusOr<std::vector<v1::Group>> groups;
  std::string missing;
  const auto all_hold = [&] {
    groups = GroupsOf(admin, container, with_digest);
    missing = groups.ok() ? "" : groups.status().ToString();
    if (!groups.ok()) return false;
    for (const v1::Group& group : *groups) {
      if (!holds(group)) missing += group.ShortDebugString() + "\n";
    }
    return missing.empty() && !groups->empty();
  };
  if (Until(all_hold, at_most)) return groups;
  return absl::DeadlineExceededError(container + ": " + missing);
}

}  // namespace

absl::StatusOr<std::vector<v1::Group>> GroupsOf(Admin& admin, const std::string& container,
                                                bool with_digest) {
  v1::ListGroupsRequest request;
  request.set_container(container);
  request.set_with_digest(with_digest);
  auto groups = admin.ListGroups(request);
  std::vector<v1::Group> all;
  while (true) {
    ASSIGN_OR_RETURN(const auto group, groups.Next());
    if (!group) return all;
    all.push_back(*group);
  }
}

v1::Group GroupOf(Admin& admin, const std::string& container, bool with_digest) {
  const auto groups = GroupsOf(admin, container, with_digest);
  return groups.ok() && !groups->empty() ? groups->front() : v1::Group();
}

absl::StatusOr<std::string> AwaitHealthyLeader(Admin& admin, const std::string& container,
                                               absl::Duration at_most) {
  const auto is_healthy = [](const v1::Group& group) {
    return group.health() == v1::Group::HEALTHY && !group.leader_node().empty();
  };
  const auto groups = AwaitGroups(admin, container, /*with_digest=*/false, is_healthy, at_most);
  if (!groups.ok()) return Annotate(groups.status(), "not healthy");
  return groups->front().leader_node();
}

absl::Status AwaitEqualReplicas(Admin& admin, const std::string& container,
                                absl::Duration at_most) {
  const auto groups = AwaitGroups(admin, container, /*with_digest=*/true, IsEqual, at_most);
  return Annotate(groups.status(), "replicas are not equal");
}

}  // namespace meridian
