// A node as a whole: what others see of it while it starts and stops.
#include "server/node.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/random.h"
#include "crypto/certificate_authority.h"
#include "crypto/cluster_key.h"
#include "server/cluster_records.h"
#include "tests/crypto/memory_kms.h"
#include "tests/crypto/testing.h"
#include "tests/fakes/space_quota.h"
#include "tests/temp_folder.h"
#include "tests/tenancy/testing.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

class NodeTest : public testing::Test {
 protected:
  NodeTest() {
    EXPECT_TRUE(kms_.CreateKey("node").ok());
    for (const char* name : {"/a", "/b"}) std::filesystem::create_directory(folder_.path() + name);
  }

  std::string Store(const std::string& name) const { return folder_.path() + name + "/store"; }

  absl::StatusOr<std::unique_ptr<Node>> Start() {
    NodeOptions options;
    options.id = "n";
    options.region = "east";
    options.zone = "east-1";
    for (const char* name : {"/a", "/b"}) {
      options.disks.push_back({folder_.path() + name + "/node.key", Store(name)});
    }
    const auto identity = (*ca_)->IssueNode("n");
    EXPECT_TRUE(identity.ok()) << identity.status();
    options.tls = {(*ca_)->certificate_pem(), identity->certificate_pem, identity->private_key_pem};
    options.disk.segment_bytes = 1 << 20;
    options.disk.max_record_bytes = 512 << 10;
    options.disk.extent_bytes = 1 << 20;
    options.disk.max_chunk_bytes = 256 << 10;
    options.open_disk = [this](std::string root) {
      auto disk = storage::OpenPosixDisk(root);
      if (disk.ok()) opened_[root] = disk->get();
      return disk;
    };
    options.disk.rocks_env = rocks_env_;
    options.server_resources = MakeServerResources(16, 16 << 20);
    return Node::Start(platform_, std::move(options));
  }

  std::optional<std::string> Row(const std::string& key) {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == key) return row.value;
    }
    return std::nullopt;
  }
  size_t PublishedDisks() {
    const auto row = Row(NodeKeyOf("n"));
    return row ? DecodeNodeRecord(*row)->disks.size() : 0;
  }
  bool IsAlive() { return Row(AliveKeyOf("n")).has_value(); }

  SystemClock clock_;
  SystemRandom random_;
  TempFolder folder_;
  crypto::MemoryKms kms_{random_};
  crypto::ClusterKey cluster_key_{CountingKey()};
  tenancy::TestStore store_;
  const absl::StatusOr<std::unique_ptr<crypto::CertificateAuthority>> ca_ =
      crypto::CertificateAuthority::Create("test", clock_);
  const Platform platform_{ClusterId::Draw(random_), clock_, random_, kms_, cluster_key_, store_,
                           /*dev=*/nullptr};
  rocksdb::Env* rocks_env_ = nullptr;
  std::map<std::string, storage::Disk*> opened_;  // by folder
};

TEST_F(NodeTest, ADiskThatFailsWhileTheNodeIsPublishedIsTakenBack) {
  store_.before_commit = [this] {
    EXPECT_FALSE(opened_.at(Store("/a"))->Fail(absl::UnavailableError("EIO")).ok());
  };
  const auto node = Start();
  ASSERT_TRUE(node.ok()) << node.status();
  EXPECT_TRUE(Until([this] { return PublishedDisks() == 1; }, absl::Seconds(20)));
}

// P11, as after a restore of yesterday's files.
TEST_F(NodeTest, ACopyOfADisksPastThatIsPutBackIsRefusedHoweverOftenTheNodeStarts) {
  ASSERT_TRUE(Start().ok());
  const std::string disk = folder_.path() + "/a";
  std::filesystem::copy(disk, disk + ".copy", std::filesystem::copy_options::recursive);
  ASSERT_TRUE(Start().ok());
  std::filesystem::rename(disk, disk + ".itself");
  std::filesystem::rename(disk + ".copy", disk);
  for (int i = 0; i < 3; ++i) {
    const auto node = Start();
    EXPECT_TRUE(absl::IsFailedPrecondition(node.status())) << node.status();
    EXPECT_NE(node.status().message().find(Store("/a") + ": the folder is a copy"),
              std::string::npos)
        << node.status();
  }
  std::filesystem::remove_all(disk);
  std::filesystem::rename(disk + ".itself", disk);
  EXPECT_TRUE(Start().ok());
}

TEST_F(NodeTest, AWipedDiskComesBackAsANewOne) {
  ASSERT_TRUE(Start().ok());
  const std::vector<DiskId> before = DecodeNodeRecord(*Row(NodeKeyOf("n")))->disks;
  std::filesystem::remove_all(folder_.path() + "/a");
  std::filesystem::create_directory(folder_.path() + "/a");
  const auto node = Start();
  ASSERT_TRUE(node.ok()) << node.status();
  const std::vector<DiskId> after = DecodeNodeRecord(*Row(NodeKeyOf("n")))->disks;
  ASSERT_EQ(after.size(), 2u);
  EXPECT_NE(after[0], before[0]);
  EXPECT_EQ(after[1], before[1]);
  EXPECT_EQ(DecodeDiskRecord(*Row(DiskKeyOf(before[0])))->incarnation, 1u);
  EXPECT_EQ(DecodeDiskRecord(*Row(DiskKeyOf(before[1])))->incarnation, 2u);
  EXPECT_EQ(DecodeDiskRecord(*Row(DiskKeyOf(after[0])))->incarnation, 1u);
}

TEST_F(NodeTest, ANodeThatIsToEndIsNotCountedOnAnyMore) {
  const auto node = Start();
  ASSERT_TRUE(node.ok()) << node.status();
  ASSERT_TRUE(Until([this] { return IsAlive(); }));
  (*node)->Drain(absl::Now() + absl::Seconds(10));
  EXPECT_TRUE(Until([this] { return !IsAlive(); }, absl::Seconds(20)));
}

TEST_F(NodeTest, ANodeWhoseDiskWaitsForSpaceStopsAllTheSame) {
  storage::SpaceQuota quota(uint64_t{1} << 30);
  const auto env = storage::NewQuotaEnv(quota);
  rocks_env_ = env.get();
  auto node = Start();
  ASSERT_TRUE(node.ok()) << node.status();
  // The checkpoints' flushes begin, and then there is no room for them.
  quota.set_reported_free_bytes(1 << 30);
  quota.TakeRest();
  (*node)->Drain(absl::Now());
  node->reset();
}

}  // namespace
}  // namespace meridian::server
