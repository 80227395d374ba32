#include <CLI/CLI.hpp>
#include <filesystem>
#include <system_error>

#include "base/status.h"
#include "client/cli/commands.h"
#include "client/profile.h"

namespace meridian::cli {
namespace {

struct CreateOptions {
  std::string tenant;
  std::string display_name;
  std::string profile_out;
};

absl::Status Create(Context& context, const CreateOptions& options) {
  // Before a key is made; CreateProfile decides.
  if (std::error_code error;
      !options.profile_out.empty() && std::filesystem::exists(options.profile_out, error)) {
    return absl::AlreadyExistsError(options.profile_out +
                                    " exists: it may hold a secret that is kept nowhere else. "
                                    "Give another file, or remove it first");
  }
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  v1::CreateAccessKeyRequest request;
  request.set_parent(TenantName(options.tenant));
  request.mutable_access_key()->set_display_name(options.display_name);
  ASSIGN_OR_RETURN(const v1::CreateAccessKeyResponse created,
                   admin->CreateAccessKey(request, context.call_options()));
  Json json = ToJson(created.access_key());
  std::string text = "created " + created.access_key().name();
  if (options.profile_out.empty()) {
    json["secret"] = created.secret();
    text += "\nsecret: " + created.secret() + "\nIt is not shown again.";
  } else {
    ASSIGN_OR_RETURN(const Profile* own, context.profile());
    Profile profile = *own;
    profile.access_key = created.secret();
    profile.tenant = TenantName(options.tenant);
    if (absl::Status saved = CreateProfile(profile, options.profile_out); !saved.ok()) {
      // Nobody will ever know the secret: do not leave the key behind.
      absl::Status revoked =
          admin->RevokeAccessKey(created.access_key().name(), context.call_options()).status();
      return Annotate(saved, revoked.ok() ? "the new key was revoked again"
                                          : "the new key could not be revoked again");
    }
    json["profile"] = options.profile_out;
    text += "\nprofile: " + options.profile_out;
  }
  context.Print(text, json);
  return absl::OkStatus();
}

absl::Status List(Context& context, const std::string& tenant) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  PageIterator<v1::AccessKey> keys =
      admin->ListAccessKeys(TenantName(tenant), context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::AccessKey> key, keys.Next());
    if (!key) return absl::OkStatus();
    context.Print(
        key->name() + "\t" + FormatTime(key->create_time()) + "\t" + Printable(key->display_name()),
        ToJson(*key));
  }
}

absl::Status Revoke(Context& context, const std::string& name) {
  ASSIGN_OR_RETURN(Admin * admin, context.admin());
  std::string full = name;
  if (!name.starts_with("tenants/")) {
    ASSIGN_OR_RETURN(const std::string tenant, context.tenant());
    full = tenant + "/accessKeys/" + name;
  }
  ASSIGN_OR_RETURN(const v1::AccessKey key, admin->RevokeAccessKey(full, context.call_options()));
  context.Print("revoked " + full + ", refused everywhere within 5 seconds", ToJson(key));
  return absl::OkStatus();
}

}  // namespace

void AddKeyCommands(CLI::App& app, Context& context) {
  CLI::App* group = app.add_subcommand("key", "A tenant's access keys")->require_subcommand(1);
  auto options = std::make_shared<CreateOptions>();
  auto name = std::make_shared<std::string>();

  CLI::App* create = group->add_subcommand("create", "Make a key; its secret is shown only now");
  create->add_option("TENANT", options->tenant)->required();
  create->add_option("--display-name", options->display_name, "Free text");
  create->add_option("--profile-out", options->profile_out,
                     "Write a profile with the key to this new file instead of showing the secret");
  create->callback([&context, options] {
    context.run = [&context, options] { return Create(context, *options); };
  });

  CLI::App* list = group->add_subcommand("ls", "List a tenant's keys");
  list->add_option("TENANT", *name)->required();
  list->callback(
      [&context, name] { context.run = [&context, name] { return List(context, *name); }; });

  CLI::App* revoke = group->add_subcommand("revoke", "Revoke a key");
  revoke->add_option("KEY", *name, "tenants/TENANT/accessKeys/KEY, or KEY with --tenant")
      ->required();
  revoke->callback(
      [&context, name] { context.run = [&context, name] { return Revoke(context, *name); }; });
}

}  // namespace meridian::cli
