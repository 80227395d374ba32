#include "server/log.h"

#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "absl/time/clock.h"
#include "server/telemetry/call_record.h"

namespace meridian::server {
namespace {

const char* NameOf(LogLevel level) {
  switch (level) {
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarning:
      return "warning";
    case LogLevel::kError:
      return "error";
  }
  return "error";
}

}  // namespace

LogField::LogField(const char* name, absl::Duration time)
    : key(name), value(std::round(absl::ToDoubleMicroseconds(time)) / 1000) {}

std::string FormatLogLine(absl::Time time, LogLevel level, std::string_view component,
                          std::string_view message, std::string_view request_id,
                          std::initializer_list<LogField> fields) {
  using Json = nlohmann::ordered_json;
  Json line;
  line["time"] = absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", time, absl::UTCTimeZone());
  line["level"] = NameOf(level);
  line["component"] = component;
  line["message"] = message;
  if (!request_id.empty()) line["request_id"] = request_id;
  for (const LogField& field : fields) {
    std::visit([&](const auto& value) { line[field.key] = value; }, field.value);
  }
  return line.dump(/*indent=*/-1, /*indent_char=*/' ', /*ensure_ascii=*/false,
                   Json::error_handler_t::replace);
}

void Log(LogLevel level, std::string_view component, std::string_view message,
         std::initializer_list<LogField> fields) {
  const CallRecord* const call = CallRecord::Current();
  const std::string line =
      FormatLogLine(absl::Now(), level, component, message,
                    call == nullptr ? std::string_view() : call->trace().trace_id, fields) +
      '\n';
  std::fwrite(line.data(), 1, line.size(), stderr);
}

}  // namespace meridian::server
