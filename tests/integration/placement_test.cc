// Nodes that are emptied, removed, or gone for good: replicas move while clients read and write,
// and nothing acknowledged is lost (I1, P4, P6).
#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kLrs[] = "tenants/acme/containers/l";
constexpr char kZrs[] = "tenants/acme/containers/z";
constexpr char kTopology[] = R"(
  regions { name: "east"
    zones { name: "east-1" nodes: ["east-1a", "east-1b", "east-1c", "east-1d"] }
    zones { name: "east-2" nodes: ["east-2a", "east-2b"] }
    zones { name: "east-3" nodes: ["east-3a"] } }
)";

// Puts objects until told to stop; afterwards every acknowledged one must be there.
class Writer {
 public:
  Writer(const Profile& profile, const std::string& container, size_t size)
      : client_(profile), container_(container), thread_([this, size] { Run(size); }) {}
  ~Writer() { Stop(); }

  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  size_t acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return bodies_.size();
  }
  // After Stop.
  const std::map<std::string, std::string>& bodies() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return bodies_;
  }
  const absl::Status& error() const { return error_; }

 private:
  void Run(size_t size) {
    for (int i = 0; !stop_; ++i) {
      const std::string name = absl::StrCat("o", i);
      std::string body = absl::StrCat(name, ":");
      body.resize(i % 5 == 0 ? size : 500, static_cast<char>('a' + i % 26));
      v1::WriteSpec spec;
      spec.set_container(container_);
      spec.set_name(name);
      const auto written = client_.WriteObject(spec, body);
      if (!written.ok()) {
        error_ = written.status();
        return;
      }
      absl::MutexLock lock(&mutex_);
      bodies_[name] = std::move(body);
    }
  }

  Client client_;
  const std::string container_;
  std::atomic<bool> stop_{false};
  absl::Status error_;  // after Stop
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> bodies_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class PlacementTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(kTopology);
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "l", v1::LRS).ok());
    ASSERT_TRUE(MakeContainer(*client_, "acme", "z", v1::ZRS).ok());
  }
  void Configure(server::DevOptions& options) override {
    options.placement.interval = absl::Milliseconds(100);
    options.placement.patience = absl::Seconds(3);
    options.placement.keep_unnamed = absl::Seconds(1);
  }

  v1::Node NodeNamed(const std::string& name) {
    const auto nodes = admin_->ListNodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    for (const v1::Node& node : nodes->nodes()) {
      if (node.name() == name) return node;
    }
    return v1::Node();
  }
  static std::set<std::string> NodesOf(const v1::Group& group) {
    std::set<std::string> nodes;
    for (const v1::Replica& member : group.members()) nodes.insert(member.node());
    return nodes;
  }
  static std::set<std::string> DisksOf(const v1::Group& group) {
    std::set<std::string> disks;
    for (const v1::Replica& member : group.members()) disks.insert(member.disk_id());
    return disks;
  }
  // Of the group's replica on the node; empty if there is none.
  std::string DiskOf(const std::string& container, const std::string& node) {
    const v1::Group group = GroupOf(container);
    for (const v1::Replica& member : group.members()) {
      if (member.node() == node) return member.disk_id();
    }
    return "";
  }
  // Of the node's only disk, and its key.
  std::string FolderOf(const std::string& node) const { return data_folder() + "/nodes/" + node; }
  // As `meridian disk replace` does.
  bool TakenOut(const std::string& disk) {
    return Until([&] {
      const auto progress = admin_->ReplaceDisk(disk, /*cancel=*/false);
      return progress.ok() && progress->removed();
    });
  }
  bool WritesGoOn(const Writer& writer) {
    const size_t before = writer.acknowledged();
    return Until([&] { return writer.acknowledged() >= before + 20; });
  }
  void ExpectAllThere(const std::string& container, const Writer& writer) {
    EXPECT_TRUE(writer.error().ok()) << writer.error();
    EXPECT_GT(writer.bodies().size(), 20u);
    for (const auto& [name, body] : writer.bodies()) {
      const auto read = Get(*client_, container, name);
      ASSERT_TRUE(read.ok()) << name << " " << read.status();
      ASSERT_TRUE(*read == body) << name;
    }
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

// Members that are silent are waited for.
class PatientPlacementTest : public PlacementTest {
 protected:
  void Configure(server::DevOptions& options) override {
    PlacementTest::Configure(options);
    options.placement.patience = absl::Hours(1);
  }
};

TEST_F(PlacementTest, ANodeIsEmptiedAndRemovedUnderLoad) {
  const std::string leaving = GroupOf(kLrs).leader_node();
  Writer writer(profile_, kLrs, 3'000'000);
  ASSERT_TRUE(WritesGoOn(writer));
  EXPECT_EQ(admin_->RemoveNode(leaving).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(admin_->DrainNode(leaving, /*cancel=*/false).ok());
  ASSERT_TRUE(Until([&] { return NodeNamed(leaving).assigned_replica_count() == 0; }));
  EXPECT_TRUE(NodeNamed(leaving).draining());
  ASSERT_TRUE(WritesGoOn(writer));
  EXPECT_FALSE(NodesOf(GroupOf(kLrs)).contains(leaving));
  // Its data goes, too.
  EXPECT_TRUE(Until([&] { return NodeNamed(leaving).replica_count() == 0; }));
  EXPECT_EQ(admin_->RemoveNode(leaving).code(), absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(admin_->StopNode(leaving).ok());
  ASSERT_TRUE(Until([&] { return admin_->RemoveNode(leaving).ok(); }));
  EXPECT_TRUE(Until([&] { return NodeNamed(leaving).name().empty(); }));
  EXPECT_EQ(admin_->DrainNode(leaving, false).code(), absl::StatusCode::kNotFound);
  ASSERT_TRUE(WritesGoOn(writer));
  writer.Stop();
  ExpectAllThere(kLrs, writer);
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLrs), absl::OkStatus());
}

TEST_F(PlacementTest, WhatANodeHeldThatIsGoneIsRebuiltElsewhere) {
  const std::string lost = GroupOf(kLrs).leader_node();
  Writer writer(profile_, kLrs, 3'000'000);
  ASSERT_TRUE(WritesGoOn(writer));
  ASSERT_TRUE(admin_->StopNode(lost).ok());
  ASSERT_TRUE(Until([&] { return !NodesOf(GroupOf(kLrs)).contains(lost); }));
  ASSERT_TRUE(WritesGoOn(writer));
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLrs), absl::OkStatus());
  // It comes back with a replica that is nobody's any more.
  ASSERT_TRUE(admin_->StartNode(lost).ok());
  EXPECT_TRUE(Until([&] { return NodeNamed(lost).replica_count() == 0; }));
  ASSERT_TRUE(WritesGoOn(writer));
  writer.Stop();
  ExpectAllThere(kLrs, writer);
}

// P4, P11: it never votes for what it has forgotten.
TEST_F(PlacementTest, AWipedDiskComesBackAsANewOneAndItsReplicasAreMadeAnew) {
  const std::string wiped = GroupOf(kZrs).leader_node();
  const std::string before = DiskOf(kZrs, wiped);
  Writer writer(profile_, kZrs, 3'000'000);
  ASSERT_TRUE(WritesGoOn(writer));
  ASSERT_TRUE(admin_->StopNode(wiped).ok());
  std::filesystem::remove_all(FolderOf(wiped));
  std::filesystem::create_directory(FolderOf(wiped));
  ASSERT_TRUE(admin_->StartNode(wiped).ok());
  ASSERT_TRUE(WritesGoOn(writer));
  ASSERT_TRUE(Until([&] {
    const std::set<std::string> disks = DisksOf(GroupOf(kZrs));
    return disks.size() == 3 && !disks.contains(before);
  }));
  ASSERT_TRUE(WritesGoOn(writer));
  writer.Stop();
  ExpectAllThere(kZrs, writer);
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZrs), absl::OkStatus());
}

TEST_F(PlacementTest, ADiskIsTakenOutUnderLoadAndDoesNotComeBack) {
  const std::string leader = GroupOf(kLrs).leader_node();
  const std::string disk = DiskOf(kLrs, leader);
  Writer writer(profile_, kLrs, 3'000'000);
  ASSERT_TRUE(WritesGoOn(writer));
  const auto begun = admin_->ReplaceDisk(disk, /*cancel=*/false);
  ASSERT_TRUE(begun.ok()) << begun.status();
  EXPECT_EQ(begun->node(), leader);
  EXPECT_GE(begun->remaining_replicas(), 1);
  EXPECT_FALSE(begun->removed());
  ASSERT_TRUE(TakenOut(disk));
  EXPECT_FALSE(DisksOf(GroupOf(kLrs)).contains(disk));
  ASSERT_TRUE(WritesGoOn(writer));
  writer.Stop();
  ExpectAllThere(kLrs, writer);
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLrs), absl::OkStatus());
  EXPECT_EQ(admin_->ReplaceDisk(disk, /*cancel=*/true).status().code(),
            absl::StatusCode::kFailedPrecondition);
  ASSERT_TRUE(admin_->StopNode(leader).ok());
  const absl::Status refused = admin_->StartNode(leader);  // it has no other disk
  EXPECT_NE(refused.message().find("taken out of the cluster"), std::string::npos) << refused;
  std::filesystem::remove_all(FolderOf(leader));
  std::filesystem::create_directory(FolderOf(leader));
  EXPECT_TRUE(admin_->StartNode(leader).ok());
}

TEST_F(PatientPlacementTest, ADiskThatCannotBeTakenOutStaysWithTheReason) {
  EXPECT_EQ(admin_->ReplaceDisk("east-1a", false).status().code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(admin_->ReplaceDisk(std::string(32, 'a'), false).status().code(),
            absl::StatusCode::kNotFound);
  // With zone 3 down and one of zone 1, and then zone 2.
  const std::string node = GroupOf(kZrs).leader_node();
  const std::string disk = DiskOf(kZrs, node);
  std::set<std::string> others = NodesOf(GroupOf(kZrs));
  others.erase(node);
  for (const std::string& other : others) ASSERT_TRUE(admin_->StopNode(other).ok());
  const auto refused = admin_->ReplaceDisk(disk, false);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_EQ(ErrorReasonOf(refused.status()), "LAST_COPY");
  for (const std::string& other : others) {
    EXPECT_NE(refused.status().message().find(other), std::string_view::npos) << refused.status();
    ASSERT_TRUE(admin_->StartNode(other).ok());
  }
  // Nothing was begun. What cannot end says why, and is taken back.
  ASSERT_TRUE(Until([&] { return GroupOf(kZrs).health() == v1::Group::HEALTHY; }));
  const std::string last = DiskOf(kZrs, "east-3a");
  ASSERT_TRUE(Until([&] {
    const auto progress = admin_->ReplaceDisk(last, false);
    return progress.ok() && progress->problem().find("ZRS needs 3 zones") != std::string::npos;
  }));
  ASSERT_TRUE(admin_->ReplaceDisk(last, /*cancel=*/true).ok());
  EXPECT_TRUE(Until([&] { return GroupOf(kZrs).placement_problem().empty(); }));
  EXPECT_TRUE(DisksOf(GroupOf(kZrs)).contains(last));
}

TEST_F(PatientPlacementTest, AWipedDiskIsReplacedAtOnceOnTheOperatorsWord) {
  const std::string wiped = DiskOf(kZrs, "east-3a");
  ASSERT_TRUE(Put(*client_, kZrs, "before", std::string(2'000'000, 'b')).ok());
  ASSERT_TRUE(admin_->StopNode("east-3a").ok());
  std::filesystem::remove_all(FolderOf("east-3a"));
  std::filesystem::create_directory(FolderOf("east-3a"));
  ASSERT_TRUE(admin_->StartNode("east-3a").ok());
  ASSERT_TRUE(TakenOut(wiped));
  EXPECT_NE(DiskOf(kZrs, "east-3a"), wiped);
  EXPECT_NE(DiskOf(kZrs, "east-3a"), "");
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZrs), absl::OkStatus());
}

TEST_F(PlacementTest, SaysWhyANodeCannotBeEmptied) {
  ASSERT_TRUE(admin_->DrainNode("east-3a", /*cancel=*/false).ok());
  ASSERT_TRUE(Until([&] { return !GroupOf(kZrs).placement_problem().empty(); }));
  EXPECT_EQ(GroupOf(kZrs).placement_problem(),
            "ZRS needs 3 zones with a node each, and region east has 2");
  EXPECT_TRUE(NodesOf(GroupOf(kZrs)).contains("east-3a"));
  ASSERT_TRUE(admin_->DrainNode("east-3a", /*cancel=*/true).ok());
  EXPECT_TRUE(Until([&] { return GroupOf(kZrs).placement_problem().empty(); }));
  EXPECT_EQ(admin_->DrainNode("nowhere", false).code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace meridian
