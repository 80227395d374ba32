// absl::Status helpers. Debian's Abseil has a string_view of its own, which does not convert from
// std::string_view: messages are built here from std::string.
#pragma once

#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

#define MERIDIAN_CONCAT_INNER(a, b) a##b
#define MERIDIAN_CONCAT(a, b) MERIDIAN_CONCAT_INNER(a, b)

// Returns from the enclosing function if `expr` is an error.
#define RETURN_IF_ERROR(expr)                                  \
  do {                                                         \
    if (absl::Status meridian_status = (expr); !meridian_status.ok()) \
      return meridian_status;                                  \
  } while (false)

// Assigns the value of a StatusOr, or returns its error from the enclosing function.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(MERIDIAN_CONCAT(meridian_statusor_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(statusor, lhs, expr) \
  auto statusor = (expr);                          \
  if (!statusor.ok()) return statusor.status();    \
  lhs = std::move(statusor).value()

namespace meridian {

inline absl::string_view ToAbsl(std::string_view s) { return {s.data(), s.size()}; }
inline std::string_view FromAbsl(absl::string_view s) { return {s.data(), s.size()}; }

// The same code and payloads, with "context: " before the message. OK stays OK.
absl::Status Annotate(const absl::Status& status, std::string_view context);

}  // namespace meridian
