#include "client/cli/exit_code.h"

#include <map>
#include <nlohmann/json.hpp>

#include "base/status.h"
#include "client/cli/format.h"
#include "client/errors.h"

namespace meridian::cli {
namespace {

std::string HintForReason(const std::string& reason) {
  static const auto& hints = *new std::map<std::string, std::string>{
      {"INVALID_ACCESS_KEY",
       "check \"access_key\" in the profile; a new one: meridian key create TENANT --profile-out "
       "FILE"},
      {"ADMINISTRATOR_ONLY", "use the administrator's profile (meridiand dev: DIR/admin.profile)"},
      {"TENANT_ONLY",
       "use a tenant's profile: meridian key create TENANT --profile-out FILE; then --profile "
       "FILE"},
      {"NOT_EMPTY", "delete what is in it first"},
      {"PLACEMENT_IMPOSSIBLE", "choose another --redundancy or --region; meridian cluster status"},
      {"REDUNDANCY_UNSUPPORTED", "LRS and ZRS work today"},
      {"DISK_FULL", "free space on the servers; reads and deletes go on"},
      {"NO_QUORUM", "too few of the container's replicas are up; meridian cluster status"},
      {"NO_LEADER", "too few of the container's replicas are up; meridian cluster status"},
      {"NODE_IN_USE", "drain it with `meridian node drain`, wait until it is empty, and stop it"},
      {"LAST_COPY", "bring the nodes back that the message names; meridian cluster status"},
      {"MEMBER_NOT_LOST", "see docs/operations.md, \"When a quorum is lost for good\""},
      {"SURVIVOR_ANSWERS", "see docs/operations.md, \"When a quorum is lost for good\""},
      {"DISK_REMOVED", "give its node an empty folder in its place"},
      {"CONVERSION_UNDER_WAY", "how far it is: meridian container convert NAME"},
      {"DEV_MODE_ONLY", "only a server started by `meridiand dev` stops and starts nodes"},
      {"IS_DELETE_MARKER", "name an older version: meridian ls --versions"},
  };
  auto it = hints.find(reason);
  return it == hints.end() ? "" : it->second;
}

}  // namespace

ExitCode ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kOk:
      return kOk;
    case absl::StatusCode::kInvalidArgument:
      // Without a server's reason it is us who refuse the command.
      return ErrorReasonOf(status).empty() ? kUsage : kFailure;
    case absl::StatusCode::kNotFound:
      return kNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return kNotAllowed;
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kAborted:
      return kConflict;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kUnavailable;
    default:
      return kFailure;
  }
}

std::string HintFor(const absl::Status& status) {
  std::string hint = HintForReason(ErrorReasonOf(status));
  if (!hint.empty()) return hint;
  if (status.code() == absl::StatusCode::kUnavailable && ErrorReasonOf(status).empty()) {
    return "is the server running, and is the profile the one that it wrote last?";
  }
  return "";
}

std::string ErrorText(const absl::Status& status) {
  std::string text = "meridian: " + Printable(FromAbsl(status.message()));
  if (std::string hint = HintFor(status); !hint.empty()) text += "\n  " + hint;
  // Of what the user cannot mend.
  const int exit_code = ExitCodeOf(status);
  const std::string id = RequestIdOf(status);
  if (!id.empty() && (exit_code == kFailure || exit_code == kUnavailable)) {
    text += "\n  request id: " + Printable(id);
  }
  return text;
}

std::string ErrorJson(const absl::Status& status) {
  nlohmann::ordered_json error;
  error["code"] = absl::StatusCodeToString(status.code());
  error["reason"] = ErrorReasonOf(status);
  error["message"] = std::string(FromAbsl(status.message()));
  error["hint"] = HintFor(status);
  error["request_id"] = RequestIdOf(status);
  nlohmann::ordered_json document;
  document["error"] = std::move(error);
  return document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace meridian::cli
