#include <CLI/CLI.hpp>

#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

// Node or zone? The topology knows. NOT_FOUND, with what there is.
absl::StatusOr<bool> IsZone(Context& context, Admin& admin, const std::string& name) {
  ASSIGN_OR_RETURN(const v1::Topology topology, admin.GetTopology(context.call_options()));
  std::string all;
  for (const v1::Region& region : topology.regions()) {
    for (const v1::Zone& zone : region.zones()) {
      if (zone.name() == name) return true;
      all += (all.empty() ? "" : ", ") + zone.name() + " with";
      for (const std::string& node : zone.nodes()) {
        if (node == name) return false;
        all += " " + node;
      }
    }
  }
  return absl::NotFoundError("there is no zone or node called " + name + "; there are: " + all);
}

absl::Status Switch(Context& context, const std::string& name, bool on) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  ASSIGN_OR_RETURN(const bool zone, IsZone(context, *admin, name));
  const CallOptions options = context.call_options();
  if (on) {
    RETURN_IF_ERROR(zone ? admin->StartZone(name, options) : admin->StartNode(name, options));
  } else {
    RETURN_IF_ERROR(zone ? admin->StopZone(name, options) : admin->StopNode(name, options));
  }
  const std::string verb = on ? "started" : "stopped";
  context.Print(verb + (zone ? " zone " : " node ") + name,
                Json{{verb, name}, {"kind", zone ? "zone" : "node"}});
  return absl::OkStatus();
}

}  // namespace

void AddDevCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("dev", "Faults on purpose (meridiand dev only)");
  group->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  CLI::App* stop = group->add_subcommand("stop", "Stop a node or a zone, as a crash would");
  stop->add_option("NODE|ZONE", *name, "For example east-1a or east-1")->required();
  stop->callback([&context, name] {
    context.run = [&context, name] { return Switch(context, *name, false); };
  });
  CLI::App* start = group->add_subcommand("start", "Start it again; returns when it serves");
  start->add_option("NODE|ZONE", *name, "For example east-1a or east-1")->required();
  start->callback([&context, name] {
    context.run = [&context, name] { return Switch(context, *name, true); };
  });
}

}  // namespace meridian::cli
