#include <CLI/CLI.hpp>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kPoll = absl::Seconds(1);

std::string NodeLine(const v1::Node& node) {
  std::string line = absl::StrFormat("%-12s %-10s %-9s %3d replicas, leads %3d  %s", node.name(),
                                     node.zone(), v1::Node::State_Name(node.state()),
                                     node.replica_count(), node.leader_count(), node.endpoint());
  if (node.draining()) {
    line += node.assigned_replica_count() == 0
                ? std::string("  drained")
                : absl::StrFormat("  draining, %d replicas left", node.assigned_replica_count());
  }
  if (!node.problem().empty()) line += "  " + Printable(node.problem());
  return line;
}

void PrintNodes(Context& context, const v1::ListNodesResponse& nodes) {
  for (const v1::Node& node : nodes.nodes()) {
    context.Print(NodeLine(node), Json{{"node", ToJson(node)}});
  }
}

absl::Status ListNodes(Context& context) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, admin->ListNodes(context.call_options()));
  PrintNodes(context, nodes);
  return absl::OkStatus();
}

absl::Status Drain(Context& context, const std::string& node, bool cancel) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  RETURN_IF_ERROR(admin->DrainNode(node, cancel, context.call_options()));
  const std::string verb = cancel ? "kept" : "draining";
  context.Print(cancel ? "node " + node + " is used again"
                       : "node " + node + " is being emptied: see `meridian node ls`",
                Json{{verb, node}});
  return absl::OkStatus();
}

// What an operator has to wait for until the node serves; empty: nothing.
std::string AwaitedOf(const v1::ListNodesResponse& nodes, const std::string& name) {
  for (const v1::Node& node : nodes.nodes()) {
    if (node.name() != name) continue;
    if (node.state() == v1::Node::UP) return {};
    return v1::Node::State_Name(node.state()) + " " + Printable(node.problem());
  }
  return "not known yet: start `meridiand --config FILE` there, and look at its log";
}

// Until the node serves, then makes sure that it is used.
absl::Status AddNode(Context& context, const std::string& name, double wait_seconds) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  const absl::Time end = absl::Now() + absl::Seconds(wait_seconds);
  std::string last;
  for (;; absl::SleepFor(kPoll)) {
    ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, admin->ListNodes(context.call_options()));
    const std::string awaited = AwaitedOf(nodes, name);
    if (awaited.empty()) break;
    if (absl::Now() >= end) return absl::UnavailableError("node " + name + ": " + awaited);
    if (awaited != last) {
      context.Print("node " + name + ": " + awaited, Json{{"node", name}, {"awaited", awaited}});
    }
    last = awaited;
  }
  RETURN_IF_ERROR(admin->DrainNode(name, /*cancel=*/true, context.call_options()));
  context.Print(
      "node " + name + " serves; its share of the replicas comes to it: `meridian node ls`",
      Json{{"added", name}});
  return absl::OkStatus();
}

absl::Status Remove(Context& context, const std::string& node) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  RETURN_IF_ERROR(admin->RemoveNode(node, context.call_options()));
  context.Print("removed node " + node, Json{{"removed", node}});
  return absl::OkStatus();
}

absl::Status Upgrade(Context& context, bool check_only) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const v1::UpgradeFormatResponse upgrade,
                   admin->UpgradeFormat(check_only, context.call_options()));
  const std::string what =
      upgrade.from_version() == upgrade.to_version()
          ? absl::StrFormat("the cluster has format version %d, the newest of all its nodes",
                            upgrade.from_version())
          : absl::StrFormat("format version %d %s %d", upgrade.from_version(),
                            check_only ? "can be raised to" : "was raised to",
                            upgrade.to_version());
  context.Print(what, Json{{"from_version", upgrade.from_version()},
                           {"to_version", upgrade.to_version()},
                           {"check_only", check_only}});
  return absl::OkStatus();
}

std::string FormatLine(const v1::Topology& topology, const v1::ListNodesResponse& nodes) {
  std::string line = absl::StrFormat("format version %d", topology.format_version());
  int newer = 0;
  for (const v1::Node& node : nodes.nodes()) {
    newer += node.newest_format_version() > topology.format_version();
  }
  if (newer > 0) {
    line += absl::StrFormat(", %d of %d nodes can write a newer one", newer, nodes.nodes_size());
  }
  return line;
}

absl::Status Status(Context& context, bool with_digest) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const v1::Topology topology, admin->GetTopology(context.call_options()));
  ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, admin->ListNodes(context.call_options()));
  context.Print(FormatLine(topology, nodes), Json{{"format_version", topology.format_version()}});
  PrintNodes(context, nodes);
  v1::ListGroupsRequest request;
  request.set_with_digest(with_digest);
  PageIterator<v1::Group> groups = admin->ListGroups(request, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) return absl::OkStatus();
    context.Print(GroupText(*group), Json{{"group", ToJson(*group)}});
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
  auto check_only = std::make_shared<bool>(false);
  CLI::App* upgrade = group->add_subcommand(
      "upgrade", "Let all nodes write the newest format that they can; there is no way back");
  upgrade->add_flag("--check", *check_only, "Only tell what would be done");
  upgrade->callback([&context, check_only] {
    context.run = [&context, check_only] { return Upgrade(context, *check_only); };
  });
}

void AddNodeCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("node", "The cluster's nodes (administrator)");
  group->require_subcommand(1);
  CLI::App* ls = group->add_subcommand("ls", "Nodes, how they are, and how far a drain is");
  ls->callback([&context] { context.run = [&context] { return ListNodes(context); }; });
  auto name = std::make_shared<std::string>();
  auto cancel = std::make_shared<bool>(false);
  auto wait = std::make_shared<double>(300);
  CLI::App* add = group->add_subcommand("add", "Wait until a new node serves, and use it");
  add->add_option("NODE", *name, "Its node_id, for example east-1d")->required();
  add->add_option("--wait", *wait, "Seconds, at most")->capture_default_str();
  add->callback([&context, name, wait] {
    context.run = [&context, name, wait] { return AddNode(context, *name, *wait); };
  });
  CLI::App* drain = group->add_subcommand(
      "drain", "Move everything off a node, while reads and writes go on; returns at once");
  drain->add_option("NODE", *name, "For example east-1a")->required();
  drain->add_flag("--cancel", *cancel, "Use it again; what has moved stays where it is");
  drain->callback([&context, name, cancel] {
    context.run = [&context, name, cancel] { return Drain(context, *name, *cancel); };
  });
  CLI::App* remove = group->add_subcommand("remove", "Forget a node that is drained and stopped");
  remove->add_option("NODE", *name, "For example east-1a")->required();
  remove->callback(
      [&context, name] { context.run = [&context, name] { return Remove(context, *name); }; });
}

}  // namespace meridian::cli
