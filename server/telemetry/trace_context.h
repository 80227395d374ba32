// Where a request belongs in its caller's trace, as W3C Trace Context (traceparent) has it.
#pragma once

#include <string>
#include <string_view>

#include "base/random.h"

namespace meridian::server {

// The metadata entry that carries it.
inline constexpr char kTraceparent[] = "traceparent";
// The trailing metadata entry of every answer: the call's request id, to be quoted and looked for
// in the log. It is the trace id of the call's traceparent, or one of its own if it came without.
inline constexpr char kRequestIdMetadata[] = "x-request-id";

struct TraceContext {
  // 32 lowercase hex digits, not all 0. In logs and answers this is the request id.
  std::string trace_id;
  // 16, likewise: of what this process does of it.
  std::string span_id;
  // 2 hex digits: whether callers record the trace. Passed on as they came.
  std::string flags = "00";

  // A span of the trace that `traceparent` names; of a new trace if it is empty or not valid.
  static TraceContext Continue(std::string_view traceparent, Random& random);
  // For calls to others on behalf of this one.
  std::string ToTraceparent() const;
};

}  // namespace meridian::server
