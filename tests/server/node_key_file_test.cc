#include "server/node_key_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <utility>

#include "crypto/node_key.h"
#include "tests/crypto/memory_kms.h"
#include "tests/temp_folder.h"

namespace meridian::server {
namespace {

class NodeKeyFileTest : public testing::Test {
 protected:
  NodeKeyFileTest() { EXPECT_TRUE(kms_.CreateKey("cluster").ok()); }
  absl::StatusOr<crypto::SecretKey> Open() {
    return OpenNodeKeyFile(path_, data_, "east-1a", kms_, random_);
  }

  SystemRandom random_;
  crypto::MemoryKms kms_{random_};
  TempFolder folder_;
  const std::string path_ = folder_.path() + "/node.key";
  const std::string data_ = folder_.path() + "/disk0";
};

TEST_F(NodeKeyFileTest, ANewFolderGetsAKeyAndKeepsIt) {
  const auto made = Open();
  ASSERT_TRUE(made.ok()) << made.status();
  std::filesystem::create_directory(data_);
  std::ofstream(data_ + "/extent") << "sealed";
  EXPECT_EQ(Open()->bytes(), made->bytes());
}

TEST_F(NodeKeyFileTest, ALostKeyIsNotReplacedByANewOne) {
  ASSERT_TRUE(Open().ok());
  std::filesystem::create_directory(data_);
  std::ofstream(data_ + "/extent") << "sealed";
  std::filesystem::remove(path_);
  const absl::Status refused = Open().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_FALSE(std::filesystem::exists(path_));
}

// Two processes that begin at the same moment.
class RacedKms final : public crypto::MemoryKms {
 public:
  using MemoryKms::MemoryKms;
  absl::Status CreateKey(std::string_view name) override {
    if (auto hook = std::exchange(during_create, nullptr)) hook();
    return MemoryKms::CreateKey(name);
  }
  std::function<void()> during_create;
};

TEST_F(NodeKeyFileTest, AKeyThatAnotherProcessHasMadeMeanwhileIsKeptAndUsed) {
  RacedKms kms(random_);
  std::string others;
  kms.during_create = [&] {
    const auto first = OpenNodeKeyFile(path_, data_, "east-1a", kms, random_);
    ASSERT_TRUE(first.ok()) << first.status();
    others = std::string(first->bytes());
  };
  const auto second = OpenNodeKeyFile(path_, data_, "east-1a", kms, random_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->bytes(), others);
  EXPECT_EQ(OpenNodeKeyFile(path_, data_, "east-1a", kms, random_)->bytes(), others);
  const std::filesystem::directory_iterator entries(folder_.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1) << "nothing but the key is left";
}

TEST_F(NodeKeyFileTest, TroubleWithTheFileIsToldFromTroubleOfTheKms) {
  std::filesystem::create_directory(path_);
  EXPECT_TRUE(absl::IsDataLoss(Open().status())) << Open().status();
  std::filesystem::remove(path_);
  kms_.set_reachable(false);
  EXPECT_TRUE(absl::IsUnavailable(Open().status())) << Open().status();
}

}  // namespace
}  // namespace meridian::server
