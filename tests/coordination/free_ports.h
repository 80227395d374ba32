// Ports for programs that cannot bind to port 0 and tell which one they got.
#pragma once

#include <cstdint>
#include <vector>

namespace meridian {

// `count` different loopback TCP ports that nobody listens on now, outside the range from which the
// system gives ports to outgoing connections: one that is left for a while is not lost to such a
// connection. Another program may take one in the meantime: whoever fails to bind draws anew.
std::vector<uint16_t> DrawFreePorts(int count);

}  // namespace meridian
