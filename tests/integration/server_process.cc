#include "tests/integration/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/admin.h"

namespace meridian {
namespace {

constexpr absl::Duration kStartTimeout = absl::Minutes(2);
constexpr absl::Duration kPollInterval = absl::Milliseconds(20);

[[noreturn]] void Become(const ServerProcess::Options& options, int log) {
  dup2(log, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  if (!options.preload.empty()) setenv("LD_PRELOAD", options.preload.c_str(), 1);
  std::vector<std::string> command = {options.binary,      "dev",      "--data",
                                      options.data_folder, "--listen", "127.0.0.1:0"};
  if (!options.topology_file.empty()) {
    command.insert(command.end(), {"--topology", options.topology_file});
  }
  command.insert(command.end(), options.arguments.begin(), options.arguments.end());
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  execv(arguments[0], arguments.data());
  _exit(127);
}

// What was appended to a file from `offset` on.
std::string ReadFrom(const std::string& path, uint64_t offset) {
  std::ifstream file(path);
  file.seekg(static_cast<std::streamoff>(offset));
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(const Options& options) {
  const int log = open(options.log_file.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (log < 0) {
    return absl::UnknownError(absl::StrCat(options.log_file, ": ", std::strerror(errno)));
  }
  const uint64_t log_before = std::filesystem::file_size(options.log_file);
  const pid_t pid = fork();
  if (pid == 0) Become(options, log);
  close(log);
  if (pid < 0) return absl::UnknownError(absl::StrCat("fork: ", std::strerror(errno)));
  std::unique_ptr<ServerProcess> server(new ServerProcess(pid, options.data_folder));
  const absl::Time end = absl::Now() + kStartTimeout;
  while (absl::Now() < end) {
    const std::string said = ReadFrom(options.log_file, log_before);
    if (said.find("meridian ready ") != std::string::npos) return server;
    if (waitpid(pid, nullptr, WNOHANG) == pid) {
      server->pid_ = 0;
      return absl::UnavailableError(absl::StrCat("meridiand ended: ", said));
    }
    absl::SleepFor(kPollInterval);
  }
  return absl::UnavailableError("meridiand does not start");
}

ServerProcess::~ServerProcess() { Kill(); }

void ServerProcess::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

absl::StatusOr<Profile> ServerProcess::AdminProfile() const {
  return LoadProfile(data_folder_ + "/admin.profile");
}

void ServerProcess::Terminate() { kill(pid_, SIGTERM); }

absl::Status ServerProcess::Stop() {
  Terminate();
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return absl::OkStatus();
  return absl::InternalError(absl::StrCat("meridiand ended with wait status ", status));
}

absl::StatusOr<uint64_t> ServerProcess::PeakMemoryBytes() const {
  const std::string path = absl::StrCat("/proc/", pid_, "/status");
  std::ifstream file(path);
  for (std::string word; file >> word;) {
    uint64_t kib = 0;
    if (word == "VmHWM:" && file >> kib) return kib * 1024;
  }
  return absl::NotFoundError(path);
}

absl::StatusOr<Profile> MakeTenantWithContainer(const Profile& administrator,
                                                const std::string& tenant,
                                                const std::string& container,
                                                v1::Redundancy redundancy) {
  Admin admin(administrator);
  v1::CreateTenantRequest new_tenant;
  new_tenant.set_tenant_id(tenant);
  RETURN_IF_ERROR(admin.CreateTenant(new_tenant).status());
  v1::CreateAccessKeyRequest new_key;
  new_key.set_parent("tenants/" + tenant);
  ASSIGN_OR_RETURN(const v1::CreateAccessKeyResponse key, admin.CreateAccessKey(new_key));
  Profile profile = administrator;
  profile.access_key = key.secret();
  profile.tenant = "tenants/" + tenant;
  if (container.empty()) return profile;
  v1::CreateContainerRequest new_container;
  new_container.set_parent(profile.tenant);
  new_container.set_container_id(container);
  new_container.mutable_container()->set_redundancy(redundancy);
  RETURN_IF_ERROR(Client(profile).CreateContainer(new_container).status());
  return profile;
}

absl::Status MakeTitledTenant(const Profile& administrator, const std::string& tenant_title,
                              const std::string& key_title) {
  Admin admin(administrator);
  v1::CreateTenantRequest tenant;
  tenant.set_tenant_id("titled");
  tenant.mutable_tenant()->set_display_name(tenant_title);
  RETURN_IF_ERROR(admin.CreateTenant(tenant).status());
  v1::CreateAccessKeyRequest key;
  key.set_parent("tenants/titled");
  key.mutable_access_key()->set_display_name(key_title);
  return admin.CreateAccessKey(key).status();
}

}  // namespace meridian
