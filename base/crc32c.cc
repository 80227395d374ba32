#include "base/crc32c.h"

#include <isa-l/crc.h>

#include <algorithm>

namespace meridian {

uint32_t Crc32c(std::string_view bytes, uint32_t previous) {
  constexpr size_t kMaxStep = 1 << 30;  // the library's length is an int
  uint32_t crc = ~previous;
  while (!bytes.empty()) {
    const std::string_view step = bytes.substr(0, kMaxStep);
    auto* data = reinterpret_cast<unsigned char*>(const_cast<char*>(step.data()));
    crc = crc32_iscsi(data, static_cast<int>(step.size()), crc);
    bytes.remove_prefix(step.size());
  }
  return ~crc;
}

}  // namespace meridian
