// Conversions over a catalog, nodes and groups in memory: what the nodes do with their groups, the
// test does itself.
#include "server/conversion_driver.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "replication/replica.h"
#include "tests/server/fake_nodes.h"
#include "tests/tenancy/testing.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

namespace pb = ::meridian::internal::v1;
using replication::GroupConfig;
using replication::Member;
using tenancy::Conversion;
using tenancy::Redundancy;

// A container of three partitions, each a group of three replicas, all nodes alive.
class ConversionDriverTest : public testing::Test {
 protected:
  static constexpr size_t kPartitions = 3;
  static constexpr uint64_t kBytes = 1000;

  ConversionDriverTest() {
    EXPECT_TRUE(catalog_.CreateContainer(tenant_, "photos").ok());
    tenancy::ContainerRecord record = Record();
    record.partitions.clear();
    for (size_t i = 0; i < kPartitions; ++i) {
      const std::string start = i == 0 ? "" : absl::StrCat("k", i);
      const std::string end = i + 1 == kPartitions ? "" : absl::StrCat("k", i + 1);
      record.partitions.push_back({PartitionId::Draw(catalog_.random), start, end});
    }
    const std::string key = tenancy::ContainerKey(tenant_, record.id);
    EXPECT_TRUE(
        *catalog_.store.Commit(tenant_, {{}, {catalog_.store.Put(key, tenancy::Encode(record))}}));
    for (const tenancy::PartitionRange& range : record.partitions) {
      partitions_.push_back(range.partition);
      AddGroup(record.id, range.partition);
    }
    driver_ = MakeDriver("1a");
  }

  void AddGroup(ContainerId container, PartitionId partition) {
    Write({PartitionKeyOf(partition),
           EncodePartitionRecord({tenant_, container, "east", Redundancy::kZrs})});
    GroupConfig config;
    config.epoch = Epoch(1);
    for (const char* node : {"1a", "2a", "3a"}) config.members.push_back(MemberOn(node));
    config.leader = config.members.front().replica;
    SetConfig(partition, config);
    Report(partition, Redundancy::kZrs);
  }

  tenancy::ContainerRecord Record() { return *catalog_.containers.Get(tenant_, "photos"); }
  Member MemberOn(const NodeId& node) {
    return {ReplicaId::Draw(catalog_.random), node, DiskId::Draw(catalog_.random)};
  }
  void Write(coordination::Write write) {
    EXPECT_TRUE(*catalog_.store.CommitUntold({{}, {std::move(write)}}));
  }
  // Also to be seen in the view.
  void SetConfig(PartitionId partition, const GroupConfig& config) {
    Write({replication::GroupConfigKey(partition), replication::EncodeGroupConfig(config)});
    EXPECT_TRUE(Until([&] {
      const auto group = view_.FindGroup(partition);
      return group && group->config.epoch == config.epoch;
    }));
  }
  GroupConfig ConfigOf(PartitionId partition) { return view_.FindGroup(partition)->config; }
  Redundancy PolicyOf(PartitionId partition) {
    for (const coordination::KeyValue& row : catalog_.coordination.Rows()) {
      if (row.key != PartitionKeyOf(partition)) continue;
      return *DecodePartitionRecord(row.value)->redundancy;
    }
    ADD_FAILURE() << "no record";
    return Redundancy::kGrs;
  }
  size_t CountOf(Redundancy policy) {
    return static_cast<size_t>(std::count_if(partitions_.begin(), partitions_.end(),
                                             [&](auto p) { return PolicyOf(p) == policy; }));
  }

  // The leader says that all its members keep the policy; nullopt: that something is on the way.
  void Report(PartitionId partition, std::optional<Redundancy> settled) {
    const GroupConfig config = ConfigOf(partition);
    pb::ReplicaStatus status;
    status.set_partition_id(std::string(partition.bytes()));
    status.set_replica_id(std::string(config.leader.bytes()));
    status.set_is_serving(true);
    status.set_stored_bytes(kBytes);
    if (settled) {
      status.set_settled_redundancy(static_cast<uint32_t>(*settled));
      status.set_settled_epoch(config.epoch.value());
    }
    Put(ClusterView::LeaderOf(config)->node, status);
  }
  void Put(const NodeId& node, const pb::ReplicaStatus& status) {
    auto& replicas = nodes_.replicas[node];
    std::erase_if(replicas, [&](const pb::ReplicaStatus& replica) {
      return replica.partition_id() == status.partition_id();
    });
    replicas.push_back(status);
  }
  // As the group's leader does it: learners, and, at the end, the members.
  void BeginMove(PartitionId partition, uint64_t learner_bytes) {
    GroupConfig config = ConfigOf(partition);
    ++config.epoch;
    config.learners = {MemberOn("1b"), MemberOn("1c")};
    SetConfig(partition, config);
    Report(partition, std::nullopt);
    for (const Member& learner : config.learners) {
      pb::ReplicaStatus status;
      status.set_partition_id(std::string(partition.bytes()));
      status.set_replica_id(std::string(learner.replica.bytes()));
      status.set_stored_bytes(learner_bytes);
      Put(learner.node, status);
    }
  }
  void EndMove(PartitionId partition) {
    GroupConfig config = ConfigOf(partition);
    ++config.epoch;
    std::vector<Member> members = {config.members.front()};
    members.insert(members.end(), config.learners.begin(), config.learners.end());
    config.members = members;
    config.learners.clear();
    SetConfig(partition, config);
    Report(partition, PolicyOf(partition));
  }
  void MoveAllThatMay() {
    for (const PartitionId partition : partitions_) {
      if (PolicyOf(partition) == Redundancy::kLrs && ConfigOf(partition).epoch == Epoch(1)) {
        BeginMove(partition, 0);
        EndMove(partition);
      }
    }
  }

  std::unique_ptr<ConversionDriver> MakeDriver(const NodeId& node) {
    return std::make_unique<ConversionDriver>(ConversionDriver::Environment{
        node,
        conversions_,
        catalog_.containers,
        catalog_.store,
        view_,
        nodes_,
        catalog_.clock,
        {.interval = absl::Seconds(1), .max_moves = 2, .rate_window = absl::Minutes(1)}});
  }
  void Start(Redundancy target = Redundancy::kLrs, const std::string& container = "photos") {
    const uint64_t generation = catalog_.containers.Get(tenant_, container)->partition_generation;
    const auto started = conversions_.Start(tenant_, container, {target, generation, ""});
    ASSERT_TRUE(started.ok()) << started.status();
  }
  tenancy::ConversionProgress Progress() {
    const auto progress = conversions_.FindProgress({tenant_, Record().id});
    EXPECT_TRUE(progress.ok() && *progress) << progress.status();
    return progress.ok() && *progress ? **progress : tenancy::ConversionProgress();
  }

  tenancy::TestCatalog catalog_;
  const TenantId tenant_ = catalog_.tenants.Create("acme", "", "")->id;
  tenancy::ConversionCatalog conversions_{catalog_.store, catalog_.containers};
  ClusterView view_{catalog_.coordination};
  FakeNodes nodes_;
  std::vector<PartitionId> partitions_;
  std::unique_ptr<ConversionDriver> driver_;
};

TEST_F(ConversionDriverTest, TheRedundancyChangesOnceTheLastPartitionKeepsIt) {
  Start();
  for (int round = 0; round < 10 && Record().conversion; ++round) {
    driver_->Round();
    if (CountOf(Redundancy::kLrs) < kPartitions) {
      EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
    }
    MoveAllThatMay();
  }
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
  EXPECT_FALSE(Record().conversion);
  EXPECT_EQ(CountOf(Redundancy::kLrs), kPartitions);
}

TEST_F(ConversionDriverTest, AFewPartitionsAreOnTheWayAtATime) {
  Start();
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u);
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u);
  BeginMove(partitions_[0], 0);
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u) << "a move is no end";
  EndMove(partitions_[0]);
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 3u);
}

TEST_F(ConversionDriverTest, APausedOneBeginsNothingAndDoesNotEnd) {
  Start();
  driver_->Round();
  ASSERT_TRUE(conversions_.Pause(tenant_, "photos").ok());
  MoveAllThatMay();
  driver_->Round();
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u);
  EXPECT_EQ(Progress().partitions_done, 2u) << "what was under way has come to its end";
  ASSERT_TRUE(conversions_.Resume(tenant_, "photos").ok());
  driver_->Round();
  ASSERT_TRUE(conversions_.Pause(tenant_, "photos").ok());
  MoveAllThatMay();
  driver_->Round();
  EXPECT_EQ(Progress().partitions_done, kPartitions);
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  ASSERT_TRUE(conversions_.Resume(tenant_, "photos").ok());
  driver_->Round();
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
}

TEST_F(ConversionDriverTest, ACancelledOneTurnsAllRoundAtOnceAndEndsWhereItBegan) {
  Start();
  driver_->Round();
  BeginMove(partitions_[0], 0);
  EndMove(partitions_[0]);
  BeginMove(partitions_[1], 10);
  driver_->Round();
  ASSERT_TRUE(conversions_.Cancel(tenant_, "photos").ok());
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kZrs), kPartitions);
  EXPECT_TRUE(Record().conversion) << "two groups still are elsewhere";
  for (const PartitionId partition : partitions_) {
    GroupConfig config = ConfigOf(partition);
    ++config.epoch;
    config.members = {config.members[0], MemberOn("2a"), MemberOn("3a")};
    config.learners.clear();
    SetConfig(partition, config);
    Report(partition, Redundancy::kZrs);
  }
  driver_->Round();
  EXPECT_FALSE(Record().conversion);
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
}

TEST_F(ConversionDriverTest, AnotherNodeGoesOnWhereOneHasDied) {
  Start();
  driver_->Round();
  MoveAllThatMay();
  driver_.reset();
  auto other = MakeDriver("2a");
  other->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u) << "it does not lead the first partition";
  // The first partition's leader has died with the driver.
  GroupConfig config = ConfigOf(partitions_[0]);
  ++config.epoch;
  config.members[1] = MemberOn("2a");
  config.leader = config.members[1].replica;
  SetConfig(partitions_[0], config);
  nodes_.replicas["1a"].clear();
  Report(partitions_[0], Redundancy::kLrs);
  for (size_t i = 1; i < kPartitions; ++i) Report(partitions_[i], PolicyOf(partitions_[i]));
  for (int round = 0; round < 10 && Record().conversion; ++round) {
    other->Round();
    MoveAllThatMay();
  }
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
}

TEST_F(ConversionDriverTest, ALeaderThatIsReplacedDoesNotCallItsGroupSettled) {
  Start();
  driver_->Round();
  MoveAllThatMay();
  driver_->Round();
  MoveAllThatMay();
  // Another leads the last group by now, and is about to change it; the old leader does not know.
  nodes_.asked = [this] {
    GroupConfig config = ConfigOf(partitions_[2]);
    if (config.epoch > Epoch(3)) return;
    ++config.epoch;
    config.learners = {MemberOn("2a")};
    Write({replication::GroupConfigKey(partitions_[2]), replication::EncodeGroupConfig(config)});
  };
  driver_->Round();
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  EXPECT_TRUE(Record().conversion);
}

TEST_F(ConversionDriverTest, TwoDriversAtOnceDoNoHarm) {
  Start();
  auto other = MakeDriver("1a");
  driver_->Round();
  // Each acts on what the other has changed meanwhile.
  nodes_.asked = [&] {
    nodes_.asked = nullptr;
    other->Round();
  };
  driver_->Round();
  MoveAllThatMay();
  driver_->Round();
  MoveAllThatMay();
  nodes_.asked = [&] {
    nodes_.asked = nullptr;
    other->Round();
  };
  driver_->Round();
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
  EXPECT_FALSE(Record().conversion);
}

TEST_F(ConversionDriverTest, ACancellationInTheMiddleOfARoundWins) {
  Start();
  driver_->Round();
  MoveAllThatMay();
  driver_->Round();
  MoveAllThatMay();
  nodes_.asked = [this] {
    nodes_.asked = nullptr;
    EXPECT_TRUE(conversions_.Cancel(tenant_, "photos").ok());
  };
  driver_->Round();
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  EXPECT_EQ(Record().conversion->state, Conversion::State::kCancelling);
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kZrs), kPartitions);
}

// A node that hangs holds up the round once, however many conversions there are.
TEST_F(ConversionDriverTest, NodesAreAskedOnceForAllConversions) {
  ASSERT_TRUE(catalog_.CreateContainer(tenant_, "videos").ok());
  const tenancy::ContainerRecord videos = *catalog_.containers.Get(tenant_, "videos");
  const PartitionId partition = videos.partitions.front().partition;
  AddGroup(videos.id, partition);
  Start();
  Start(Redundancy::kLrs, "videos");
  driver_->Round();
  EXPECT_EQ(nodes_.asks, 1);
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u);
  EXPECT_EQ(PolicyOf(partition), Redundancy::kLrs);
}

TEST_F(ConversionDriverTest, ProgressIsWhatReplicasHave) {
  Start();
  driver_->Round();
  EXPECT_EQ(Progress().partitions_total, kPartitions);
  EXPECT_EQ(Progress().bytes_total, kPartitions * kBytes);
  EXPECT_EQ(Progress().bytes_done, 0u);
  EXPECT_FALSE(Progress().estimated_end) << "nothing has moved";
  BeginMove(partitions_[0], 100);
  driver_->Round();
  EXPECT_EQ(Progress().bytes_done, 100u);
  catalog_.clock.Advance(absl::Seconds(10));
  for (auto& replica : nodes_.replicas["1b"]) replica.set_stored_bytes(400);
  for (auto& replica : nodes_.replicas["1c"]) replica.set_stored_bytes(200);
  driver_->Round();
  EXPECT_EQ(Progress().bytes_done, 300u) << "the average of the two new replicas";
  // 300 in 10 s since the first round; 2700 are left.
  const absl::Time end = catalog_.clock.WallNow() + absl::Seconds(90);
  ASSERT_TRUE(Progress().estimated_end);
  EXPECT_LT(absl::AbsDuration(*Progress().estimated_end - end), absl::Seconds(2));
  EndMove(partitions_[0]);
  driver_->Round();
  EXPECT_EQ(Progress().bytes_done, kBytes);
  EXPECT_EQ(Progress().partitions_done, 1u);
}

// P7: a child that is not in the map yet has the policy of before.
TEST_F(ConversionDriverTest, WaitsForASplitThatHasBegunBefore) {
  const PartitionId child = PartitionId::Draw(catalog_.random);
  PartitionRecord record{tenant_, Record().id, "east", Redundancy::kZrs};
  record.parent = partitions_[1];
  Write({PartitionKeyOf(child), EncodePartitionRecord(record)});
  Start();
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 0u);
  record.parent.reset();
  Write({PartitionKeyOf(child), EncodePartitionRecord(record)});
  driver_->Round();
  EXPECT_EQ(CountOf(Redundancy::kLrs), 2u);
}

TEST_F(ConversionDriverTest, SaysWhyItDoesNotGoOn) {
  Start();
  driver_->Round();
  for (auto& replica : nodes_.replicas["1a"]) {
    replica.set_placement_problem("LRS needs a zone with 3 nodes");
    replica.clear_settled_redundancy();
  }
  driver_->Round();
  // Tenants read it.
  EXPECT_EQ(Progress().problem,
            "a replica cannot be placed; `meridian cluster status` tells administrators why");
  nodes_.replicas.clear();
  driver_->Round();
  EXPECT_EQ(Progress().problem, "a partition has no leader");
}

// Of a newer program, say.
TEST_F(ConversionDriverTest, AnUnreadableRecordHoldsUpItsOwnContainerOnly) {
  ASSERT_TRUE(catalog_.CreateContainer(tenant_, "videos").ok());
  const tenancy::ContainerRecord videos = *catalog_.containers.Get(tenant_, "videos");
  const PartitionId partition = videos.partitions.front().partition;
  AddGroup(videos.id, partition);
  pb::PartitionRecord newer;
  newer.set_format_version(2);
  newer.set_container_id(std::string(videos.id.bytes()));
  for (const std::string& record : {newer.SerializeAsString(), std::string("\xff")}) {
    Write({PartitionKeyOf(partition), record});
    const Redundancy target =
        Record().redundancy == Redundancy::kZrs ? Redundancy::kLrs : Redundancy::kZrs;
    if (!catalog_.containers.Get(tenant_, "videos")->conversion) Start(Redundancy::kLrs, "videos");
    Start(target);
    for (int round = 0; round < 10 && Record().conversion; ++round) {
      driver_->Round();
      for (const PartitionId part : partitions_) Report(part, PolicyOf(part));
    }
    EXPECT_EQ(Record().redundancy, target);
    const auto progress = conversions_.FindProgress({tenant_, videos.id});
    ASSERT_TRUE(progress.ok() && *progress) << progress.status();
    EXPECT_FALSE((*progress)->problem.empty());
  }
  Write({PartitionKeyOf(partition),
         EncodePartitionRecord({tenant_, videos.id, "east", Redundancy::kZrs})});
  driver_->Round();
  EXPECT_EQ(PolicyOf(partition), Redundancy::kLrs);
  EXPECT_TRUE(conversions_.FindProgress({tenant_, videos.id})->value().problem.empty());
}

// It may be of a split's child that has the policy of before.
TEST_F(ConversionDriverTest, NothingEndsWhileARecordIsThereThatIsNobodyKnowsWhose) {
  const PartitionId stray = PartitionId::Draw(catalog_.random);
  Write({PartitionKeyOf(stray), "\xff"});
  Start();
  for (int round = 0; round < 5; ++round) {
    driver_->Round();
    MoveAllThatMay();
  }
  EXPECT_EQ(CountOf(Redundancy::kLrs), kPartitions);
  EXPECT_EQ(Record().redundancy, Redundancy::kZrs);
  EXPECT_FALSE(Progress().problem.empty());
  Write({PartitionKeyOf(stray), std::nullopt});
  driver_->Round();
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
}

TEST_F(ConversionDriverTest, AStoreThatFailsInTheMiddleCostsTimeOnly) {
  Start();
  driver_->Round();
  MoveAllThatMay();
  catalog_.coordination.reachable = false;
  driver_->Round();
  catalog_.coordination.reachable = true;
  for (int round = 0; round < 10 && Record().conversion; ++round) {
    driver_->Round();
    MoveAllThatMay();
  }
  EXPECT_EQ(Record().redundancy, Redundancy::kLrs);
}

}  // namespace
}  // namespace meridian::server
