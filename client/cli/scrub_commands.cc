#include <CLI/CLI.hpp>
#include <map>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

std::string DiskLine(const v1::Node& node, const v1::Disk& disk) {
  const v1::DiskScrub& scrub = disk.scrub();
  std::string line = absl::StrFormat("%-12s disk %s  ", node.name(), disk.id());
  if (!disk.in_service()) return line + "out of service";
  if (scrub.bytes_per_second() == 0) return line + "is not verified";
  if (scrub.running()) {
    line += absl::StrFormat("%3.0f%% of the pass begun %s", 100 * scrub.progress(),
                            FormatTime(scrub.pass_begin_time()));
  } else if (scrub.has_last_pass_end_time()) {
    line += "100% of the pass begun " + FormatTime(scrub.pass_begin_time());
  } else {
    line += "  0%, no pass yet";
  }
  line += absl::StrFormat(
      ", %s verified at %s/s; this pass %d corrupt, since the start %d corrupt, %d repaired; %d "
      "await repair",
      HumanBytes(static_cast<double>(scrub.verified_bytes())),
      HumanBytes(static_cast<double>(scrub.bytes_per_second())), scrub.corrupt_records(),
      disk.corrupt_records(), disk.repaired_records(), scrub.awaiting_repair());
  if (scrub.has_last_pass_end_time()) {
    line += "; last pass ended " + FormatTime(scrub.last_pass_end_time());
  }
  if (!scrub.problem().empty()) line += "; " + Printable(scrub.problem());
  return line;
}

// "ID on NODE" of each.
std::string Replicas(const v1::Group& group,
                     const google::protobuf::RepeatedPtrField<std::string>& ids) {
  std::map<std::string, std::string> nodes;
  for (const v1::Replica& replica : group.members()) nodes[replica.id()] = replica.node();
  return absl::StrJoin(ids, ", ", [&nodes](std::string* out, const std::string& id) {
    const auto node = nodes.find(id);
    *out += id + (node == nodes.end() ? "" : " on " + node->second);
  });
}

std::string GroupLine(const v1::Group& group) {
  const v1::GroupComparison& comparison = group.comparison();
  std::string line = absl::StrFormat("%s  partition %s  ", group.container(), group.partition_id());
  if (!comparison.differing_replicas().empty()) {
    line += "REPLICAS DIFFER: " + Replicas(group, comparison.differing_replicas());
  } else if (!comparison.has_last_compared_time()) {
    return line + "not compared yet by its leader";
  } else {
    line += "equal";
  }
  if (comparison.has_last_compared_time()) {
    line += ", compared " + FormatTime(comparison.last_compared_time());
  }
  if (!comparison.uncompared_replicas().empty()) {
    line += ", without " + Replicas(group, comparison.uncompared_replicas());
  }
  return line;
}

absl::Status Status(Context& context) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const v1::ListNodesResponse nodes, admin->ListNodes(context.call_options()));
  for (const v1::Node& node : nodes.nodes()) {
    for (const v1::Disk& disk : node.disks()) {
      Json json = ToJson(disk);
      json["node"] = node.name();
      context.Print(DiskLine(node, disk), Json{{"disk", json}});
    }
    if (node.state() != v1::Node::UP) {
      context.Print(absl::StrFormat("%-12s %s", node.name(), v1::Node::State_Name(node.state())),
                    Json{{"node", ToJson(node)}});
    }
  }
  PageIterator<v1::Group> groups =
      admin->ListGroups(v1::ListGroupsRequest(), context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) return absl::OkStatus();
    context.Print(GroupLine(*group), Json{{"group", ToJson(*group)}});
  }
}

}  // namespace

void AddScrubCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand(
      "scrub", "How far everything that is stored is verified in the background (administrator)");
  group->require_subcommand(1);
  group
      ->add_subcommand(
          "status",
          "Each disk's pass, what was found damaged and repaired; whether the replicas "
          "of each group are equal")
      ->callback([&context] { context.run = [&context] { return Status(context); }; });
}

}  // namespace meridian::cli
