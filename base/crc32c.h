// CRC-32C (Castagnoli, RFC 3720), by ISA-L.
#pragma once

#include <cstdint>
#include <string_view>

namespace meridian {

// Of `bytes` following data whose checksum is `previous` (0: nothing before).
uint32_t Crc32c(std::string_view bytes, uint32_t previous = 0);

}  // namespace meridian
