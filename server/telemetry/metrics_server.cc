#include "server/telemetry/metrics_server.h"

#include <httplib.h>
#include <sys/socket.h>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "crypto/tls_server.h"
#include "server/log.h"

namespace meridian::server {
namespace {

constexpr char kPath[] = "/metrics";
constexpr char kContentType[] = "text/plain; version=0.0.4; charset=utf-8";
constexpr size_t kThreads = 2;
// A client that keeps a thread waiting for longer is cut off.
constexpr time_t kReadTimeoutS = 2;
constexpr time_t kWriteTimeoutS = 5;
constexpr size_t kMaxRequestBytes = 4096;
constexpr absl::Duration kStartPoll = absl::Milliseconds(1);

// Runs connections. Takes none while its threads are busy, so that those that wait do so in the
// kernel's queue, which is bounded.
class ConnectionThreads final : public httplib::TaskQueue {
 public:
  ConnectionThreads() {
    for (size_t i = 0; i < kThreads; ++i) threads_.emplace_back([this] { Run(); });
  }

  void enqueue(std::function<void()> connection) override {
    absl::MutexLock lock(&mutex_);
    mutex_.Await(absl::Condition(this, &ConnectionThreads::HasFreeThread));
    ++busy_;
    next_ = std::move(connection);
  }

  void shutdown() override {
    {
      absl::MutexLock lock(&mutex_);
      stopping_ = true;
    }
    for (std::thread& thread : threads_) thread.join();
  }

 private:
  bool HasFreeThread() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return next_ == nullptr && busy_ < kThreads;
  }
  bool HasWork() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    return next_ != nullptr || stopping_;
  }

  void Run() {
    while (true) {
      std::function<void()> connection;
      {
        absl::MutexLock lock(&mutex_);
        mutex_.Await(absl::Condition(this, &ConnectionThreads::HasWork));
        if (next_ == nullptr) return;
        connection = std::exchange(next_, nullptr);
      }
      connection();
      absl::MutexLock lock(&mutex_);
      --busy_;
    }
  }

  absl::Mutex mutex_;
  size_t busy_ ABSL_GUARDED_BY(mutex_) = 0;
  std::function<void()> next_ ABSL_GUARDED_BY(mutex_);
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::thread> threads_;
};

class HttpsMetricsServer final : public MetricsServer {
 public:
  HttpsMetricsServer(const TlsMaterial& tls, std::function<std::string()> page)
      : page_(std::move(page)), server_([this, &tls](ssl_ctx_st& context) {
          tls_status_ = crypto::UseAsTlsServer(context, {tls.certificate, tls.private_key});
          return tls_status_.ok();
        }) {}
  ~HttpsMetricsServer() override {
    server_.stop();
    if (thread_.joinable()) thread_.join();
  }

  absl::Status Listen(const std::string& address) {
    RETURN_IF_ERROR(tls_status_);
    if (!server_.is_valid()) return absl::InternalError("OpenSSL gives no TLS context");
    const size_t colon = address.rfind(':');
    int port = -1;
    if (colon == std::string::npos || !absl::SimpleAtoi(address.substr(colon + 1), &port) ||
        port < 0 || port > 65535) {
      return absl::InvalidArgumentError(absl::StrCat("\"", address, "\" is not HOST:PORT"));
    }
    Bound();
    // Before httplib reads a body, whose size it does not bound where it comes in chunks.
    server_.set_pre_routing_handler(
        [](const httplib::Request& request, httplib::Response& response) {
          using Next = httplib::Server::HandlerResponse;
          if ((request.method == "GET" || request.method == "HEAD") && request.path == kPath &&
              !request.has_header("Transfer-Encoding")) {
            return Next::Unhandled;
          }
          response.status = 404;
          return Next::Handled;
        });
    server_.Get(kPath, [this](const httplib::Request&, httplib::Response& response) {
      response.set_content(page_(), kContentType);
    });
    // httplib takes [::1] without the brackets.
    std::string host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    const bool bound =
        port == 0 ? (port = server_.bind_to_any_port(host)) > 0 : server_.bind_to_port(host, port);
    if (!bound) return absl::UnavailableError(absl::StrCat("cannot listen on ", address));
    endpoint_ = absl::StrCat(address.substr(0, colon), ":", port);
    thread_ = std::thread([this] {
      server_.listen_after_bind();
      ended_ = true;
    });
    // Before it runs, stop() has no effect.
    while (!server_.is_running() && !ended_) absl::SleepFor(kStartPoll);
    Log(LogLevel::kInfo, "metrics", "serves", {{"endpoint", endpoint_}});
    return absl::OkStatus();
  }

  const std::string& endpoint() const override { return endpoint_; }

 private:
  // Not httplib's, by which two processes would share a port unnoticed.
  static void SetSocketOptions(socket_t socket) {
    const int yes = 1;
    setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
  }

  void Bound() {
    server_.set_socket_options(&SetSocketOptions);
    server_.new_task_queue = [] { return new ConnectionThreads(); };  // httplib's to delete
    server_.set_keep_alive_max_count(1);
    server_.set_keep_alive_timeout(kReadTimeoutS);
    server_.set_read_timeout(kReadTimeoutS);
    server_.set_write_timeout(kWriteTimeoutS);
    server_.set_payload_max_length(kMaxRequestBytes);
  }

  const std::function<std::string()> page_;
  absl::Status tls_status_;
  httplib::SSLServer server_;
  std::string endpoint_;
  std::atomic<bool> ended_{false};
  std::thread thread_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<MetricsServer>> MetricsServer::Start(
    const std::string& listen_address, const TlsMaterial& tls, std::function<std::string()> page) {
  auto server = std::make_unique<HttpsMetricsServer>(tls, std::move(page));
  RETURN_IF_ERROR(Annotate(server->Listen(listen_address), "the port of the metrics"));
  return server;
}

}  // namespace meridian::server
