#include "server/telemetry/grpc_log.h"

#include <grpc/support/log.h>

#include "absl/time/clock.h"
#include "server/log.h"
#include "server/telemetry/line_budget.h"

namespace meridian::server {
namespace {

constexpr uint32_t kLinesASecond = 20;
constexpr size_t kMaxMessageBytes = 300;
// Followed by a header's name and value: the only message of this level that has such.
constexpr std::string_view kOfHeaders = "Error parsing metadata";

void LogLine(gpr_log_func_args* args) {
  static LineBudget lines(kLinesASecond);
  if (args->severity != GPR_LOG_SEVERITY_ERROR || !lines.Take(absl::Now())) return;
  const std::string_view file = args->file;
  Log(LogLevel::kWarning, "grpc", "gRPC met an error",
      {{"error", FitForLog(args->message)},
       {"file", std::string(file.substr(file.rfind('/') + 1))},
       {"line", args->line}});
}

}  // namespace

void LogGrpcErrors() {
  gpr_set_log_function(LogLine);
  gpr_set_log_verbosity(GPR_LOG_SEVERITY_ERROR);
}

std::string FitForLog(std::string_view message) {
  if (message.starts_with(kOfHeaders)) return std::string(kOfHeaders);
  return std::string(message.substr(0, kMaxMessageBytes));
}

}  // namespace meridian::server
