#include <CLI/CLI.hpp>

#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

struct ContainerOptions {
  std::string name;
  std::string redundancy;
  std::string region;
  // "on", "off"; empty: not given.
  std::string versioning;
};

v1::Versioning VersioningOf(const std::string& text) {
  return text == "on" ? v1::VERSIONING_ON : v1::VERSIONING_OFF;
}

absl::Status Create(Context& context, const ContainerOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  v1::CreateContainerRequest request;
  ASSIGN_OR_RETURN(*request.mutable_parent(), context.tenant());
  request.set_container_id(options.name);
  v1::Redundancy redundancy;
  if (!v1::Redundancy_Parse(options.redundancy, &redundancy)) {
    return absl::InvalidArgumentError("unknown redundancy policy " + options.redundancy);
  }
  request.mutable_container()->set_redundancy(redundancy);
  request.mutable_container()->set_home_region(options.region);
  request.mutable_container()->set_versioning(VersioningOf(options.versioning));
  ASSIGN_OR_RETURN(const v1::Container container,
                   client->CreateContainer(request, context.call_options()));
  context.Print(
      "created " + container.name() + ", " + options.redundancy + " in " + container.home_region(),
      ToJson(container));
  return absl::OkStatus();
}

absl::Status Update(Context& context, const ContainerOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  v1::UpdateContainerRequest request;
  ASSIGN_OR_RETURN(*request.mutable_container()->mutable_name(),
                   context.ContainerName(options.name));
  request.mutable_container()->set_versioning(VersioningOf(options.versioning));
  request.mutable_update_mask()->add_paths("versioning");
  ASSIGN_OR_RETURN(const v1::Container container,
                   client->UpdateContainer(request, context.call_options()));
  context.Print("updated " + container.name(), ToJson(container));
  return absl::OkStatus();
}

absl::Status List(Context& context) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const std::string tenant, context.tenant());
  PageIterator<v1::Container> containers = client->ListContainers(tenant, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Container> container, containers.Next());
    if (!container) return absl::OkStatus();
    context.Print(ShortName(container->name()) + "\t" +
                      v1::Redundancy_Name(container->redundancy()) + "\t" +
                      container->home_region() +
                      (container->versioning() == v1::VERSIONING_ON ? "\tversioned" : "") +
                      (container->has_conversion() ? "\tconverting" : ""),
                  ToJson(*container));
  }
}

absl::Status Remove(Context& context, const std::string& name) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const std::string full, context.ContainerName(name));
  RETURN_IF_ERROR(client->DeleteContainer(full, context.call_options()));
  context.Print("deleted " + full, Json{{"deleted", full}});
  return absl::OkStatus();
}

}  // namespace

void AddContainerCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("container", "Containers")->require_subcommand(1);
  auto options = std::make_shared<ContainerOptions>();

  CLI::App* create = group->add_subcommand("create", "Make a container");
  create->add_option("NAME", options->name, "1-63 characters of [a-z0-9-]")->required();
  create->add_option("--redundancy", options->redundancy, "LRS: survives a node. ZRS: a zone")
      ->required()
      ->check(CLI::IsMember({"LRS", "ZRS", "GRS", "GZRS", "RA_GRS", "RA_GZRS"}));
  create->add_option("--region", options->region, "Default: the first that can hold it");
  create->add_option("--versioning", options->versioning, "on: keep older versions; default off")
      ->check(CLI::IsMember({"on", "off"}));
  create->callback([&context, options] {
    context.run = [&context, options] { return Create(context, *options); };
  });

  CLI::App* update = group->add_subcommand("update", "Change a container");
  update->add_option("NAME", options->name)->required();
  update->add_option("--versioning", options->versioning, "on or off")
      ->required()
      ->check(CLI::IsMember({"on", "off"}));
  update->callback([&context, options] {
    context.run = [&context, options] { return Update(context, *options); };
  });

  group->add_subcommand("ls", "List containers")->callback([&context] {
    context.run = [&context] { return List(context); };
  });

  AddConvertCommand(*group, context);

  CLI::App* remove = group->add_subcommand("rm", "Delete an empty container");
  remove->add_option("NAME", options->name)->required();
  remove->callback([&context, options] {
    context.run = [&context, options] { return Remove(context, options->name); };
  });
}

}  // namespace meridian::cli
