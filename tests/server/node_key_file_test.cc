#include "server/node_key_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <string>

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

}  // namespace
}  // namespace meridian::server
