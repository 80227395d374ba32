#include "tests/coordination/free_ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "base/check.h"
#include "base/random.h"

namespace meridian {
namespace {

constexpr uint16_t kLowest = 10'000;
constexpr uint16_t kHighest = 32'000;
constexpr int kMaxDraws = 10'000;

uint16_t FirstOutgoingPort() {
  uint16_t first = kHighest;
  std::ifstream("/proc/sys/net/ipv4/ip_local_port_range") >> first;
  return first;
}

bool IsFree(uint16_t port) {
  const int socket_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const bool bound =
      bind(socket_fd, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0;
  close(socket_fd);
  return bound;
}

}  // namespace

std::vector<uint16_t> DrawFreePorts(int count) {
  SystemRandom random;
  const uint16_t end = std::min(kHighest, FirstOutgoingPort());
  const uint16_t begin = end > kLowest ? kLowest : 1024;
  std::vector<uint16_t> ports;
  for (int draws = 0; ports.size() < static_cast<size_t>(count); ++draws) {
    CHECK_INVARIANT(draws < kMaxDraws, "no free port is found");
    const auto port = static_cast<uint16_t>(begin + random.Uniform(end - begin));
    if (std::find(ports.begin(), ports.end(), port) == ports.end() && IsFree(port)) {
      ports.push_back(port);
    }
  }
  return ports;
}

}  // namespace meridian
