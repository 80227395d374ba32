#include "client/profile.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "base/status.h"

namespace meridian {
namespace {

using Json = nlohmann::json;

absl::Status Invalid(const std::string& what) {
  return absl::InvalidArgumentError("not a Meridian profile: " + what);
}

absl::Status ReadString(const Json& object, const char* field, std::string& out) {
  auto it = object.find(field);
  if (it == object.end()) return absl::OkStatus();
  if (!it->is_string()) return Invalid(std::string("\"") + field + "\" is not a string");
  out = it->get<std::string>();
  return absl::OkStatus();
}

absl::Status ReadEndpoints(const Json& object, std::vector<std::string>& out) {
  std::string single;
  RETURN_IF_ERROR(ReadString(object, "endpoint", single));
  if (!single.empty()) out.push_back(std::move(single));
  auto it = object.find("endpoints");
  if (it != object.end()) {
    if (!it->is_array()) return Invalid("\"endpoints\" is not a list");
    for (const Json& endpoint : *it) {
      if (!endpoint.is_string()) return Invalid("\"endpoints\" holds something not a string");
      out.push_back(endpoint.get<std::string>());
    }
  }
  if (out.empty()) return Invalid("\"endpoint\" is missing");
  return absl::OkStatus();
}

absl::Status ErrnoError(const std::string& what, int error) {
  std::string message = what + ": " + std::strerror(error);
  if (error == ENOENT) return absl::NotFoundError(message);
  if (error == EACCES || error == EPERM) return absl::PermissionDeniedError(message);
  return absl::UnknownError(message);
}

absl::Status WriteWhole(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    ssize_t written = write(fd, bytes.data(), bytes.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return ErrnoError("write", errno);
    bytes.remove_prefix(static_cast<size_t>(written));
  }
  if (fsync(fd) != 0) return ErrnoError("fsync", errno);
  return absl::OkStatus();
}

// Makes a name in the folder durable.
absl::Status SyncFolderOf(const std::string& path) {
  const std::string folder = std::filesystem::path(path).parent_path().string();
  const int fd = open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (fd < 0) return ErrnoError("profile " + path, errno);
  absl::Status status;
  if (fsync(fd) != 0) status = ErrnoError("profile " + path, errno);
  close(fd);
  return status;
}

// Gives the name of the file, which nobody had before.
absl::StatusOr<std::string> WriteBeside(const Profile& profile, const std::string& path) {
  std::string temporary = path + ".XXXXXX";
  const int fd = mkostemp(temporary.data(), O_CLOEXEC);  // 0600
  if (fd < 0) return ErrnoError("profile " + path, errno);
  absl::Status status = WriteWhole(fd, FormatProfile(profile));
  if (close(fd) != 0 && status.ok()) status = ErrnoError("close", errno);
  if (status.ok()) return temporary;
  unlink(temporary.c_str());
  return Annotate(status, "profile " + path);
}

}  // namespace

absl::StatusOr<Profile> ParseProfile(std::string_view json) {
  const Json object = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object()) return Invalid("not a JSON object");
  Profile profile;
  RETURN_IF_ERROR(ReadEndpoints(object, profile.endpoints));
  RETURN_IF_ERROR(ReadString(object, "ca_pem", profile.ca_pem));
  RETURN_IF_ERROR(ReadString(object, "access_key", profile.access_key));
  RETURN_IF_ERROR(ReadString(object, "tenant", profile.tenant));
  RETURN_IF_ERROR(ReadString(object, "server_name", profile.server_name));
  if (profile.ca_pem.empty()) return Invalid("\"ca_pem\" is missing");
  if (profile.access_key.empty()) return Invalid("\"access_key\" is missing");
  return profile;
}

std::string FormatProfile(const Profile& profile) {
  nlohmann::ordered_json object;
  if (profile.endpoints.size() == 1) {
    object["endpoint"] = profile.endpoints.front();
  } else {
    object["endpoints"] = profile.endpoints;
  }
  object["ca_pem"] = profile.ca_pem;
  object["access_key"] = profile.access_key;
  if (!profile.tenant.empty()) object["tenant"] = profile.tenant;
  if (!profile.server_name.empty()) object["server_name"] = profile.server_name;
  return object.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

absl::StatusOr<Profile> LoadProfile(const std::string& path) {
  errno = 0;
  std::ifstream file(path, std::ios::binary);
  if (!file) return ErrnoError("profile " + path, errno);
  const std::string json((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  if (file.bad()) return ErrnoError("profile " + path, EIO);
  absl::StatusOr<Profile> profile = ParseProfile(json);
  if (!profile.ok()) return Annotate(profile.status(), path);
  return profile;
}

absl::Status SaveProfile(const Profile& profile, const std::string& path) {
  const absl::StatusOr<std::string> temporary = WriteBeside(profile, path);
  RETURN_IF_ERROR(temporary.status());
  if (rename(temporary->c_str(), path.c_str()) == 0) return SyncFolderOf(path);
  const absl::Status failed = ErrnoError("profile " + path, errno);
  unlink(temporary->c_str());
  return failed;
}

absl::Status CreateProfile(const Profile& profile, const std::string& path) {
  const absl::StatusOr<std::string> temporary = WriteBeside(profile, path);
  RETURN_IF_ERROR(temporary.status());
  // Unlike rename, it replaces nothing.
  absl::Status linked;
  if (link(temporary->c_str(), path.c_str()) != 0) {
    linked = errno == EEXIST ? absl::AlreadyExistsError("profile " + path + " exists")
                             : ErrnoError("profile " + path, errno);
  }
  unlink(temporary->c_str());
  RETURN_IF_ERROR(linked);
  return SyncFolderOf(path);
}

}  // namespace meridian
