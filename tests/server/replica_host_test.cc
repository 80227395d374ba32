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
#include "server/await.h"
#include "server/cluster_records.h"
#include "server/recovery_record.h"
#include "storage/node_record_sealers.h"
#include "storage/objects/keys.h"
#include "storage/objects/object_reader.h"
#include "storage/objects/object_state_machine.h"
#include "storage/objects/records.h"
#include "storage/posix_disk.h"
#include "storage/rocks/node_file_ciphers.h"
#include "tests/fakes/space_quota.h"
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
    store_ = OpenStore(*disk_, folder_.path(), nullptr);

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
  std::unique_ptr<storage::DiskStore> OpenStore(storage::Disk& disk, const std::string& folder,
                                                rocksdb::Env* rocks_env) {
    storage::DiskStoreOptions options;
    options.cluster = cluster_;
    options.node = "a";
    options.strand = strand_.get();
    options.clock = &clock_;
    options.random = &random_;
    options.file_ciphers = &file_ciphers_;
    options.record_sealers = &record_sealers_;
    options.rocks_folder = folder + "/rocks";
    options.rocks_env = rocks_env;
    auto opened = storage::DiskStore::Open(disk, std::move(options));
    EXPECT_TRUE(opened.ok()) << opened.status();
    return *std::move(opened);
  }
  void StartHost(absl::Duration keep_unnamed, storage::DiskStore* other = nullptr) {
    std::vector<storage::DiskStore*> disks{store_.get()};
    if (other != nullptr) disks.push_back(other);
    host_ = std::make_unique<ReplicaHost>(ReplicaHost::Environment{"a",
                                                                   *strand_,
                                                                   clock_,
                                                                   random_,
                                                                   outbox_,
                                                                   coordination_,
                                                                   disks,
                                                                   state_machine_,
                                                                   objects::EncodeAbortRun,
                                                                   {},
                                                                   keep_unnamed,
                                                                   absl::Hours(24)});
    host_->Start();
  }
  ~ReplicaHostTest() override {
    if (quota_store_ != nullptr) quota_store_->BeginStop();
    host_->Stop();
    quota_store_.reset();
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
  // A group of one replica, here; its record says whose split it comes from.
  void MakeGroup(PartitionId partition, std::optional<PartitionId> parent) {
    MakeGroup(partition, parent, *store_);
  }
  void MakeGroup(PartitionId partition, std::optional<PartitionId> parent,
                 const storage::DiskStore& store) {
    PartitionRecord record{TenantId::Draw(random_), container_, "r"};
    record.parent = parent;
    replication::GroupConfig config;
    config.epoch = Epoch(1);
    config.members = {{ReplicaId::Draw(random_), "a", store.disk_id()}};
    Write(PartitionKeyOf(partition), EncodePartitionRecord(record));
    Write(replication::GroupConfigKey(partition), replication::EncodeGroupConfig(config));
  }
  bool Serves(PartitionId partition) {
    const std::shared_ptr<HostedReplica> replica = host_->Find(partition);
    if (replica == nullptr) return false;
    const auto status = AwaitUntil<replication::ReplicaStatus>(
        absl::InfiniteFuture(), [&](std::function<void(replication::ReplicaStatus)> done) {
          replica->GetStatus(std::move(done));
        });
    return status->is_serving;
  }
  objects::pb::Outcome::Code Propose(PartitionId partition, const objects::pb::Command& command) {
    using Answer = absl::StatusOr<replication::Applied>;
    const auto applied =
        AwaitUntil<Answer>(absl::InfiniteFuture(), [&](std::function<void(Answer)> done) {
          replication::Proposal proposal;
          proposal.command = objects::EncodeRecord(command);
          host_->Find(partition)->Propose(std::move(proposal), std::move(done));
        });
    EXPECT_TRUE(applied->ok()) << applied->status();
    if (!applied->ok()) return objects::pb::Outcome::CODE_UNSPECIFIED;
    return objects::DecodeRecord<objects::pb::Outcome>((*applied)->outcome)->code();
  }
  objects::pb::Outcome::Code PutEmpty(PartitionId partition, const std::string& name) {
    objects::pb::Manifest manifest;
    objects::pb::Command put;
    put.mutable_put_version()->set_name(name);
    put.mutable_put_version()->mutable_record()->set_format_version(
        objects::VersionFormatOf(kFirstClusterFormat));
    put.mutable_put_version()->mutable_record()->set_version_id(
        std::string(VersionId::Draw(random_).bytes()));
    put.mutable_put_version()->mutable_record()->set_manifest(objects::EncodeRecord(manifest));
    return Propose(partition, put);
  }
  // `epoch`: the parent leads in it.
  objects::pb::Outcome::Code Split(PartitionId parent, PartitionId child, const std::string& key,
                                   uint64_t epoch) {
    objects::pb::Command split;
    split.mutable_split_partition()->set_child_partition_id(std::string(child.bytes()));
    split.mutable_split_partition()->set_key(key);
    split.mutable_split_partition()->set_epoch(epoch);
    return Propose(parent, split);
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
  const ClusterId cluster_ = ClusterId::Draw(random_);
  TempFolder folder_;
  const crypto::NodeKey node_key_{crypto::SecretKey::Draw(random_)};
  storage::NodeFileCiphers file_ciphers_{node_key_, random_};
  storage::NodeRecordSealers record_sealers_{node_key_};
  const std::unique_ptr<storage::Disk> disk_ = *storage::OpenPosixDisk(folder_.path());
  // Of a second disk, whose rows are under a quota.
  TempFolder quota_folder_;
  storage::SpaceQuota quota_{uint64_t{1} << 30};
  const std::unique_ptr<rocksdb::Env> quota_env_ = storage::NewQuotaEnv(quota_);
  const std::unique_ptr<storage::Disk> quota_disk_ = *storage::OpenPosixDisk(quota_folder_.path());
  const std::unique_ptr<Executor> store_thread_ = MakeThreadExecutor("store");
  coordination::InMemoryCoordinationStore coordination_{*store_thread_};
  const objects::ObjectStateMachine state_machine_;
  const PartitionId partition_ = PartitionId::Draw(random_);
  const ReplicaId self_ = ReplicaId::Draw(random_);
  const ReplicaId b_ = ReplicaId::Draw(random_);
  const ReplicaId c_ = ReplicaId::Draw(random_);
  const ContainerId container_ = ContainerId::Draw(random_);
  replication::GroupConfig config_;
  Outbox outbox_;
  std::unique_ptr<Executor> strand_ = MakeThreadExecutor("strand");
  std::unique_ptr<storage::DiskStore> store_;
  std::unique_ptr<storage::DiskStore> quota_store_;  // null: none
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

// P7: an empty replica that believed itself whole would lose the names that moved.
TEST_F(ReplicaHostTest, AChildBeginsWithItsParentsRowsOrNotAtAll) {
  const PartitionId parent = PartitionId::Draw(random_);
  const PartitionId child = PartitionId::Draw(random_);
  MakeGroup(parent, std::nullopt);
  ASSERT_TRUE(Until([&] { return Serves(parent); }));
  ASSERT_EQ(PutEmpty(parent, "a"), objects::pb::Outcome::OK);
  ASSERT_EQ(PutEmpty(parent, "m"), objects::pb::Outcome::OK);
  MakeGroup(child, parent);
  ASSERT_TRUE(Until([&] { return store_->ListReplicas().size() == 3; }));
  // A restart of the node does not make it whole either.
  host_->Stop();
  StartHost(absl::Minutes(10));
  ASSERT_TRUE(Until([&] { return Serves(parent); }));
  EXPECT_EQ(host_->Find(child), nullptr);

  ASSERT_EQ(Split(parent, child, "c", 3), objects::pb::Outcome::OK);
  ASSERT_TRUE(Until([&] { return Serves(child); }));
  const auto view = host_->Find(child)->NewView();
  EXPECT_TRUE(objects::ObjectReader(*view).Newest("m")->has_value());
  EXPECT_EQ(PutEmpty(child, "a"), objects::pb::Outcome::MOVED);
  EXPECT_EQ(PutEmpty(parent, "m"), objects::pb::Outcome::MOVED);
  EXPECT_EQ(PutEmpty(child, "m"), objects::pb::Outcome::OK);
  // Nor does it begin anew at the next start.
  host_->Stop();
  StartHost(absl::Minutes(10));
  ASSERT_TRUE(Until([&] { return Serves(child); }));
  EXPECT_EQ(host_->Find(child)->NewView()->Get(objects::MetaKey())->has_value(), true);
}

// P23: whatever it was, it owns what the container's map gives it, and nothing before that is
// known.
TEST_F(ReplicaHostTest, APartitionThatBeginsAnewOwnsItsNamesAndHoldsNothing) {
  const PartitionId partition = PartitionId::Draw(random_);
  replication::GroupConfig config;
  config.epoch = Epoch(6);
  config.members = {{ReplicaId::Draw(random_), "a", store_->disk_id()}};
  v1::GroupRecovery recovery;
  recovery.set_epoch(6);
  recovery.set_began_empty(true);
  recovery.set_survivor(config.members.front().replica.ToHex());
  Write(RecoveredKeyOf(partition), EncodeRecoveries({recovery}));
  Write(PartitionKeyOf(partition),
        EncodePartitionRecord({TenantId::Draw(random_), container_, "r"}));
  Write(replication::GroupConfigKey(partition), replication::EncodeGroupConfig(config));
  ASSERT_TRUE(Until([&] { return store_->ListReplicas().size() == 2; }));
  host_->Stop();
  StartHost(absl::Minutes(10));  // it has looked at all of them
  EXPECT_EQ(host_->Find(partition), nullptr);

  host_->SetNames(config.members.front().replica, {"g", "m"});
  ASSERT_TRUE(Until([&] { return Serves(partition); }));
  const objects::NameRange owned{"g", "m"};
  EXPECT_EQ(*objects::ObjectReader(*host_->Find(partition)->NewView()).Owned(), owned);
  EXPECT_EQ(PutEmpty(partition, "a"), objects::pb::Outcome::MOVED);
  EXPECT_EQ(PutEmpty(partition, "h"), objects::pb::Outcome::OK);
  // It goes on as what it is.
  host_->SetNames(config.members.front().replica, {"", ""});
  host_->Stop();
  StartHost(absl::Minutes(10));
  ASSERT_TRUE(Until([&] { return Serves(partition); }));
  const auto view = host_->Find(partition)->NewView();
  EXPECT_EQ(*objects::ObjectReader(*view).Owned(), owned);
  EXPECT_TRUE(objects::ObjectReader(*view).Newest("h")->has_value());
}

// As it is being looked for its rows, too: then it must not be taken for one that has none to come.
TEST_F(ReplicaHostTest, AChildIsBuiltWheneverItsSplitIsApplied) {
  const PartitionId parent = PartitionId::Draw(random_);
  MakeGroup(parent, std::nullopt);
  ASSERT_TRUE(Until([&] { return Serves(parent); }));
  for (char key = 'z'; key > 'a'; --key) {
    const PartitionId child = PartitionId::Draw(random_);
    MakeGroup(child, parent);
    ASSERT_EQ(Split(parent, child, std::string(1, key), 2), objects::pb::Outcome::OK);
    ASSERT_TRUE(Until([&] { return Serves(child); })) << key;
    objects::pb::Command finish;
    finish.mutable_finish_split()->set_child_partition_id(std::string(child.bytes()));
    ASSERT_EQ(Propose(parent, finish), objects::pb::Outcome::OK);
  }
}

TEST_F(ReplicaHostTest, AFullDiskHoldsUpNoReplicaOfAnother) {
  quota_store_ = OpenStore(*quota_disk_, quota_folder_.path(), quota_env_.get());
  host_->Stop();
  StartHost(absl::Minutes(10), quota_store_.get());
  const PartitionId parent = PartitionId::Draw(random_);
  const PartitionId child = PartitionId::Draw(random_);
  MakeGroup(parent, std::nullopt, *quota_store_);
  MakeGroup(child, parent, *quota_store_);
  ASSERT_TRUE(Until([&] { return Serves(parent); }));
  ASSERT_EQ(PutEmpty(parent, "m"), objects::pb::Outcome::OK);
  // A flush of the child's rows begins, and then there is no room for it.
  quota_.set_reported_free_bytes(1 << 30);
  quota_.TakeRest();
  ASSERT_EQ(Split(parent, child, "c", 2), objects::pb::Outcome::OK);
  EXPECT_TRUE(Until([&] { return absl::IsResourceExhausted(host_->Problems()[child]); }));
  const PartitionId other = PartitionId::Draw(random_);
  MakeGroup(other, std::nullopt);
  EXPECT_TRUE(Until([&] { return Serves(other); }));
  EXPECT_FALSE(Serves(child));

  quota_.set_capacity_bytes(1 << 30);
  EXPECT_TRUE(Until([&] { return Serves(child); }));
  EXPECT_EQ(PutEmpty(child, "m"), objects::pb::Outcome::OK);
}

}  // namespace
}  // namespace meridian::server
