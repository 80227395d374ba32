// One node, several disks: each stands for itself.
#include "server/node_disks.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "absl/time/clock.h"
#include "base/clock.h"
#include "base/executor.h"
#include "base/random.h"
#include "tests/crypto/memory_kms.h"
#include "tests/temp_folder.h"

namespace meridian::server {
namespace {

class NodeDisksTest : public testing::Test {
 protected:
  NodeDisksTest() {
    EXPECT_TRUE(kms_.CreateKey("node").ok());
    for (const char* name : {"/a", "/b"}) std::filesystem::create_directory(folder_.path() + name);
  }

  DiskFolder FolderOf(const std::string& name) const {
    return {folder_.path() + "/" + name + "/node.key", folder_.path() + "/" + name + "/store"};
  }

  absl::StatusOr<std::unique_ptr<NodeDisks>> Open(std::vector<DiskFolder> folders,
                                                  const NodeId& node = "n") {
    NodeDisks::Options options;
    options.folders = std::move(folders);
    options.store.cluster = cluster_;
    options.store.node = node;
    options.store.strand = strand_.get();
    options.store.clock = &clock_;
    options.store.random = &random_;
    options.store.segment_bytes = 1 << 20;
    options.store.max_record_bytes = 512 << 10;
    options.store.extent_bytes = 1 << 20;
    options.store.max_chunk_bytes = 256 << 10;
    options.store.record_opening = [this](const storage::DiskOpening& opening) {
      return record_opening_ ? record_opening_(opening) : absl::OkStatus();
    };
    options.open_disk = [this](std::string root) {
      auto disk = storage::OpenPosixDisk(root);
      if (disk.ok()) opened_[root] = disk->get();
      return disk;
    };
    return NodeDisks::Open(std::move(options), kms_);
  }

  SystemClock clock_;
  SystemRandom random_;
  TempFolder folder_;
  crypto::MemoryKms kms_{random_};
  const ClusterId cluster_ = ClusterId::Draw(random_);
  const std::unique_ptr<Executor> strand_ = MakeThreadExecutor("strand");
  std::map<std::string, storage::Disk*> opened_;  // by folder
  std::function<absl::Status(const storage::DiskOpening&)> record_opening_;
};

TEST_F(NodeDisksTest, AllDisksAreOpenedWithKeysOfTheirOwnAndFoundAgain) {
  std::vector<DiskId> ids;
  {
    const auto disks = Open({FolderOf("a"), FolderOf("b")});
    ASSERT_TRUE(disks.ok()) << disks.status();
    ids = (*disks)->InService();
    ASSERT_EQ(ids.size(), 2u);
    EXPECT_NE(ids[0], ids[1]);
    EXPECT_TRUE((*disks)->AdmitNewData(ids[1]).ok());
    EXPECT_TRUE(absl::IsNotFound((*disks)->AdmitNewData(DiskId::Draw(random_))));
    (*disks)->Checkpoint(absl::Now() + absl::Seconds(30));
  }
  EXPECT_TRUE(std::filesystem::exists(FolderOf("b").key_file));
  const auto again = Open({FolderOf("b"), FolderOf("a")});
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ((*again)->InService(), (std::vector<DiskId>{ids[1], ids[0]}));
}

TEST_F(NodeDisksTest, ADiskThatCannotBeOpenedIsLeftOutAndReported) {
  // Not mounted: where its folder should be is nothing.
  std::filesystem::remove(folder_.path() + "/b");
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  EXPECT_EQ((*disks)->InService().size(), 1u);
  const std::vector<ServedDisk> shown = (*disks)->Describe();
  ASSERT_EQ(shown.size(), 2u);
  EXPECT_NE(shown[0].store, nullptr);
  EXPECT_EQ(shown[1].store, nullptr);
  EXPECT_FALSE(shown[1].problem.ok());
}

TEST_F(NodeDisksTest, WithoutAnyDiskTheNodeDoesNotStart) {
  std::filesystem::remove(folder_.path() + "/a");
  std::filesystem::remove(folder_.path() + "/b");
  EXPECT_FALSE(Open({FolderOf("a"), FolderOf("b")}).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(Open({}).status()));
}

// A mistake in the configuration is no broken disk.
TEST_F(NodeDisksTest, AFolderInUseIsAMistakeThatStopsTheNode) {
  const auto first = Open({FolderOf("a")});
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Open({FolderOf("b"), FolderOf("a")});
  EXPECT_TRUE(absl::IsFailedPrecondition(second.status())) << second.status();
}

TEST_F(NodeDisksTest, ADiskOfAnotherNodeIsAMistakeThatStopsTheNode) {
  ASSERT_TRUE(Open({FolderOf("a")}, "other").ok());
  const auto disks = Open({FolderOf("b"), FolderOf("a")});
  EXPECT_TRUE(absl::IsFailedPrecondition(disks.status())) << disks.status();
  EXPECT_NE(disks.status().message().find("belongs to node 'other'"), std::string::npos);
}

TEST_F(NodeDisksTest, ADamagedKeyIsAReasonToLeaveItsDiskOut) {
  ASSERT_TRUE(Open({FolderOf("a"), FolderOf("b")}).ok());
  std::ofstream(FolderOf("b").key_file) << "damaged";
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  EXPECT_EQ((*disks)->InService().size(), 1u);
}

// An election of the store that the KMS lives in is no reason to rebuild a disk elsewhere.
TEST_F(NodeDisksTest, AKmsThatIsAwayForAMomentCostsNoDisk) {
  ASSERT_TRUE(Open({FolderOf("a"), FolderOf("b")}).ok());
  kms_.set_reachable(false);
  kms_.during_unwrap = [this] { kms_.set_reachable(true); };
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  EXPECT_TRUE(absl::IsUnavailable(disks.status())) << disks.status();
  EXPECT_EQ((*Open({FolderOf("a"), FolderOf("b")}))->InService().size(), 2u);
}

TEST_F(NodeDisksTest, ADiskAndItsCopyAreAMistakeThatStopsTheNode) {
  ASSERT_TRUE(Open({FolderOf("a")}).ok());
  std::filesystem::remove(folder_.path() + "/b");
  std::filesystem::copy(folder_.path() + "/a", folder_.path() + "/b",
                        std::filesystem::copy_options::recursive);
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  EXPECT_TRUE(absl::IsFailedPrecondition(disks.status())) << disks.status();
  EXPECT_NE(disks.status().message().find("hold the same disk"), std::string::npos);
}

// P11.
TEST_F(NodeDisksTest, ACopyOfThePastIsAMistakeThatStopsTheNode) {
  record_opening_ = [](const storage::DiskOpening&) {
    return absl::FailedPreconditionError("the folder is a copy");
  };
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  EXPECT_TRUE(absl::IsFailedPrecondition(disks.status())) << disks.status();
  EXPECT_NE(disks.status().message().find(FolderOf("a").store), std::string::npos);
}

TEST_F(NodeDisksTest, AStoreThatCannotRecordADiskForAMomentCostsNoDisk) {
  record_opening_ = [this](const storage::DiskOpening&) {
    record_opening_ = nullptr;
    return absl::UnavailableError("an election");
  };
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  EXPECT_TRUE(absl::IsUnavailable(disks.status())) << disks.status();
  EXPECT_EQ((*Open({FolderOf("a"), FolderOf("b")}))->InService().size(), 2u);
}

TEST_F(NodeDisksTest, ADiskThatWasTakenOutOfTheClusterIsLeftOut) {
  std::optional<DiskId> removed;
  record_opening_ = [&removed](const storage::DiskOpening& opening) {
    if (!removed) removed = opening.disk;
    return opening.disk == removed ? absl::NotFoundError("taken out") : absl::OkStatus();
  };
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  EXPECT_EQ((*disks)->InService().size(), 1u);
  EXPECT_TRUE(absl::IsNotFound((*disks)->Describe()[0].problem));
}

TEST_F(NodeDisksTest, ADiskOfWhichACopyWasOpenedElsewhereGoesOutOfServiceAlone) {
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  const std::vector<DiskId> before = (*disks)->InService();
  record_opening_ = [](const storage::DiskOpening&) { return absl::UnavailableError("away"); };
  EXPECT_TRUE(absl::IsUnavailable((*disks)->RecordOpenings()));
  EXPECT_EQ((*disks)->InService(), before);
  record_opening_ = [&before](const storage::DiskOpening& opening) {
    return opening.disk == before[0] ? absl::FailedPreconditionError("a copy") : absl::OkStatus();
  };
  EXPECT_TRUE((*disks)->RecordOpenings().ok());
  EXPECT_EQ((*disks)->InService(), std::vector<DiskId>{before[1]});
}

TEST_F(NodeDisksTest, ADiskThatFailsGoesOutOfServiceAlone) {
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  const std::vector<DiskId> before = (*disks)->InService();
  EXPECT_FALSE(opened_.at(FolderOf("a").store)->Fail(absl::UnavailableError("EIO")).ok());
  EXPECT_EQ((*disks)->InService(), std::vector<DiskId>{before[1]});
  (*disks)->Checkpoint(absl::Now() + absl::Seconds(30));
  EXPECT_TRUE((*disks)->AdmitNewData(before[1]).ok());
}

TEST_F(NodeDisksTest, ADiskThatCannotTellItsRoomNowIsInServiceStill) {
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  const std::vector<DiskId> before = (*disks)->InService();
  const std::string store = FolderOf("a").store;
  std::filesystem::rename(store, store + ".away");
  std::filesystem::create_symlink(store, store);  // ELOOP
  const absl::Status refused = (*disks)->AdmitNewData(before[0]);
  std::filesystem::remove(store);
  std::filesystem::rename(store + ".away", store);
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_EQ((*disks)->InService(), before);
  EXPECT_TRUE((*disks)->AdmitNewData(before[0]).ok());
}

TEST_F(NodeDisksTest, ADiskWhoseFolderIsGoneGoesOutOfServiceWithTheNextWrite) {
  const auto disks = Open({FolderOf("a"), FolderOf("b")});
  ASSERT_TRUE(disks.ok()) << disks.status();
  const std::vector<DiskId> before = (*disks)->InService();
  std::filesystem::remove_all(FolderOf("a").store);
  const absl::Status refused = (*disks)->AdmitNewData(before[0]);
  EXPECT_TRUE(absl::IsUnavailable(refused)) << refused;
  EXPECT_EQ((*disks)->InService(), std::vector<DiskId>{before[1]});
  EXPECT_TRUE((*disks)->AdmitNewData(before[1]).ok());
}

}  // namespace
}  // namespace meridian::server
