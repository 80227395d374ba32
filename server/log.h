// The server's log: one line an event on standard error, each a JSON object with the keys
//   time       UTC, RFC 3339 with milliseconds
//   level      "info", "warning" (somebody may have to look), "error" (somebody has to)
//   component  the part that speaks: "node", "disk", "placement", "request", ...
//   message    what happened; the same text each time
// then, if the line is about a call, request_id, and what the event has beside. Never names of
// tenants, containers or objects, keys, tokens or bytes.
#pragma once

#include <concepts>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace meridian::server {

enum class LogLevel { kInfo, kWarning, kError };

// A key of a line with its value. Keys are constants in snake_case, with a unit last.
struct LogField {
  LogField(const char* name, std::string text) : key(name), value(std::move(text)) {}
  template <std::integral Number>
  LogField(const char* name, Number number) : key(name), value(static_cast<int64_t>(number)) {}
  // As its text.
  LogField(const char* name, const absl::Status& status) : key(name), value(status.ToString()) {}
  // In milliseconds, with three digits after the point.
  LogField(const char* name, absl::Duration time);

  std::string key;
  std::variant<std::string, int64_t, double> value;
};

// Thread-safe. The request id is that of the thread's current call (CallRecord), if it runs one.
void Log(LogLevel level, std::string_view component, std::string_view message,
         std::initializer_list<LogField> fields = {});

// The line that Log writes, without its end. Bytes that are not UTF-8 are replaced.
std::string FormatLogLine(absl::Time time, LogLevel level, std::string_view component,
                          std::string_view message, std::string_view request_id,
                          std::initializer_list<LogField> fields);

}  // namespace meridian::server
