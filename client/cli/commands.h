// The commands of `meridian`, a file each group. Each function adds its commands to the parser; a
// chosen command sets Context::run. `context` must outlive `app`.
#pragma once

#include "client/cli/context.h"

namespace CLI {
class App;
}

namespace meridian::cli {

void AddTenantCommands(CLI::App& app, Context& context);
void AddKeyCommands(CLI::App& app, Context& context);
void AddContainerCommands(CLI::App& app, Context& context);
// `convert`, of the group "container".
void AddConvertCommand(CLI::App& group, Context& context);
// ls, stat, rm, restore.
void AddObjectCommands(CLI::App& app, Context& context);
void AddPutCommand(CLI::App& app, Context& context);
void AddGetCommand(CLI::App& app, Context& context);
void AddClusterCommands(CLI::App& app, Context& context);
void AddNodeCommands(CLI::App& app, Context& context);
void AddDiskCommands(CLI::App& app, Context& context);
void AddGroupCommands(CLI::App& app, Context& context);
void AddScrubCommands(CLI::App& app, Context& context);
void AddDevCommands(CLI::App& app, Context& context);
void AddCaCommands(CLI::App& app, Context& context);
void AddKeyringCommands(CLI::App& app, Context& context);

// The whole program.
int Main(int argc, const char* const* argv, std::ostream& out, std::ostream& err);

}  // namespace meridian::cli
