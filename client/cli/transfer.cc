#include "client/cli/transfer.h"

#include <algorithm>

#include "absl/strings/str_format.h"

namespace meridian::cli {

bool ConcernsAllFiles(const absl::Status& status) {
  return status.code() == absl::StatusCode::kUnauthenticated ||
         status.code() == absl::StatusCode::kPermissionDenied ||
         status.code() == absl::StatusCode::kResourceExhausted;
}

absl::Status Conclude(Context& context, Progress& progress, const std::string& verb) {
  const Progress::Summary summary = progress.Finish();
  const double seconds = std::max(summary.seconds, 1e-6);
  std::string text =
      absl::StrFormat("%s %d files, %s in %.1f s, %s/s", verb, summary.files,
                      HumanBytes(static_cast<double>(summary.bytes)), summary.seconds,
                      HumanBytes(static_cast<double>(summary.bytes) / seconds));
  if (summary.skipped > 0) text += absl::StrFormat("; %d were identical already", summary.skipped);
  if (summary.failed > 0) text += absl::StrFormat("; %d failed", summary.failed);
  context.Print(text, Json{{"files", summary.files},
                           {"skipped", summary.skipped},
                           {"failed", summary.failed},
                           {"bytes", summary.bytes},
                           {"seconds", summary.seconds}});
  const absl::Status result = progress.Result();
  // A name that cannot be a file is the object's fault, not the command line's.
  if (result.code() == absl::StatusCode::kInvalidArgument) {
    return absl::UnknownError(result.message());
  }
  return result;
}

}  // namespace meridian::cli
