#include <CLI/CLI.hpp>

#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

absl::Status Create(Context& context, const std::string& name, const std::string& display_name) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  v1::CreateTenantRequest request;
  request.set_tenant_id(name);
  request.mutable_tenant()->set_display_name(display_name);
  ASSIGN_OR_RETURN(const v1::Tenant tenant, admin->CreateTenant(request, context.call_options()));
  context.Print("created " + tenant.name(), ToJson(tenant));
  return absl::OkStatus();
}

absl::Status List(Context& context) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  PageIterator<v1::Tenant> tenants = admin->ListTenants(context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Tenant> tenant, tenants.Next());
    if (!tenant) return absl::OkStatus();
    std::string text = ShortName(tenant->name());
    if (!tenant->display_name().empty()) text += "\t" + Printable(tenant->display_name());
    context.Print(text, ToJson(*tenant));
  }
}

absl::Status Remove(Context& context, const std::string& name) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  RETURN_IF_ERROR(admin->DeleteTenant(TenantName(name), context.call_options()));
  context.Print("deleted " + TenantName(name), Json{{"deleted", TenantName(name)}});
  return absl::OkStatus();
}

}  // namespace

void AddTenantCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("tenant", "Tenants (administrator)")->require_subcommand(1);
  auto name = std::make_shared<std::string>();
  auto display_name = std::make_shared<std::string>();

  CLI::App* create = group->add_subcommand("create", "Make a tenant");
  create->add_option("NAME", *name, "1-63 characters of [a-z0-9-]")->required();
  create->add_option("--display-name", *display_name, "Free text");
  create->callback([&context, name, display_name] {
    context.run = [&context, name, display_name] { return Create(context, *name, *display_name); };
  });

  group->add_subcommand("ls", "List tenants")->callback([&context] {
    context.run = [&context] { return List(context); };
  });

  CLI::App* remove = group->add_subcommand("rm", "Delete a tenant that has no containers");
  remove->add_option("NAME", *name)->required();
  remove->callback(
      [&context, name] { context.run = [&context, name] { return Remove(context, *name); }; });
}

}  // namespace meridian::cli
