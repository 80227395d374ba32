// deploy/local-cluster for tests: processes of meridiand and etcd on a folder.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/profile.h"

namespace meridian {

// What a program printed, on both outputs, and its exit code.
struct ProgramResult {
  int exit_code = 0;
  std::string output;
};
// Runs a program of the test's runfiles, with the arguments, to its end. `preload`: a shared
// library that it and all that it starts load before others.
ProgramResult RunProgram(const std::vector<std::string>& command, const std::string& preload = "");

// Not thread-safe. The destructor stops everything that runs.
class LocalCluster {
 public:
  // `folder` does not exist yet.
  explicit LocalCluster(std::string folder) : folder_(std::move(folder)) {}
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;

  // See RunProgram: of all that is started from then on.
  void set_preload(std::string library) { preload_ = std::move(library); }

  // Commands of deploy/local-cluster; UNKNOWN with what it said if it fails.
  absl::Status Up(const std::vector<std::string>& options = {}) { return Command("up", options); }
  absl::Status Down() { return Command("down"); }
  absl::Status Add(const std::string& node, int disks) {
    return Command("add", {node, "--disks", std::to_string(disks)});
  }
  absl::Status Kill(const std::string& name) { return Kill(std::vector{name}); }
  // All of them at once.
  absl::Status Kill(const std::vector<std::string>& names) { return Command("kill", names); }
  // UNKNOWN also if it did not end by itself.
  absl::Status Stop(const std::string& name);
  absl::Status Start(const std::string& name) { return Start(std::vector{name}); }
  absl::Status Start(const std::vector<std::string>& names) { return Command("start", names); }
  // SIGSTOP and SIGCONT: its connections stay, and nothing answers. NOT_FOUND if it does not run.
  absl::Status Suspend(const std::string& name) const;
  absl::Status Resume(const std::string& name) const;

  absl::StatusOr<Profile> AdminProfile() const;
  // What the node is from its next start on: of the test's runfiles.
  absl::Status SetProgram(const std::string& node, const std::string& program) const;
  // Of a node, as it was made.
  std::string ConfigFile(const std::string& node) const;
  std::string LogFile(const std::string& node) const;
  // The `disk`-th of a node's, from 1 on.
  std::string DataFolder(const std::string& node, int disk) const;
  const std::string& folder() const { return folder_; }
  // Of the node's process, as `status` tells; empty if it does not run.
  std::string PidOf(const std::string& name) const;

 private:
  absl::Status Command(const std::string& command,
                       const std::vector<std::string>& arguments = {}) const;
  absl::Status Signal(const std::string& name, int signal) const;

  const std::string folder_;
  std::string preload_;
};

}  // namespace meridian
