#include "tests/coordination/tcp_proxy.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <vector>

#include "base/check.h"

namespace meridian {
namespace {

sockaddr_in Loopback(uint16_t port) {
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

int Socket() {
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  CHECK_INVARIANT(fd >= 0, "socket");
  return fd;
}

}  // namespace

TcpProxy::TcpProxy(const std::string& target, const std::string& host)
    : target_port_(static_cast<uint16_t>(std::atoi(target.substr(target.rfind(':') + 1).c_str()))) {
  listener_ = Socket();
  sockaddr_in address = Loopback(0);
  CHECK_INVARIANT(inet_pton(AF_INET, host.c_str(), &address.sin_addr) == 1, "no address");
  socklen_t size = sizeof(address);
  CHECK_INVARIANT(bind(listener_, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                      listen(listener_, 64) == 0 &&
                      getsockname(listener_, reinterpret_cast<sockaddr*>(&address), &size) == 0,
                  "the proxy cannot listen");
  endpoint_ = host + ":" + std::to_string(ntohs(address.sin_port));
  CHECK_INVARIANT(pipe(wake_) == 0, "pipe");
  thread_ = std::thread([this] { Run(); });
}

TcpProxy::~TcpProxy() {
  stopping_ = true;
  Set(Mode::kCut);
  thread_.join();
  for (const int fd : {listener_, wake_[0], wake_[1]}) close(fd);
}

void TcpProxy::Set(Mode mode) {
  mode_ = mode;
  const uint64_t before = turns_;
  const char byte = 0;
  CHECK_INVARIANT(write(wake_[1], &byte, 1) == 1, "write");
  // A turn that began with the old mode has ended.
  while (turns_ < before + 2 && !stopping_) std::this_thread::yield();
}

void TcpProxy::Run() {
  while (!stopping_) {
    ++turns_;
    if (mode_ == Mode::kCut) CloseAll();
    std::vector<pollfd> polled = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    for (const auto& [fd, other] : other_end_) polled.push_back({fd, POLLIN, 0});
    poll(polled.data(), polled.size(), /*timeout_ms=*/10);
    if (polled[1].revents != 0) {
      char byte = 0;
      CHECK_INVARIANT(read(wake_[0], &byte, 1) == 1, "read");
      continue;  // with the new mode
    }
    if (polled[0].revents != 0) Accept();
    for (size_t i = 2; i < polled.size(); ++i) {
      const auto other = other_end_.find(polled[i].fd);
      if (polled[i].revents == 0 || other == other_end_.end()) continue;
      if (Pass(polled[i].fd, other->second)) continue;
      const int other_fd = other->second.fd;
      for (const int fd : {polled[i].fd, other_fd}) {
        close(fd);
        other_end_.erase(fd);
      }
    }
  }
  CloseAll();
}

void TcpProxy::Accept() {
  const int client = accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
  if (client < 0) return;
  const int server = Socket();
  const sockaddr_in address = Loopback(target_port_);
  if (mode_ == Mode::kCut ||
      connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) != 0) {
    close(client);
    close(server);
    return;
  }
  other_end_[client] = {.fd = server, .is_server = true};
  other_end_[server] = {.fd = client, .is_server = false};
}

bool TcpProxy::Pass(int from, const Peer& to) {
  char buffer[16384];
  const ssize_t size = read(from, buffer, sizeof(buffer));
  if (size <= 0) return false;
  const Mode mode = mode_;
  if (mode == Mode::kSilent || (mode == Mode::kSwallowAnswers && !to.is_server)) return true;
  for (ssize_t sent = 0; sent < size;) {
    const ssize_t now = send(to.fd, buffer + sent, size - sent, MSG_NOSIGNAL);
    if (now <= 0) return false;
    sent += now;
  }
  return true;
}

void TcpProxy::CloseAll() {
  for (const auto& [fd, other] : other_end_) close(fd);
  other_end_.clear();
}

}  // namespace meridian
