#include <CLI/CLI.hpp>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

std::string NodeLine(const v1::Node& node) {
  std::string line = absl::StrFormat("%-12s %-10s %-9s %3d replicas, leads %3d  %s", node.name(),
                                     node.zone(), v1::Node::State_Name(node.state()),
                                     node.replica_count(), node.leader_count(), node.endpoint());
  if (!node.problem().empty()) line += "  " + Printable(node.problem());
  return line;
}

std::string GroupLines(const v1::Group& group) {
  std::string lines =
      absl::StrFormat("%s  %s %s  %s  epoch %d, leader %s", group.container(),
                      v1::Redundancy_Name(group.redundancy()), group.region(),
                      v1::Group::Health_Name(group.health()), group.epoch(),
                      group.leader_node().empty() ? std::string("none") : group.leader_node());
  for (const v1::Replica& replica : group.members()) {
    lines += absl::StrFormat("\n  %-12s ", replica.node());
    lines += replica.reachable()
                 ? absl::StrFormat("applied %d, committed %d, durable %d", replica.applied_index(),
                                   replica.commit_index(), replica.durable_index())
                 : std::string("does not answer");
    if (!replica.state_digest().empty()) lines += "  " + replica.state_digest();
  }
  return lines;
}

absl::Status Status(Context& context, bool with_digest) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, admin->ListNodes(context.call_options()));
  for (const v1::Node& node : nodes.nodes()) {
    context.Print(NodeLine(node), Json{{"node", ToJson(node)}});
  }
  v1::ListGroupsRequest request;
  request.set_with_digest(with_digest);
  PageIterator<v1::Group> groups = admin->ListGroups(request, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) return absl::OkStatus();
    context.Print(GroupLines(*group), Json{{"group", ToJson(*group)}});
  }
}

}  // namespace

void AddClusterCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("cluster", "The cluster (administrator)");
  group->require_subcommand(1);
  auto with_digest = std::make_shared<bool>(false);
  CLI::App* status = group->add_subcommand("status", "Nodes and groups: health, leaders, replicas");
  status->add_flag("--digest", *with_digest,
                   "Also hash each replica's state: equal replicas have equal hashes. Slow");
  status->callback([&context, with_digest] {
    context.run = [&context, with_digest] { return Status(context, *with_digest); };
  });
}

}  // namespace meridian::cli
