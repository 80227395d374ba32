#include "tests/bench/server_process.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/status.h"

namespace meridian::bench {
namespace {

// In the child: becomes the server, its stdout the pipe.
[[noreturn]] void BecomeServer(const std::vector<const char*>& arguments, int out, int log) {
  dup2(out, STDOUT_FILENO);
  dup2(log, STDERR_FILENO);
  execv(arguments.front(), const_cast<char* const*>(arguments.data()));
  _exit(127);
}

// Reads the server's first lines until it says that it serves; what follows is not read.
bool WaitUntilReady(FILE* out) {
  char line[4096];
  while (fgets(line, sizeof(line), out) != nullptr) {
    if (std::strncmp(line, "meridian ready ", 15) == 0) return true;
  }
  return false;
}

// What a log says at its end.
std::string LastOf(const std::string& path) {
  constexpr size_t kMaxBytes = 2000;
  std::ifstream file(path);
  const std::string log((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  return log.size() > kMaxBytes ? log.substr(log.size() - kMaxBytes) : log;
}

}  // namespace

absl::StatusOr<std::unique_ptr<ServerProcess>> ServerProcess::Start(
    const std::string& meridiand, const std::string& data, const std::vector<std::string>& flags) {
  std::filesystem::create_directories(data);
  const std::string log_path = data + "/server.log";
  const int log = open(log_path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  int ends[2];
  if (log < 0 || pipe2(ends, O_CLOEXEC) != 0) {
    return absl::UnknownError(log_path + ": " + std::strerror(errno));
  }
  const std::string server_data = data + "/data";
  std::vector<const char*> arguments = {meridiand.c_str(),   "dev",      "--data",
                                        server_data.c_str(), "--listen", "127.0.0.1:0"};
  for (const std::string& flag : flags) arguments.push_back(flag.c_str());
  arguments.push_back(nullptr);
  const pid_t pid = fork();
  if (pid == 0) BecomeServer(arguments, ends[1], log);
  close(ends[1]);
  close(log);
  if (pid < 0) {
    close(ends[0]);
    return absl::UnknownError(std::string("fork: ") + std::strerror(errno));
  }
  auto server = std::unique_ptr<ServerProcess>(
      new ServerProcess(pid, fdopen(ends[0], "r"), server_data + "/admin.profile"));
  const bool ready = WaitUntilReady(server->out_);
  if (!ready) return absl::UnavailableError(meridiand + " does not start: " + LastOf(log_path));
  return server;
}

ServerProcess::~ServerProcess() {
  kill(pid_, SIGTERM);
  waitpid(pid_, nullptr, 0);
  fclose(out_);
}

absl::StatusOr<absl::Duration> CpuTime(pid_t pid) {
  const std::string path = "/proc/" + std::to_string(pid) + "/stat";
  std::ifstream file(path);
  std::string stat;
  if (!std::getline(file, stat)) return absl::NotFoundError(path);
  // Fields are counted behind the name, which may hold anything: state is the 3rd, utime the 14th.
  std::istringstream fields(stat.substr(stat.rfind(')') + 2));
  std::string skipped;
  for (int i = 3; i < 14; ++i) fields >> skipped;
  uint64_t user_ticks = 0;
  uint64_t system_ticks = 0;
  if (!(fields >> user_ticks >> system_ticks)) return absl::InternalError("cannot read " + path);
  return absl::Seconds(1) * static_cast<int64_t>(user_ticks + system_ticks) / sysconf(_SC_CLK_TCK);
}

}  // namespace meridian::bench
