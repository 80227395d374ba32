// deploy/local-cluster for tests: processes of meridiand and etcd on a folder.
#pragma once

#include <string>
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
// Runs a program of the test's runfiles, with the arguments, to its end.
ProgramResult RunProgram(const std::vector<std::string>& command);

// Not thread-safe. The destructor stops everything that runs.
class LocalCluster {
 public:
  // `folder` does not exist yet.
  explicit LocalCluster(std::string folder) : folder_(std::move(folder)) {}
  ~LocalCluster();
  LocalCluster(const LocalCluster&) = delete;

  // Commands of deploy/local-cluster; UNKNOWN with what it said if it fails.
  absl::Status Up(const std::vector<std::string>& options = {});
  absl::Status Kill(const std::string& name) { return Command({"kill", name}); }
  // UNKNOWN also if it did not end by itself.
  absl::Status Stop(const std::string& name);
  absl::Status Start(const std::string& name) { return Command({"start", name}); }

  absl::StatusOr<Profile> AdminProfile() const;
  // Of a node, as it was made.
  std::string ConfigFile(const std::string& node) const;
  std::string LogFile(const std::string& node) const;
  // Of the node's process, as `status` tells; empty if it does not run.
  std::string PidOf(const std::string& name) const;

 private:
  absl::Status Command(std::vector<std::string> arguments) const;

  const std::string folder_;
};

}  // namespace meridian
