#include <CLI/CLI.hpp>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"

namespace meridian::cli {

namespace {

// CLI11's own prints the largest number there is.
CLI::Validator IsPositive() {
  return CLI::Validator(
      [](std::string& text) {
        double value = 0;
        return CLI::detail::lexical_cast(text, value) && value > 0
                   ? std::string()
                   : "must be a number above 0, not " + text;
      },
      "SECONDS");
}

}  // namespace

int Main(int argc, const char* const* argv, std::ostream& out, std::ostream& err) {
  Context context(out, err);
  CLI::App app("Meridian, the encrypted, zone-redundant object store.", "meridian");
  app.footer(kExitCodeHelp);
  app.require_subcommand(1);
  // Options of `meridian` itself may also stand behind the command.
  app.fallthrough();
  app.add_option("--profile", context.profile_path,
                 "Where the cluster is and who you are; default: $MERIDIAN_PROFILE");
  app.add_option("--tenant", context.tenant_option, "Act on this tenant; default: the profile's");
  app.add_flag("--json", context.json,
               "Machine-readable: one JSON object a line on stdout, errors as JSON on stderr");
  app.add_option("--timeout", context.timeout_seconds,
                 "Seconds until a call is given up, retries included; of transfers: seconds "
                 "without progress. Default 60")
      ->check(IsPositive());
  AddTenantCommands(app, context);
  AddKeyCommands(app, context);
  AddContainerCommands(app, context);
  AddPutCommand(app, context);
  AddGetCommand(app, context);
  AddObjectCommands(app, context);
  AddClusterCommands(app, context);
  AddNodeCommands(app, context);
  AddDiskCommands(app, context);
  AddGroupCommands(app, context);
  AddScrubCommands(app, context);
  AddDevCommands(app, context);
  AddCaCommands(app, context);
  AddKeyringCommands(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    // --help ends up here too, with success.
    if (context.json && error.get_exit_code() != 0) {
      err << ErrorJson(absl::InvalidArgumentError(error.what())) << "\n";
      return kUsage;
    }
    return app.exit(error, out, err) == 0 ? kOk : kUsage;
  }
  const absl::Status status = context.run();
  out.flush();
  if (status.ok()) return kOk;
  err << (context.json ? ErrorJson(status) : ErrorText(status)) << "\n";
  return ExitCodeOf(status);
}

}  // namespace meridian::cli
