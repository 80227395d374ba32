#include "server/replica_host.h"

#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/synchronization/notification.h"
#include "coordination/in_memory.h"
#include "crypto/node_key.h"
#include "replication/wire.h"
#include "server/cluster_records.h"
#include "storage/node_record_sealers.h"
#include "storage/objects/object_state_machine.h"
#include "storage/objects/records.h"
#include "storage/posix_disk.h"
#include "storage/rocks/node_file_ciphers.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

// Keeps what is sent.
class Outbox final : public replication::Transport {
 public:
  void Send(const NodeId& to, replication::PeerMessage message) override {
    absl::MutexLock lock(&mutex_);
    sent_.emplace_back(to, std::move(message));
  }
  // Waits until something has been sent, and takes it.
  std::pair<NodeId, replication::PeerMessage> Take() {
    absl::MutexLock lock(&mutex_);
    const auto has_some = [this] {
      mutex_.AssertReaderHeld();
      return !sent_.empty();
    };
    mutex_.Await(absl::Condition(&has_some));
    auto first = std::move(sent_.front());
    sent_.erase(sent_.begin());
    return first;
  }

 private:
  absl::Mutex mutex_;
  std::vector<std::pair<NodeId, replication::PeerMessage>> sent_ ABSL_GUARDED_BY(mutex_);
};

class ReplicaHostTest : public testing::Test {
 protected:
  ReplicaHostTest() {
    storage::DiskStoreOptions options;
    options.cluster = ClusterId::Draw(random_);
    options.node = "a";
    options.strand = strand_.get();
    options.clock = &clock_;
    options.random = &random_;
    options.file_ciphers = &file_ciphers_;
    options.record_sealers = &record_sealers_;
    options.rocks_folder = folder_.path() + "/rocks";
    auto opened = storage::DiskStore::Open(*disk_, std::move(options));
    EXPECT_TRUE(opened.ok()) << opened.status();
    store_ = *std::move(opened);

    config_.epoch = Epoch(1);
    for (const auto& [replica, node] : {std::pair(self_, "a"), {b_, "b"}, {c_, "c"}}) {
      const DiskId disk = replica == self_ ? store_->disk_id() : DiskId::Draw(random_);
      config_.members.push_back({replica, node, disk});
    }
    const PartitionRecord record{TenantId::Draw(random_), ContainerId::Draw(random_), "r"};
    Write(PartitionKeyOf(partition_), EncodePartitionRecord(record));
    Write(replication::GroupConfigKey(partition_), replication::EncodeGroupConfig(config_));
    StartHost(absl::Minutes(10));
  }
  void StartHost(absl::Duration keep_unnamed) {
    host_ = std::make_unique<ReplicaHost>(ReplicaHost::Environment{"a",
                                                                   *strand_,
                                                                   clock_,
                                                                   random_,
                                                                   outbox_,
                                                                   coordination_,
                                                                   {store_.get()},
                                                                   state_machine_,
                                                                   objects::EncodeAbortRun,
                                                                   {},
                                                                   keep_unnamed});
    host_->Start();
  }
  ~ReplicaHostTest() override {
    host_->Stop();
    store_.reset();
    strand_.reset();
  }

  void Write(const std::string& key, const std::string& value) {
    absl::Notification written;
    coordination_.Commit({{}, {{key, value}}}, [&written](auto) { written.Notify(); });
    written.WaitForNotification();
  }
  // Another replica, elsewhere, takes the place of the one here.
  void LeaveOut(Epoch epoch) {
    replication::GroupConfig config = config_;
    config.epoch = epoch;
    config.members[0] = {ReplicaId::Draw(random_), "d", DiskId::Draw(random_)};
    Write(replication::GroupConfigKey(partition_), replication::EncodeGroupConfig(config));
  }
  void Send(ReplicaId from, const NodeId& sender, const replication::CoreMessage& message) {
    replication::EncodedBody body = replication::EncodeBody(message);
    strand_->Post([=, this, body = std::move(body.body)] {
      host_->OnMessage(sender, {partition_, from, self_, body, {}});
    });
  }
  // A member asks whether the leader is heard (P3), which is always answered.
  void Probe(ReplicaId from, const NodeId& sender, uint64_t round) {
    Send(from, sender, replication::Probe{Epoch(1), round});
  }

  SystemClock clock_;
  SystemRandom random_;
  TempFolder folder_;
  const crypto::NodeKey node_key_{crypto::SecretKey::Draw(random_)};
  storage::NodeFileCiphers file_ciphers_{node_key_, random_};
  storage::NodeRecordSealers record_sealers_{node_key_};
  const std::unique_ptr<storage::Disk> disk_ = *storage::OpenPosixDisk(folder_.path());
  const std::unique_ptr<Executor> store_thread_ = MakeThreadExecutor("store");
  coordination::InMemoryCoordinationStore coordination_{*store_thread_};
  const objects::ObjectStateMachine state_machine_;
  const PartitionId partition_ = PartitionId::Draw(random_);
  const ReplicaId self_ = ReplicaId::Draw(random_);
  const ReplicaId b_ = ReplicaId::Draw(random_);
  const ReplicaId c_ = ReplicaId::Draw(random_);
  replication::GroupConfig config_;
  Outbox outbox_;
  std::unique_ptr<Executor> strand_ = MakeThreadExecutor("strand");
  std::unique_ptr<storage::DiskStore> store_;
  std::unique_ptr<ReplicaHost> host_;
};

// P4: else one node could make up a quorum.
TEST_F(ReplicaHostTest, ANodeSpeaksForItsOwnReplicasOnly) {
  ASSERT_NE(host_->Find(partition_), nullptr);
  Probe(c_, "b", 1);                        // another's replica
  Probe(ReplicaId::Draw(random_), "b", 2);  // nobody's
  Probe(b_, "front.meridian.dev", 3);       // no storage node
  Probe(b_, "b", 4);
  // What it has to say of its own accord is none.
  std::optional<replication::ProbeReply> reply;
  while (!reply) {
    const auto [to, message] = outbox_.Take();
    const auto body = replication::DecodeBody(message.body, message.attachments);
    ASSERT_TRUE(body.ok()) << body.status();
    const auto* core = std::get_if<replication::CoreMessage>(&*body);
    if (core == nullptr || !std::holds_alternative<replication::ProbeReply>(*core)) continue;
    reply = std::get<replication::ProbeReply>(*core);
    EXPECT_EQ(to, "b");
    EXPECT_EQ(message.to, b_);
  }
  EXPECT_EQ(reply->round, 4u) << "the first three went unanswered";
}

// P6. Members may still fetch from it what they have found damaged.
TEST_F(ReplicaHostTest, AReplicaThatItsGroupNoLongerNamesStaysForAWhile) {
  LeaveOut(Epoch(2));
  // The host has seen it once it lets the new member speak.
  EXPECT_TRUE(Until([this] {
    absl::Notification looked;
    bool told = false;
    strand_->Post([&] {
      told = !host_->Find(partition_)->HasMember(self_, "a");
      looked.Notify();
    });
    looked.WaitForNotification();
    return told;
  }));
  EXPECT_EQ(store_->ListReplicas().size(), 1u);
  EXPECT_TRUE(host_->Problems().empty());
}

TEST_F(ReplicaHostTest, AfterThatItIsRemovedWithItsData) {
  host_->Stop();
  StartHost(absl::ZeroDuration());
  ASSERT_EQ(store_->ListReplicas().size(), 1u);
  LeaveOut(Epoch(2));
  EXPECT_TRUE(Until([this] { return store_->ListReplicas().empty(); }));
  EXPECT_EQ(host_->Find(partition_), nullptr);
}

// P11: a store from the past is no reason to remove anything.
TEST_F(ReplicaHostTest, AReplicaThatHasPromisedMoreThanTheStoreKnowsIsKept) {
  host_->Stop();
  StartHost(absl::ZeroDuration());
  replication::GroupConfig fenced = config_;
  fenced.epoch = Epoch(5);
  fenced.leader = b_;
  Send(b_, "b", replication::Fence{fenced});
  // It answers once its promise is durable.
  for (bool promised = false; !promised;) {
    const auto [to, message] = outbox_.Take();
    const auto body = replication::DecodeBody(message.body, message.attachments);
    ASSERT_TRUE(body.ok()) << body.status();
    const auto* core = std::get_if<replication::CoreMessage>(&*body);
    promised = core != nullptr && std::holds_alternative<replication::FenceReply>(*core);
  }
  LeaveOut(Epoch(3));
  EXPECT_TRUE(Until([this] { return host_->Problems().contains(partition_); }));
  EXPECT_EQ(store_->ListReplicas().size(), 1u);
}

}  // namespace
}  // namespace meridian::server
