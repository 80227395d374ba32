#include "server/log.h"

#include <cstdio>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace meridian::server {

void Log(const std::string& line) {
  const std::string stamped = absl::StrCat(
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone()), " ", line, "\n");
  std::fwrite(stamped.data(), 1, stamped.size(), stderr);
}

}  // namespace meridian::server
