// The metrics port over real TLS.
#include "server/telemetry/metrics_server.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <httplib.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "base/clock.h"
#include "crypto/certificate_authority.h"
#include "tests/temp_folder.h"

namespace meridian::server {
namespace {

class MetricsServerTest : public testing::Test {
 protected:
  void SetUp() override {
    auto authority = crypto::CertificateAuthority::Create("test", clock_);
    ASSERT_TRUE(authority.ok());
    const auto identity = (*authority)->IssueNode("east-1a");
    ASSERT_TRUE(identity.ok());
    tls_ = {(*authority)->certificate_pem(), identity->certificate_pem, identity->private_key_pem};
    std::ofstream(ca_path()) << tls_.ca_certificate;
  }
  std::string ca_path() const { return folder_.path() + "/ca.crt"; }

  void Start() {
    auto server = MetricsServer::Start(
        "127.0.0.1:0", tls_, [this] { return "page " + std::to_string(++pages_) + "\n"; });
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  int port() const {
    int port = 0;
    EXPECT_TRUE(absl::SimpleAtoi(server_->endpoint().substr(10), &port)) << server_->endpoint();
    return port;
  }
  std::unique_ptr<httplib::SSLClient> Client() const {
    auto client = std::make_unique<httplib::SSLClient>("127.0.0.1", port());
    client->set_ca_cert_path(ca_path().c_str());
    client->enable_server_certificate_verification(true);
    return client;
  }

  SystemClock clock_;
  TempFolder folder_;
  TlsMaterial tls_;
  std::atomic<int> pages_{0};
  std::unique_ptr<MetricsServer> server_;
};

TEST_F(MetricsServerTest, GivesThePageAsItIsNowUnderTheNodesCertificate) {
  Start();
  for (const char* expected : {"page 1\n", "page 2\n"}) {
    const auto answer = Client()->Get("/metrics");
    ASSERT_TRUE(answer) << httplib::to_string(answer.error());
    EXPECT_EQ(answer->status, 200);
    EXPECT_EQ(answer->body, expected);
    EXPECT_EQ(answer->get_header_value("Content-Type"), "text/plain; version=0.0.4; charset=utf-8");
  }
}

TEST_F(MetricsServerTest, HasNoOtherPageAndTakesNothing) {
  Start();
  EXPECT_EQ(Client()->Get("/")->status, 404);
  EXPECT_EQ(Client()->Get("/metrics/more")->status, 404);
  EXPECT_EQ(Client()->Post("/metrics", "x", "text/plain")->status, 404);
  EXPECT_EQ(pages_, 0);
}

// I9: no plaintext on any wire.
TEST_F(MetricsServerTest, AnswersNothingWithoutTls) {
  Start();
  httplib::Client plain("127.0.0.1", port());
  EXPECT_FALSE(plain.Get("/metrics"));
  EXPECT_EQ(pages_, 0);
}

TEST_F(MetricsServerTest, ACertificateOfAnotherAuthorityIsNotIts) {
  Start();
  const auto other = crypto::CertificateAuthority::Create("other", clock_);
  std::ofstream(ca_path()) << (*other)->certificate_pem();
  EXPECT_FALSE(Client()->Get("/metrics"));
}

// Each holds a thread until it is cut off; then the others are served.
TEST_F(MetricsServerTest, ClientsThatSayNothingAreCutOff) {
  Start();
  std::vector<int> silent;
  for (int i = 0; i < 3; ++i) {
    sockaddr_in address = {};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<uint16_t>(port()));
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    silent.push_back(socket(AF_INET, SOCK_STREAM, 0));
    ASSERT_EQ(connect(silent.back(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  auto client = Client();
  client->set_connection_timeout(30);
  client->set_read_timeout(30);
  const auto answer = client->Get("/metrics");
  EXPECT_TRUE(answer) << httplib::to_string(answer.error());
  for (const int socket : silent) close(socket);
}

TEST_F(MetricsServerTest, RefusesWhatItCannotServeWith) {
  const auto page = [] { return std::string(); };
  for (const char* address : {"", "localhost", "127.0.0.1:", "127.0.0.1:x", "127.0.0.1:65536"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(MetricsServer::Start(address, tls_, page).status()))
        << address;
  }
  Start();
  EXPECT_TRUE(absl::IsUnavailable(MetricsServer::Start(server_->endpoint(), tls_, page).status()));
  TlsMaterial broken = tls_;
  broken.private_key = "nonsense";
  EXPECT_TRUE(absl::IsInvalidArgument(MetricsServer::Start("127.0.0.1:0", broken, page).status()));
  broken = tls_;
  broken.certificate.clear();
  EXPECT_TRUE(absl::IsInvalidArgument(MetricsServer::Start("127.0.0.1:0", broken, page).status()));
}

}  // namespace
}  // namespace meridian::server
