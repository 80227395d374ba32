#include "tests/integration/local_cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace meridian {
namespace {

constexpr char kScript[] = "deploy/local-cluster";

[[noreturn]] void Become(const std::vector<std::string>& command, const std::string& preload,
                         int output) {
  dup2(output, STDOUT_FILENO);
  dup2(output, STDERR_FILENO);
  setenv("MERIDIAND", std::filesystem::absolute("server/meridiand").c_str(), 1);
  setenv("MERIDIAN", std::filesystem::absolute("client/cli/meridian").c_str(), 1);
  if (!preload.empty()) setenv("LD_PRELOAD", preload.c_str(), 1);
  std::vector<char*> argv;
  for (const std::string& argument : command) argv.push_back(const_cast<char*>(argument.c_str()));
  argv.push_back(nullptr);
  execv(argv[0], argv.data());
  _exit(127);
}

}  // namespace

ProgramResult RunProgram(const std::vector<std::string>& command, const std::string& preload) {
  int output[2];
  if (pipe2(output, O_CLOEXEC) != 0) return {127, "no pipe"};
  const pid_t pid = fork();
  if (pid == 0) Become(command, preload, output[1]);
  close(output[1]);
  ProgramResult result;
  char block[4096];
  for (ssize_t n = 0; (n = read(output[0], block, sizeof(block))) > 0;) {
    result.output.append(block, static_cast<size_t>(n));
  }
  close(output[0]);
  int status = 0;
  waitpid(pid, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

LocalCluster::~LocalCluster() {
  // Fails if it was never up.
  (void)Command("down");
}

absl::Status LocalCluster::Stop(const std::string& name) {
  const ProgramResult result = RunProgram({kScript, "stop", name, "--folder", folder_});
  if (result.exit_code == 0 && result.output.empty()) return absl::OkStatus();
  return absl::UnknownError(result.output);
}

absl::StatusOr<Profile> LocalCluster::AdminProfile() const {
  return LoadProfile(folder_ + "/admin.profile");
}

absl::Status LocalCluster::SetProgram(const std::string& node, const std::string& program) const {
  // An argument a line.
  const std::string path = absl::StrCat(folder_, "/", node, "/command");
  std::ofstream(path) << std::filesystem::absolute(program).string() << "\n--config\n"
                      << ConfigFile(node) << "\n";
  return std::filesystem::exists(program) ? absl::OkStatus() : absl::NotFoundError(program);
}

std::string LocalCluster::ConfigFile(const std::string& node) const {
  return absl::StrCat(folder_, "/", node, "/node.textproto");
}

std::string LocalCluster::LogFile(const std::string& node) const {
  return absl::StrCat(folder_, "/", node, "/log");
}

std::string LocalCluster::DataFolder(const std::string& node, int disk) const {
  return absl::StrCat(folder_, "/", node, "/disk", disk);
}

std::string LocalCluster::PidOf(const std::string& name) const {
  const ProgramResult status = RunProgram({kScript, "status", "--folder", folder_});
  std::istringstream lines(status.output);
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string node, state, pid;
    if (words >> node >> state >> pid && node == name && state == "up") return pid;
  }
  return {};
}

absl::Status LocalCluster::Suspend(const std::string& name) const { return Signal(name, SIGSTOP); }

absl::Status LocalCluster::Resume(const std::string& name) const { return Signal(name, SIGCONT); }

absl::Status LocalCluster::Signal(const std::string& name, int signal) const {
  pid_t pid = 0;
  if (!absl::SimpleAtoi(PidOf(name), &pid)) return absl::NotFoundError(name + " does not run");
  if (kill(pid, signal) == 0) return absl::OkStatus();
  return absl::ErrnoToStatus(errno, name);
}

absl::Status LocalCluster::Command(const std::string& command,
                                   const std::vector<std::string>& arguments) const {
  std::vector<std::string> words = {kScript, command};
  words.insert(words.end(), arguments.begin(), arguments.end());
  words.insert(words.end(), {"--folder", folder_});
  const ProgramResult result = RunProgram(words, preload_);
  if (result.exit_code == 0) return absl::OkStatus();
  return absl::UnknownError(absl::StrCat(absl::StrJoin(words, " "), " failed: ", result.output));
}

}  // namespace meridian
