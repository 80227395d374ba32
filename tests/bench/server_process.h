// The server under test: its process, and the processor time that it takes.
#pragma once

#include <sys/types.h>

#include <cstdio>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace meridian::bench {

// A `meridiand dev` of our own. The destructor stops it and waits.
class ServerProcess {
 public:
  // Returns when it serves. Its output goes to DATA/server.log, and it keeps its data in DATA/data.
  static absl::StatusOr<std::unique_ptr<ServerProcess>> Start(
      const std::string& meridiand, const std::string& data,
      const std::vector<std::string>& flags = {});
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;

  pid_t pid() const { return pid_; }
  // The administrator's.
  const std::string& profile_path() const { return profile_path_; }

 private:
  ServerProcess(pid_t pid, FILE* out, std::string profile_path)
      : pid_(pid), out_(out), profile_path_(std::move(profile_path)) {}

  const pid_t pid_;
  // Its stdout: kept open, or a later line would kill it.
  FILE* const out_;
  const std::string profile_path_;
};

// User and system time of a process so far.
absl::StatusOr<absl::Duration> CpuTime(pid_t pid);

}  // namespace meridian::bench
