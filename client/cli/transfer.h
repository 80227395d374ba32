// What put and get share.
#pragma once

#include "absl/status/status.h"
#include "client/cli/context.h"
#include "client/cli/progress.h"

namespace meridian::cli {

struct TransferOptions {
  std::string source;
  std::string target;
  std::string content_type;
  // KEY=VALUE each.
  std::vector<std::string> metadata;
  std::string version;
  bool recursive = false;
  int jobs = 8;
};

// Whether going on with other files makes no sense: the key or the container is the problem.
bool ConcernsAllFiles(const absl::Status& status);

// Ends the progress, prints the summary line, returns the result.
absl::Status Conclude(Context& context, Progress& progress, const std::string& verb);

}  // namespace meridian::cli
