#include "replication/transport/node_transport.h"

#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "base/clock.h"
#include "crypto/certificate_authority.h"
#include "replication/transport/envelope.h"
#include "replication/transport/renewing_certificates.h"
#include "tests/until.h"

namespace meridian::replication {
namespace {

using crypto::CertificateAuthority;
using crypto::TlsIdentity;

// What a node has received.
class Inbox {
 public:
  PeerMessageHandler handler() {
    return [this](const NodeId& from, PeerMessage message) {
      absl::MutexLock lock(&mutex_);
      bodies_.push_back(absl::StrCat(from, ":", message.body));
    };
  }
  std::vector<std::string> bodies() {
    absl::MutexLock lock(&mutex_);
    return bodies_;
  }
  bool Contains(const std::string& body) {
    const auto all = bodies();
    return std::find(all.begin(), all.end(), body) != all.end();
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::string> bodies_;
};

class NodeTransportTest : public testing::Test {
 protected:
  std::unique_ptr<CertificateAuthority> NewAuthority() {
    auto ca = CertificateAuthority::Create("test", clock_);
    EXPECT_TRUE(ca.ok()) << ca.status();
    return *std::move(ca);
  }

  NodeTransportOptions Options(const NodeId& self) { return OptionsOf(self, self, *ca_); }
  NodeTransportOptions OptionsOf(const NodeId& self, const NodeId& certified,
                                 const CertificateAuthority& ca) {
    auto identity = ca.IssueNode(certified);
    EXPECT_TRUE(identity.ok()) << identity.status();
    NodeTransportOptions options;
    options.cluster = cluster_;
    options.self = self;
    options.ca_certificate = ca_->certificate_pem();
    options.certificate = identity->certificate_pem;
    options.private_key = identity->private_key_pem;
    options.max_redial_delay = absl::Milliseconds(100);
    return options;
  }

  std::unique_ptr<NodeTransport> Start(NodeTransportOptions options, PeerMessageHandler handler) {
    auto transport = StartNodeTransport(std::move(options), *timers_, random_, std::move(handler));
    EXPECT_TRUE(transport.ok()) << transport.status();
    return *std::move(transport);
  }

  static PeerMessage Message(std::string body) { return {{}, {}, {}, std::move(body), {}}; }

  static void Introduce(NodeTransport& a, const NodeId& a_id, NodeTransport& b,
                        const NodeId& b_id) {
    a.SetPeerAddress(b_id, b.listen_address());
    b.SetPeerAddress(a_id, a.listen_address());
  }
  static bool Connected(NodeTransport& a, const NodeId& a_id, NodeTransport& b,
                        const NodeId& b_id) {
    return Until(
        [&] { return a.GetLinkStatus(b_id).connected && b.GetLinkStatus(a_id).connected; });
  }

  SystemClock clock_;
  SystemRandom random_;
  const ClusterId cluster_ = ClusterId::Draw(random_);
  const std::unique_ptr<CertificateAuthority> ca_ = NewAuthority();
  const std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
};

// What can be read of a node's certificates, and what was told of them.
class Certificates {
 public:
  explicit Certificates(CertificatePem first) : now_(std::move(first)) {}
  void Set(absl::StatusOr<CertificatePem> now) {
    absl::MutexLock lock(&mutex_);
    now_ = std::move(now);
  }
  int told_errors() {
    absl::MutexLock lock(&mutex_);
    return told_errors_;
  }
  int reads() {
    absl::MutexLock lock(&mutex_);
    return reads_;
  }
  CertificateSource Source() {
    return {.read =
                [this] {
                  absl::MutexLock lock(&mutex_);
                  ++reads_;
                  return now_;
                },
            .told =
                [this](const absl::Status& status) {
                  absl::MutexLock lock(&mutex_);
                  told_errors_ += !status.ok();
                },
            .interval = absl::Seconds(1)};
  }

 private:
  absl::Mutex mutex_;
  absl::StatusOr<CertificatePem> now_;
  int told_errors_ = 0;
  int reads_ = 0;
};

CertificatePem PemOf(const CertificateAuthority& ca, const NodeId& node) {
  const auto identity = ca.IssueNode(node);
  EXPECT_TRUE(identity.ok()) << identity.status();
  return {ca.certificate_pem(), identity->certificate_pem, identity->private_key_pem};
}

// All of it is another CA's afterwards: what it trusts, and what it presents to servers and
// clients.
TEST_F(NodeTransportTest, RenewedCertificatesAreTakenUpWithoutARestart) {
  const auto next = NewAuthority();
  const CertificatePem first = PemOf(*ca_, "b");
  Certificates certificates(first);
  const auto renewed = RenewCertificates(first, certificates.Source());
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  Inbox inbox;
  NodeTransportOptions renewing = Options("b");
  renewing.renewed = *renewed;
  const auto b = Start(std::move(renewing), inbox.handler());
  const auto a = Start(Options("a"), inbox.handler());
  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));

  certificates.Set(PemOf(*next, "b"));
  // Dialled by one with a smaller id, and dials one with a larger.
  for (const NodeId peer : {"aa", "c"}) {
    NodeTransportOptions options = OptionsOf(peer, peer, *next);
    options.ca_certificate = next->certificate_pem();
    const auto other = Start(std::move(options), inbox.handler());
    Introduce(*other, peer, *b, "b");
    EXPECT_TRUE(Connected(*other, peer, *b, "b")) << peer;
  }
  EXPECT_TRUE(a->GetLinkStatus("b").connected) << "what is connected stays";
  EXPECT_EQ(certificates.told_errors(), 0);
}

TEST_F(NodeTransportTest, CertificatesThatCannotBeRenewedStayInUseAndAreToldOnce) {
  const CertificatePem first = PemOf(*ca_, "b");
  Certificates certificates(first);
  const auto renewed = RenewCertificates(first, certificates.Source());
  ASSERT_TRUE(renewed.ok()) << renewed.status();
  certificates.Set(absl::InvalidArgumentError("the private key is not the certificate's"));
  const int before = certificates.reads();
  ASSERT_TRUE(Until([&] { return certificates.reads() >= before + 3; }));
  EXPECT_EQ(certificates.told_errors(), 1);
  Inbox inbox;
  NodeTransportOptions renewing = Options("b");
  renewing.renewed = *renewed;
  const auto b = Start(std::move(renewing), inbox.handler());
  for (const NodeId peer : {"a", "c"}) {
    const auto other = Start(Options(peer), inbox.handler());
    Introduce(*other, peer, *b, "b");
    EXPECT_TRUE(Connected(*other, peer, *b, "b")) << peer;
  }
}

TEST_F(NodeTransportTest, DeliversBothWaysInOrder) {
  Inbox inbox_a, inbox_b;
  const auto a = Start(Options("a"), inbox_a.handler());
  const auto b = Start(Options("b"), inbox_b.handler());
  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  std::vector<std::string> from_a, from_b;
  for (int i = 0; i < 2000; ++i) {
    a->Send("b", Message(absl::StrCat(i)));
    b->Send("a", Message(absl::StrCat(i)));
    from_a.push_back(absl::StrCat("a:", i));
    from_b.push_back(absl::StrCat("b:", i));
  }
  EXPECT_TRUE(Until([&] { return inbox_b.bodies().size() == 2000; }));
  EXPECT_TRUE(Until([&] { return inbox_a.bodies().size() == 2000; }));
  EXPECT_EQ(inbox_b.bodies(), from_a);
  EXPECT_EQ(inbox_a.bodies(), from_b);
  EXPECT_EQ(a->GetLinkStatus("b").dropped_messages, 0u);
  EXPECT_LT(a->GetLinkStatus("b").sent_envelopes, 2000u);
}

TEST_F(NodeTransportTest, ConnectsEveryPairOfThree) {
  std::map<NodeId, Inbox> inboxes;
  std::map<NodeId, std::unique_ptr<NodeTransport>> nodes;
  for (const char* id : {"a", "b", "c"}) nodes[id] = Start(Options(id), inboxes[id].handler());
  for (auto& [id, node] : nodes) {
    for (auto& [peer, other] : nodes) node->SetPeerAddress(peer, other->listen_address());
  }
  for (auto& [id, node] : nodes) {
    for (auto& [peer, other] : nodes) {
      if (id < peer) {
        ASSERT_TRUE(Connected(*node, id, *other, peer));
      }
    }
  }
  for (auto& [id, node] : nodes) {
    for (auto& [peer, other] : nodes) node->Send(peer, Message("hello"));
  }
  for (auto& [id, inbox] : inboxes) {
    EXPECT_TRUE(Until([&] { return inbox.bodies().size() == 3; }));
    for (const char* from : {"a", "b", "c"}) {
      EXPECT_TRUE(inbox.Contains(absl::StrCat(from, ":hello")));
    }
  }
}

TEST_F(NodeTransportTest, ReconnectsToAPeerThatRestarted) {
  Inbox inbox_a, inbox_b, inbox_b2;
  const auto a = Start(Options("a"), inbox_a.handler());
  auto b = Start(Options("b"), inbox_b.handler());
  const std::string address = b->listen_address();
  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  b.reset();
  ASSERT_TRUE(Until([&] { return !a->GetLinkStatus("b").connected; }));
  EXPECT_NE(a->GetLinkStatus("b").last_error, "");
  a->Send("b", Message("lost"));
  EXPECT_GE(a->GetLinkStatus("b").dropped_messages, 1u);

  NodeTransportOptions same = Options("b");
  same.listen_address = address;
  b = Start(std::move(same), inbox_b2.handler());
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  a->Send("b", Message("found"));
  EXPECT_TRUE(Until([&] { return inbox_b2.Contains("a:found"); }));
  EXPECT_FALSE(inbox_b2.Contains("a:lost"));
}

TEST_F(NodeTransportTest, FollowsAPeerToAnotherAddress) {
  Inbox inbox_a, inbox_b, inbox_b2;
  const auto a = Start(Options("a"), inbox_a.handler());
  auto b = Start(Options("b"), inbox_b.handler());
  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  b.reset();
  b = Start(Options("b"), inbox_b2.handler());
  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  b->Send("a", Message("back"));
  EXPECT_TRUE(Until([&] { return inbox_a.Contains("b:back"); }));
}

TEST_F(NodeTransportTest, RefusesANodeOfAnotherCluster) {
  Inbox inbox;
  NodeTransportOptions foreign = Options("a");
  foreign.cluster = ClusterId::Draw(random_);
  const auto a = Start(std::move(foreign), inbox.handler());
  const auto b = Start(Options("b"), inbox.handler());
  Introduce(*a, "a", *b, "b");
  EXPECT_TRUE(Until([&] {
    return a->GetLinkStatus("b").last_error.find("PERMISSION_DENIED") != std::string::npos;
  })) << a->GetLinkStatus("b").last_error;
  EXPECT_FALSE(a->GetLinkStatus("b").connected);
  EXPECT_FALSE(b->GetLinkStatus("a").connected);
}

TEST_F(NodeTransportTest, RefusesACertificateOfAnotherAuthority) {
  Inbox inbox;
  const std::unique_ptr<CertificateAuthority> other = NewAuthority();
  const auto a = Start(OptionsOf("a", "a", *other), inbox.handler());
  const auto b = Start(Options("b"), inbox.handler());
  Introduce(*a, "a", *b, "b");
  EXPECT_TRUE(Until([&] { return !a->GetLinkStatus("b").last_error.empty(); }));
  EXPECT_FALSE(a->GetLinkStatus("b").connected);
  EXPECT_FALSE(b->GetLinkStatus("a").connected);
}

TEST_F(NodeTransportTest, RefusesADiallerWhoseCertificateNamesAnotherNode) {
  Inbox inbox;
  const auto a = Start(OptionsOf("a", "mallory", *ca_), inbox.handler());
  const auto b = Start(Options("b"), inbox.handler());
  Introduce(*a, "a", *b, "b");
  EXPECT_TRUE(Until([&] {
    return a->GetLinkStatus("b").last_error.find("mallory") != std::string::npos;
  })) << a->GetLinkStatus("b").last_error;
  EXPECT_FALSE(b->GetLinkStatus("a").connected);
}

TEST_F(NodeTransportTest, RefusesAListenerWhoseCertificateNamesAnotherNode) {
  Inbox inbox;
  const auto a = Start(Options("a"), inbox.handler());
  const auto b = Start(OptionsOf("b", "mallory", *ca_), inbox.handler());
  Introduce(*a, "a", *b, "b");
  EXPECT_TRUE(Until([&] { return !a->GetLinkStatus("b").last_error.empty(); }));
  EXPECT_FALSE(a->GetLinkStatus("b").connected);
  EXPECT_FALSE(b->GetLinkStatus("a").connected);
}

// An etcd member on the machine "b", say: its certificate names that host, and is no node's.
TEST_F(NodeTransportTest, RefusesAListenerWhoseCertificateNamesTheNodeAsAFurtherHostOnly) {
  Inbox inbox;
  const auto a = Start(Options("a"), inbox.handler());
  NodeTransportOptions options = Options("b");
  const auto other = ca_->IssueNode("etcd-b", {"b"});
  ASSERT_TRUE(other.ok()) << other.status();
  options.certificate = other->certificate_pem;
  options.private_key = other->private_key_pem;
  const auto b = Start(std::move(options), inbox.handler());
  Introduce(*a, "a", *b, "b");
  EXPECT_TRUE(Until([&] { return !a->GetLinkStatus("b").last_error.empty(); }));
  EXPECT_FALSE(a->GetLinkStatus("b").connected);
}

TEST_F(NodeTransportTest, RefusesEnvelopesForAnotherReceiver) {
  Inbox inbox;
  const auto a = Start(Options("a"), inbox.handler());
  // Certified as b, so that only the envelope tells.
  const auto c = Start(OptionsOf("c", "b", *ca_), inbox.handler());
  a->SetPeerAddress("b", c->listen_address());
  EXPECT_TRUE(Until([&] {
    return a->GetLinkStatus("b").last_error.find("an envelope for b came to c") !=
           std::string::npos;
  })) << a->GetLinkStatus("b").last_error;
  EXPECT_FALSE(a->GetLinkStatus("b").connected);
}

TEST_F(NodeTransportTest, DropsWhatDoesNotFitTheQueueAndNeverBlocks) {
  absl::Notification go_on;
  absl::Mutex mutex;
  size_t received = 0;
  Inbox inbox;
  NodeTransportOptions options = Options("a");
  options.max_queue_bytes = 4 << 20;
  const auto a = Start(std::move(options), inbox.handler());
  const auto b = Start(Options("b"), [&](const NodeId&, PeerMessage) {
    go_on.WaitForNotification();
    absl::MutexLock lock(&mutex);
    ++received;
  });
  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  constexpr size_t kMessages = 200;
  for (size_t i = 0; i < kMessages; ++i) a->Send("b", Message(std::string(500'000, 'x')));
  const uint64_t dropped = a->GetLinkStatus("b").dropped_messages;
  EXPECT_GT(dropped, 0u);
  EXPECT_LT(dropped, kMessages);
  go_on.Notify();
  EXPECT_TRUE(Until([&] {
    absl::MutexLock lock(&mutex);
    return received + dropped == kMessages;
  }));
}

TEST_F(NodeTransportTest, EndsAStreamOfGarbageAndServesTheOthers) {
  Inbox inbox;
  const auto a = Start(Options("a"), inbox.handler());
  const auto b = Start(Options("b"), inbox.handler());
  const NodeTransportOptions rogue = Options("a");
  grpc::SslCredentialsOptions tls{rogue.ca_certificate, rogue.private_key, rogue.certificate};
  grpc::ChannelArguments arguments;
  arguments.SetSslTargetNameOverride("b");
  grpc::GenericStub stub(
      grpc::CreateCustomChannel(b->listen_address(), grpc::SslCredentials(tls), arguments));
  grpc::CompletionQueue queue;
  grpc::ClientContext context;
  const auto stream =
      stub.PrepareCall(&context, "/meridian.internal.v1.NodeTransport/Stream", &queue);
  void* tag;
  bool ok;
  stream->StartCall(&tag);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  grpc::Slice garbage(std::string(1000, '\xff'));
  stream->Write(grpc::ByteBuffer(&garbage, 1), &tag);
  ASSERT_TRUE(queue.Next(&tag, &ok) && ok);
  grpc::Status status;
  stream->Finish(&status, &tag);
  ASSERT_TRUE(queue.Next(&tag, &ok));
  EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
  queue.Shutdown();
  while (queue.Next(&tag, &ok)) {
  }

  Introduce(*a, "a", *b, "b");
  ASSERT_TRUE(Connected(*a, "a", *b, "b"));
  a->Send("b", Message("still here"));
  EXPECT_TRUE(Until([&] { return inbox.Contains("a:still here"); }));
}

TEST_F(NodeTransportTest, SaysWhyItCannotListen) {
  Inbox inbox;
  const auto a = Start(Options("a"), inbox.handler());
  NodeTransportOptions taken = Options("b");
  taken.listen_address = a->listen_address();
  EXPECT_EQ(
      StartNodeTransport(std::move(taken), *timers_, random_, inbox.handler()).status().code(),
      absl::StatusCode::kUnavailable);
}

}  // namespace
}  // namespace meridian::replication
