#include <CLI/CLI.hpp>
#include <map>
#include <optional>
#include <string>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kPoll = absl::Seconds(1);

// A disk that a node shows, or that groups have replicas on.
struct KnownDisk {
  std::string node;
  std::string zone;
  const char* state = "GONE";  // no node shows it
  int64_t capacity_bytes = 0;
  int64_t free_bytes = 0;
  int replicas = 0;
};
using KnownDisks = std::map<std::string, KnownDisk>;  // by id

void CountReplicas(const google::protobuf::RepeatedPtrField<v1::Replica>& replicas,
                   const std::map<std::string, v1::Node::State>& nodes, KnownDisks& disks) {
  for (const v1::Replica& replica : replicas) {
    KnownDisk& disk = disks[replica.disk_id()];
    ++disk.replicas;
    if (!disk.node.empty()) continue;
    disk.node = replica.node();
    disk.zone = replica.zone();
    const auto node = nodes.find(replica.node());
    if (node != nodes.end() && node->second != v1::Node::UP) disk.state = "NODE DOWN";
  }
}

absl::StatusOr<KnownDisks> AllDisks(Context& context) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const v1::ListNodesResponse answer, admin->ListNodes(context.call_options()));
  KnownDisks disks;
  std::map<std::string, v1::Node::State> nodes;
  for (const v1::Node& node : answer.nodes()) {
    nodes[node.name()] = node.state();
    for (const v1::Disk& disk : node.disks()) {
      if (disk.id().empty()) continue;  // it could not be opened
      disks[disk.id()] = {node.name(),
                          node.zone(),
                          disk.in_service() ? "IN SERVICE" : "OUT OF SERVICE",
                          disk.capacity_bytes(),
                          disk.free_bytes(),
                          0};
    }
  }
  PageIterator<v1::Group> groups = admin->ListGroups({}, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Group> group, groups.Next());
    if (!group) return disks;
    CountReplicas(group->members(), nodes, disks);
    CountReplicas(group->learners(), nodes, disks);
  }
}

absl::Status PrintDisks(Context& context) {
  ASSIGN_OR_RETURN(const KnownDisks disks, AllDisks(context));
  for (const auto& [id, disk] : disks) {
    std::string line = absl::StrFormat("%s  %-12s %-10s %-14s %3d replicas", id, disk.node,
                                       disk.zone, disk.state, disk.replicas);
    if (disk.capacity_bytes > 0) {
      line += absl::StrFormat("  %s of %s free", HumanBytes(static_cast<double>(disk.free_bytes)),
                              HumanBytes(static_cast<double>(disk.capacity_bytes)));
    }
    context.Print(line, Json{{"disk",
                              {{"id", id},
                               {"node", disk.node},
                               {"zone", disk.zone},
                               {"state", disk.state},
                               {"replicas", disk.replicas},
                               {"capacity_bytes", disk.capacity_bytes},
                               {"free_bytes", disk.free_bytes}}}});
  }
  return absl::OkStatus();
}

absl::Status Cancel(Context& context, const std::string& disk) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  RETURN_IF_ERROR(admin->ReplaceDisk(disk, /*cancel=*/true, context.call_options()).status());
  context.Print("disk " + disk + " is used again", Json{{"kept", disk}});
  return absl::OkStatus();
}

std::string ProgressLine(const v1::ReplaceDiskResponse& progress, int32_t at_first) {
  if (progress.removed()) {
    return "taken out of the cluster: nothing needs it any more, and it does not come back";
  }
  std::string line = absl::StrFormat("%d of %d replicas are still to be made elsewhere",
                                     progress.remaining_replicas(), at_first);
  if (!progress.problem().empty()) line += "; " + Printable(progress.problem());
  return line;
}

// Until the disk is out of the cluster, or only once.
absl::Status Replace(Context& context, const std::string& disk, bool once) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  int32_t at_first = 0;
  std::string last;
  for (;;) {
    const auto progress = admin->ReplaceDisk(disk, /*cancel=*/false, context.call_options());
    // The disk told of itself meanwhile.
    if (!absl::IsAborted(progress.status())) {
      RETURN_IF_ERROR(progress.status());
      at_first = std::max(at_first, progress->remaining_replicas());
      const std::string line = ProgressLine(*progress, at_first);
      if (line != last) {
        context.Print("disk " + disk + " of node " + progress->node() + ": " + line,
                      Json{{"disk", disk},
                           {"node", progress->node()},
                           {"removed", progress->removed()},
                           {"remaining_replicas", progress->remaining_replicas()},
                           {"problem", progress->problem()}});
      }
      last = line;
      if (once || progress->removed()) return absl::OkStatus();
    }
    absl::SleepFor(kPoll);
  }
}

}  // namespace

void AddDiskCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("disk", "The nodes' disks (administrator)");
  group->require_subcommand(1);
  CLI::App* ls = group->add_subcommand("ls", "Disks, also those that are gone, and their replicas");
  ls->callback([&context] { context.run = [&context] { return PrintDisks(context); }; });
  auto disk = std::make_shared<std::string>();
  auto cancel = std::make_shared<bool>(false);
  auto detach = std::make_shared<bool>(false);
  CLI::App* replace = group->add_subcommand(
      "replace",
      "Take a disk out for good: its replicas are made anew elsewhere, on a new disk of its node "
      "too, while reads and writes go on. Shows how far it is until it is done");
  replace->add_option("DISK", *disk, "Its id, as `meridian disk ls` shows it")->required();
  CLI::Option* cancelled =
      replace->add_flag("--cancel", *cancel, "Use it again; what has moved stays where it is");
  replace->add_flag("--detach", *detach, "Return at once; the same command shows how far it is")
      ->excludes(cancelled);
  replace->callback([&context, disk, cancel, detach] {
    context.run = [&context, disk, cancel, detach] {
      return *cancel ? Cancel(context, *disk) : Replace(context, *disk, *detach);
    };
  });
}

}  // namespace meridian::cli
