// The meridiand binary as a process of its own: for tests that look at its files and its memory.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "client/client.h"
#include "client/profile.h"

namespace meridian {

// `meridiand dev`. Not thread-safe. The destructor kills it.
class ServerProcess {
 public:
  struct Options {
    // Of the binary; a test's runfiles have it at this path.
    std::string binary = "server/meridiand";
    std::string data_folder;
    // Empty: the default topology, or that of the folder.
    std::string topology_file;
    // Its standard output and standard error, appended to.
    std::string log_file;
    // More of its command line.
    std::vector<std::string> arguments;
    // A shared library that is loaded before all others; empty: none.
    std::string preload;
  };

  // Returns when it serves. UNAVAILABLE with the end of its log if it ends before that.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(const Options& options);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;

  absl::StatusOr<Profile> AdminProfile() const;
  // Asks it to end.
  void Terminate();
  // The same, and waits. An error unless it exits with 0.
  absl::Status Stop();
  // kill -9.
  void Kill();
  // Its largest resident set so far.
  absl::StatusOr<uint64_t> PeakMemoryBytes() const;

 private:
  ServerProcess(pid_t pid, std::string data_folder)
      : pid_(pid), data_folder_(std::move(data_folder)) {}

  pid_t pid_;  // 0: has ended
  const std::string data_folder_;
};

// Makes `tenant`, an access key of it, and a container of it (unless empty); the tenant's profile.
absl::StatusOr<Profile> MakeTenantWithContainer(const Profile& administrator,
                                                const std::string& tenant,
                                                const std::string& container,
                                                v1::Redundancy redundancy);

// Makes the tenant "titled" with an access key: what people call things, beside their names.
absl::Status MakeTitledTenant(const Profile& administrator, const std::string& tenant_title,
                              const std::string& key_title);

}  // namespace meridian
