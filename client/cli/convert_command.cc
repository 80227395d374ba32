// `meridian container convert`: a container's redundancy is changed, live.
#include <CLI/CLI.hpp>
#include <cmath>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

constexpr absl::Duration kPollInterval = absl::Milliseconds(500);

struct ConvertOptions {
  std::string name;
  // At most one of the next four; none: only tells how it is.
  std::string redundancy;
  bool pause = false;
  bool resume = false;
  bool cancel = false;
  bool wait = false;
};

absl::StatusOr<v1::Container> Ask(Client& client, const std::string& name,
                                  const ConvertOptions& options, const CallOptions& call) {
  if (options.pause) return client.PauseConversion(name, call);
  if (options.resume) return client.ResumeConversion(name, call);
  if (options.cancel) return client.CancelConversion(name, call);
  if (options.redundancy.empty()) return client.GetContainer(name, call);
  v1::Redundancy redundancy;
  if (!v1::Redundancy_Parse(options.redundancy, &redundancy)) {
    return absl::InvalidArgumentError("unknown redundancy policy " + options.redundancy);
  }
  return client.ConvertContainer(name, redundancy, call);
}

// Shows how it goes on until it has ended.
absl::StatusOr<v1::Container> Follow(Context& context, Client& client, v1::Container container) {
  std::string shown;
  while (container.has_conversion()) {
    const std::string line = ConversionText(container);
    if (!context.json && line != shown) context.err() << line << "\n" << std::flush;
    shown = line;
    absl::SleepFor(kPollInterval);
    ASSIGN_OR_RETURN(container, client.GetContainer(container.name(), context.call_options()));
  }
  return container;
}

absl::Status Convert(Context& context, const ConvertOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const std::string name, context.ContainerName(options.name));
  ASSIGN_OR_RETURN(v1::Container container, Ask(*client, name, options, context.call_options()));
  if (options.wait) {
    ASSIGN_OR_RETURN(container, Follow(context, *client, std::move(container)));
  }
  context.Print(ConversionText(container), ToJson(container));
  const std::string& redundancy = v1::Redundancy_Name(container.redundancy());
  if (options.wait && !options.redundancy.empty() && redundancy != options.redundancy) {
    return absl::FailedPreconditionError(
        absl::StrCat("the conversion was cancelled: ", name, " has ", redundancy));
  }
  return absl::OkStatus();
}

}  // namespace

void AddConvertCommand(CLI::App& group, Context& context) {
  auto options = std::make_shared<ConvertOptions>();
  CLI::App* convert = group.add_subcommand(
      "convert",
      "Change a container's redundancy while it is read and written; without an option: how far a "
      "conversion is");
  convert->add_option("NAME", options->name)->required();
  CLI::Option_group* what = convert->add_option_group("what");
  what->add_option("--redundancy", options->redundancy, "What it is to have; returns at once")
      ->check(CLI::IsMember({"LRS", "ZRS", "GRS", "GZRS", "RA_GRS", "RA_GZRS"}));
  what->add_flag("--pause", options->pause, "Begin no further partition");
  what->add_flag("--resume", options->resume, "Go on, also after --cancel");
  what->add_flag("--cancel", options->cancel, "Go back to what the container has had");
  what->require_option(0, 1);
  convert->add_flag("--wait", options->wait, "Until it has ended, with progress");
  convert->callback([&context, options] {
    context.run = [&context, options] { return Convert(context, *options); };
  });
}

}  // namespace meridian::cli
