// A broken invariant stops the process with a message: going on would risk acknowledged data.
#pragma once

namespace meridian {
[[noreturn]] void CheckFailed(const char* file, int line, const char* expression,
                              const char* message);
}  // namespace meridian

#define CHECK_INVARIANT(condition, message)                                        \
  do {                                                                             \
    if (!(condition)) ::meridian::CheckFailed(__FILE__, __LINE__, #condition, message); \
  } while (false)
