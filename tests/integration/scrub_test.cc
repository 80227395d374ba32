// Everything that is stored is verified by itself, over a whole cluster: nobody reads here.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>
#include <system_error>

#include "absl/strings/str_cat.h"
#include "server/dev/data_folder.h"
#include "server/node_disks.h"
#include "tests/fakes/manual_executor.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

namespace fs = std::filesystem;

constexpr char kContainer[] = "tenants/acme/containers/c";

class ScrubTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(
        "regions { name: 'r' zones { name: 'r-1' nodes: ['a', 'b', 'c'] } }");
    ASSERT_NO_FATAL_FAILURE(ClusterFixture::SetUp());
    client_ = std::make_unique<Client>(MakeTenant("acme"));
    ASSERT_TRUE(MakeContainer(*client_, "acme", "c", v1::LRS).ok());
  }
  void TearDown() override {
    client_.reset();
    CrashCluster();
  }
  void Configure(server::DevOptions& options) override {
    options.disk.scrub.bytes_per_second = 64 << 20;
    options.disk.scrub.pass_interval = absl::Seconds(1);
  }
  v1::Disk DiskOf(const std::string& node) {
    const auto nodes = admin_->ListNodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    for (const v1::Node& candidate : nodes->nodes()) {
      if (candidate.name() == node && candidate.disks_size() == 1) return candidate.disks(0);
    }
    return v1::Disk();
  }
  std::string Problem(const std::string& node) {
    const auto nodes = admin_->ListNodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    for (const v1::Node& candidate : nodes->nodes()) {
      if (candidate.name() == node) return candidate.problem();
    }
    return "";
  }
  std::string DiskFolder(const std::string& node) const {
    return absl::StrCat(data_folder(), "/nodes/", node, "/disk0");
  }
  // RocksDB's largest file of rows on the node's disk.
  fs::path LargestTable(const std::string& node) const {
    fs::path largest;
    uintmax_t largest_size = 0;
    for (const auto& file : fs::directory_iterator(DiskFolder(node) + "/rocks")) {
      std::error_code gone;
      const uintmax_t size = fs::file_size(file, gone);
      if (gone || file.path().extension() != ".sst" || size < largest_size) continue;
      largest = file;
      largest_size = size;
    }
    return largest;
  }
  bool ComparedAll() {
    const v1::GroupComparison comparison = GroupOf(kContainer).comparison();
    return comparison.has_last_compared_time() && comparison.uncompared_replicas().empty();
  }
  // A row more than the others have, on a node that does not run.
  void MakeDiffer(const std::string& node, const std::string& cluster_id);

  std::unique_ptr<Client> client_;
};

void FlipByte(const fs::path& path, std::streamoff at) {
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(at);
  const char byte = static_cast<char>(file.get() ^ 8);
  file.seekp(at);
  file.put(byte);
}

void FlipByteInTheMiddle(const fs::path& path) {
  std::error_code gone;
  const uintmax_t size = fs::file_size(path, gone);
  if (!gone) FlipByte(path, static_cast<std::streamoff>(size / 2));
}

TEST_F(ScrubTest, AFlippedByteInAChunkThatNobodyReadsIsFoundAndRepaired) {
  ASSERT_TRUE(Put(*client_, kContainer, "o", RandomBody(3 << 20)).ok());
  ASSERT_TRUE(Until([&] { return DiskOf("b").body_bytes() > (3 << 20); }));
  const fs::path extent = absl::StrCat(DiskFolder("b"), "/extents/00000001.ext");
  FlipByte(extent, 100'000);
  ASSERT_TRUE(Until([&] {
    const v1::Disk disk = DiskOf("b");
    return disk.corrupt_records() == 1 && disk.repaired_records() == 1 &&
           disk.scrub().awaiting_repair() == 0;
  })) << DiskOf("b").DebugString();
  // It is whole again: another pass finds nothing.
  const auto ended = DiskOf("b").scrub().last_pass_end_time().seconds();
  ASSERT_TRUE(
      Until([&] { return DiskOf("b").scrub().last_pass_end_time().seconds() > ended + 2; }));
  EXPECT_EQ(DiskOf("b").corrupt_records(), 1);
  EXPECT_EQ(DiskOf("a").corrupt_records() + DiskOf("c").corrupt_records(), 0);
  EXPECT_TRUE(Until([&] { return DiskOf("b").scrub().verified_bytes() > 3 << 20; }));
  EXPECT_EQ(DiskOf("b").scrub().bytes_per_second(), 64 << 20);
}

TEST_F(ScrubTest, AFlippedByteInAFileOfRowsTakesItsDiskOutOfService) {
  for (int i = 0; i < 300; ++i) {
    ASSERT_TRUE(Put(*client_, kContainer, absl::StrCat("o", i), "body").ok());
  }
  // A clean stop leaves the rows in files.
  cluster_->Drain(absl::Now() + absl::Seconds(10));
  CrashCluster();
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  // A compaction may take the file away before it is verified.
  fs::path damaged;
  ASSERT_TRUE(Until([&] {
    if (!fs::exists(damaged)) {
      damaged = LargestTable("b");
      FlipByteInTheMiddle(damaged);
    }
    return !DiskOf("b").in_service();
  }));
  EXPECT_NE(Problem("b").find(".sst"), std::string::npos) << Problem("b");
  EXPECT_TRUE(DiskOf("a").in_service());
  EXPECT_TRUE(DiskOf("c").in_service());
}

void ScrubTest::MakeDiffer(const std::string& node, const std::string& cluster_id) {
  auto folder = server::DataFolder::Open(data_folder(), topology_, clock_, random_);
  ASSERT_TRUE(folder.ok()) << folder.status();
  ManualExecutor strand;
  server::NodeDisks::Options options;
  options.folders = {{(*folder)->node_path(node) + "/node.key", DiskFolder(node)}};
  options.store.cluster = *ClusterId::FromHex(cluster_id);
  options.store.node = node;
  options.store.strand = &strand;
  options.store.clock = &clock_;
  options.store.random = &random_;
  options.open_disk = storage::OpenPosixDisk;
  auto disks = server::NodeDisks::Open(std::move(options), (*folder)->kms());
  ASSERT_TRUE(disks.ok()) << disks.status();
  storage::DiskStore& store = *(*disks)->stores().at(0);
  auto replica = store.OpenReplica(store.ListReplicas().at(0).replica);
  ASSERT_TRUE(replica.ok()) << replica.status();
  storage::KvBatch batch;
  batch.Put("x" + std::string(16, 'r'), "");  // as if a run had been aborted
  const storage::RecoveredReplica& recovered = (*replica)->recovered();
  ASSERT_TRUE((*replica)->Apply(batch, recovered.applied_index, recovered.applied_timestamp).ok());
  ASSERT_TRUE(store.Checkpoint().ok());
}

TEST_F(ScrubTest, AReplicaThatDiffersFromTheOthersIsTold) {
  for (int i = 0; i < 20; ++i) {
    ASSERT_TRUE(Put(*client_, kContainer, absl::StrCat("o", i), "body").ok());
  }
  ASSERT_TRUE(Until([&] { return ComparedAll(); }));
  EXPECT_TRUE(GroupOf(kContainer).comparison().differing_replicas().empty());
  for (const std::string node : {"a", "b", "c"}) EXPECT_EQ(Problem(node), "");

  const std::string cluster_id = admin_->GetTopology()->cluster_id();
  CrashCluster();
  ASSERT_NO_FATAL_FAILURE(MakeDiffer("b", cluster_id));
  ASSERT_NO_FATAL_FAILURE(StartCluster());
  ASSERT_TRUE(
      Until([&] { return !GroupOf(kContainer).comparison().differing_replicas().empty(); }));
  const v1::Group group = GroupOf(kContainer);
  ASSERT_EQ(group.comparison().differing_replicas_size(), 1);
  for (const v1::Replica& member : group.members()) {
    EXPECT_EQ(member.id() == group.comparison().differing_replicas(0), member.node() == "b");
  }
  EXPECT_NE(Problem(group.leader_node()).find("differ"), std::string::npos);
}

}  // namespace
}  // namespace meridian
