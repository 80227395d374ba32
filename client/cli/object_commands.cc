#include <CLI/CLI.hpp>

#include "absl/strings/str_format.h"
#include "base/status.h"
#include "client/cli/commands.h"

namespace meridian::cli {
namespace {

struct ObjectOptions {
  std::string address;
  std::string version;
  bool recursive = false;
  bool versions = false;
};

absl::StatusOr<Address> ParseObject(Context& context, const std::string& text) {
  ASSIGN_OR_RETURN(Address address, context.ParseAddress(text));
  if (address.name.empty()) {
    return absl::InvalidArgumentError("which object? Give CONTAINER/NAME, not " + text);
  }
  return address;
}

std::string ListLine(const v1::Object& object) {
  return absl::StrFormat("%12d  %s  %s", object.size_bytes(), FormatTime(object.create_time()),
                         Printable(object.name()));
}

absl::Status ListObjects(Context& context, const ObjectOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const Address address, context.ParseAddress(options.address));
  v1::ListObjectsRequest request;
  request.set_container(address.container);
  request.set_prefix(address.name);
  if (!options.recursive) request.set_delimiter("/");
  PageIterator<ObjectEntry> entries = client->ListObjects(request, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<ObjectEntry> entry, entries.Next());
    if (!entry) return absl::OkStatus();
    if (entry->object) {
      context.Print(ListLine(*entry->object), ToJson(*entry->object));
    } else {
      context.Print(absl::StrFormat("%12s  %20s  %s", "-", "", Printable(entry->name)),
                    Json{{"prefix", entry->name}});
    }
  }
}

absl::Status ListVersions(Context& context, const ObjectOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const Address address, context.ParseAddress(options.address));
  v1::ListObjectVersionsRequest request;
  request.set_container(address.container);
  request.set_prefix(address.name);
  PageIterator<v1::Object> versions = client->ListObjectVersions(request, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<v1::Object> version, versions.Next());
    if (!version) return absl::OkStatus();
    context.Print(version->version_id() + (version->latest() ? " * " : "   ") + ListLine(*version) +
                      (version->delete_marker() ? " (deleted)" : ""),
                  ToJson(*version));
  }
}

absl::Status Stat(Context& context, const ObjectOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const Address address, ParseObject(context, options.address));
  v1::GetObjectRequest request;
  request.set_container(address.container);
  request.set_name(address.name);
  request.set_version_id(options.version);
  ASSIGN_OR_RETURN(const v1::Object object, client->GetObject(request, context.call_options()));
  std::string text = "name      " + Printable(object.name()) +
                     absl::StrFormat("\nsize      %d", object.size_bytes()) + "\ncrc32c    " +
                     HexCrc32c(object.crc32c()) + "\nversion   " + object.version_id() +
                     "\netag      " + Printable(object.etag()) + "\ncreated   " +
                     FormatTime(object.create_time()) + "\ntype      " +
                     Printable(object.content_type());
  for (const auto& [key, value] : object.metadata()) {
    text += "\nmetadata  " + Printable(key) + "=" + Printable(value);
  }
  context.Print(text, ToJson(object));
  return absl::OkStatus();
}

absl::Status RemoveOne(Context& context, Client& client, const Address& address,
                       const std::string& version) {
  v1::DeleteObjectRequest request;
  request.set_container(address.container);
  request.set_name(address.name);
  request.set_version_id(version);
  ASSIGN_OR_RETURN(const v1::DeleteObjectResponse response,
                   client.DeleteObject(request, context.call_options()));
  Json json{{"deleted", address.name}};
  if (!version.empty()) json["version_id"] = version;
  if (!response.delete_marker_version_id().empty()) {
    json["delete_marker_version_id"] = response.delete_marker_version_id();
  }
  context.Print("deleted " + Printable(address.name), json);
  return absl::OkStatus();
}

absl::Status RemoveAll(Context& context, Client& client, const Address& prefix) {
  v1::ListObjectsRequest request;
  request.set_container(prefix.container);
  request.set_prefix(prefix.name);
  PageIterator<ObjectEntry> entries = client.ListObjects(request, context.call_options());
  for (;;) {
    ASSIGN_OR_RETURN(const std::optional<ObjectEntry> entry, entries.Next());
    if (!entry) return absl::OkStatus();
    absl::Status status = RemoveOne(context, client, {prefix.container, entry->name}, "");
    // Someone else was faster: it is gone, as wanted.
    if (!status.ok() && status.code() != absl::StatusCode::kNotFound) return status;
  }
}

absl::Status Remove(Context& context, const ObjectOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  if (options.recursive) {
    ASSIGN_OR_RETURN(const Address prefix, context.ParseAddress(options.address));
    return RemoveAll(context, *client, prefix);
  }
  ASSIGN_OR_RETURN(const Address address, ParseObject(context, options.address));
  return RemoveOne(context, *client, address, options.version);
}

absl::Status Restore(Context& context, const ObjectOptions& options) {
  ASSIGN_OR_RETURN(Client * client, context.client());
  ASSIGN_OR_RETURN(const Address address, ParseObject(context, options.address));
  v1::RestoreObjectVersionRequest request;
  request.set_container(address.container);
  request.set_name(address.name);
  request.set_version_id(options.version);
  ASSIGN_OR_RETURN(const v1::Object object,
                   client->RestoreObjectVersion(request, context.call_options()));
  context.Print("restored " + Printable(object.name()) + " as version " + object.version_id(),
                ToJson(object));
  return absl::OkStatus();
}

}  // namespace

void AddObjectCommands(CLI::App& app, Context& context) {
  auto options = std::make_shared<ObjectOptions>();

  CLI::App* list = app.add_subcommand("ls", "List objects: size, time, name");
  list->add_option("CONTAINER[/PREFIX]", options->address)->required();
  list->add_flag("-r,--recursive", options->recursive, "All names, not grouped at '/'");
  list->add_flag("--versions", options->versions, "All versions and delete markers");
  list->callback([&context, options] {
    context.run = [&context, options] {
      return options->versions ? ListVersions(context, *options) : ListObjects(context, *options);
    };
  });

  CLI::App* stat = app.add_subcommand("stat", "Show an object's metadata");
  stat->add_option("CONTAINER/NAME", options->address)->required();
  stat->add_option("--version", options->version, "This version instead of the current one");
  stat->callback([&context, options] {
    context.run = [&context, options] { return Stat(context, *options); };
  });

  CLI::App* remove = app.add_subcommand("rm", "Delete an object, a version, or a prefix");
  remove->add_option("CONTAINER/NAME", options->address)->required();
  CLI::Option* version =
      remove->add_option("--version", options->version, "Delete this version for good");
  remove->add_flag("-r,--recursive", options->recursive, "Everything that begins with NAME")
      ->excludes(version);
  remove->callback([&context, options] {
    context.run = [&context, options] { return Remove(context, *options); };
  });

  CLI::App* restore = app.add_subcommand("restore", "Make an older version current again");
  restore->add_option("CONTAINER/NAME", options->address)->required();
  restore->add_option("--version", options->version, "Which one; see ls --versions")->required();
  restore->callback([&context, options] {
    context.run = [&context, options] { return Restore(context, *options); };
  });
}

}  // namespace meridian::cli
