// Nodes that ask each other: who takes whom for a node.
#include "server/peer_client.h"

#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "coordination/in_memory.h"
#include "crypto/certificate_authority.h"
#include "replication/transport/node_transport.h"
#include "server/cluster_records.h"
#include "server/cluster_view.h"
#include "server/node_service.h"
#include "tests/coordination/blocking_store.h"

namespace meridian::server {
namespace {

class PeerClientTest : public testing::Test {
 protected:
  PeerClientTest() { handlers_.SetNodes({"a", "b"}); }

  TlsMaterial Issue(const NodeId& name, const std::vector<std::string>& more_hosts = {}) {
    const auto identity = (*ca_)->IssueNode(name, more_hosts);
    EXPECT_TRUE(identity.ok()) << identity.status();
    return {(*ca_)->certificate_pem(), identity->certificate_pem, identity->private_key_pem};
  }

  // What a process with the one certificate hears if it asks node "b", where one with the other
  // listens. "b" has not started to serve.
  std::string Ask(const TlsMaterial& asks, const TlsMaterial& listens) {
    replication::NodeTransportOptions options;
    options.self = "b";
    options.ca_certificate = listens.ca_certificate;
    options.certificate = listens.certificate;
    options.private_key = listens.private_key;
    options.services = {&handlers_};
    const auto server = replication::StartNodeTransport(
        std::move(options), *timers_, random_, [](const NodeId&, replication::PeerMessage) {});
    EXPECT_TRUE(server.ok()) << server.status();
    const NodeRecord record{"", (*server)->listen_address(), {}};
    EXPECT_TRUE(
        coordination::BlockingCommit(store_, {{}, {{NodeKeyOf("b"), EncodeNodeRecord(record)}}})
            .ok());
    ClusterView view(store_);
    EXPECT_TRUE(view.WaitUntilRead(absl::Seconds(10)).ok());
    const auto answers = MakePeerClient(view, asks)->GetNodeStatuses({"b"}, {}, absl::Seconds(10));
    return answers.at("b").status().ToString();
  }

  SystemClock clock_;
  SystemRandom random_;
  const absl::StatusOr<std::unique_ptr<crypto::CertificateAuthority>> ca_ =
      crypto::CertificateAuthority::Create("test", clock_);
  const std::unique_ptr<Executor> timers_ = MakeThreadExecutor("timers");
  const std::unique_ptr<Executor> executor_ = MakeThreadExecutor("store");
  coordination::InMemoryCoordinationStore store_{*executor_};
  NodeServiceHandlers handlers_;
};

TEST_F(PeerClientTest, ANodeAnswersANode) {
  EXPECT_EQ(Ask(Issue("a"), Issue("b")), "UNAVAILABLE: the node is starting");
}

TEST_F(PeerClientTest, AnEtcdMemberOnTheSameMachineIsNotTakenForTheNode) {
  const std::string answer = Ask(Issue("a"), Issue("etcd-b", {"b"}));
  EXPECT_EQ(answer.find("the node is starting"), std::string::npos) << answer;
  EXPECT_EQ(answer.find("OK"), std::string::npos) << answer;
}

TEST_F(PeerClientTest, ACertificateOfNoNodeAsksInVain) {
  EXPECT_EQ(Ask(Issue("etcd-a", {"a"}), Issue("b")),
            "UNAVAILABLE: \"etcd-a\" is not known here as a node");
  EXPECT_EQ(Ask(Issue("c"), Issue("b")), "UNAVAILABLE: \"c\" is not known here as a node");
}

}  // namespace
}  // namespace meridian::server
