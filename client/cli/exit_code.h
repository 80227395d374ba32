// What a failure means to whoever called `meridian`.
#pragma once

#include <string>

#include "absl/status/status.h"

namespace meridian::cli {

// The command's exit codes, for scripts; never renumber. `meridian --help` lists them.
enum ExitCode {
  kOk = 0,
  // Any failure without a code of its own.
  kFailure = 1,
  // The command line is wrong.
  kUsage = 2,
  // The tenant, container, object, local file ... does not exist.
  kNotFound = 3,
  // The access key is not valid, or not of the kind that may do this.
  kNotAllowed = 4,
  // It exists already, is not empty, or a condition was not met.
  kConflict = 5,
  // The cluster cannot do it now: try again later.
  kUnavailable = 6,
};

inline constexpr char kExitCodeHelp[] =
    "Exit codes: 0 done, 1 failed, 2 wrong command line, 3 not found, 4 not allowed, 5 exists "
    "already, "
    "not empty or a condition not met, 6 unavailable, try again later.";

ExitCode ExitCodeOf(const absl::Status& status);

// What the user can do about it; empty if the message says it all.
std::string HintFor(const absl::Status& status);

// For people: the message, on the next line the hint, and, if the user cannot mend it, on another
// the request id to be quoted. No control characters.
std::string ErrorText(const absl::Status& status);
// {"error": {"code", "reason", "message", "hint", "request_id"}}; the id is empty if no server
// answered.
std::string ErrorJson(const absl::Status& status);

}  // namespace meridian::cli
