// A way to a server that a test can break.
#pragma once

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <string>
#include <thread>

namespace meridian {

// Listens on a loopback port and passes bytes on to another. Thread-safe.
class TcpProxy {
 public:
  enum class Mode {
    kPass,
    // What the server says is thrown away; what it is told arrives.
    kSwallowAnswers,
    // Connections stay, and nothing passes.
    kSilent,
    // Connections are closed, those there are and new ones.
    kCut,
  };

  // `target`: "127.0.0.1:PORT". `host`: where it listens, of 127.0.0.0/8.
  explicit TcpProxy(const std::string& target, const std::string& host = "127.0.0.1");
  ~TcpProxy();
  TcpProxy(const TcpProxy&) = delete;
  TcpProxy& operator=(const TcpProxy&) = delete;

  const std::string& endpoint() const { return endpoint_; }
  // Holds for every byte that arrives after it returned.
  void Set(Mode mode);

 private:
  struct Peer {
    int fd = -1;
    bool is_server = false;
  };

  void Run();
  void Accept();
  // False: the connection is over.
  bool Pass(int from, const Peer& to);
  void CloseAll();

  const uint16_t target_port_;
  std::string endpoint_;
  int listener_ = -1;
  int wake_[2] = {-1, -1};
  std::atomic<Mode> mode_{Mode::kPass};
  std::atomic<uint64_t> turns_{0};
  std::atomic<bool> stopping_{false};
  std::map<int, Peer> other_end_;  // of the thread
  std::thread thread_;
};

}  // namespace meridian
