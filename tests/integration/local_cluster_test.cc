// deploy/local-cluster: whose folder it takes, and what an interrupted `up` leaves.
#include "tests/integration/local_cluster.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

#include "tests/temp_folder.h"

namespace meridian {
namespace {

constexpr char kScript[] = "deploy/local-cluster";

class LocalClusterTest : public testing::Test {
 protected:
  ~LocalClusterTest() override { Run("down"); }
  ProgramResult Run(const std::string& command) {
    return RunProgram({kScript, command, "--folder", folder_});
  }
  // `up` with a meridiand that fails: as far as the etcd members.
  ProgramResult UpThatFails() {
    return RunProgram(
        {"/bin/sh", "-c",
         "MERIDIAND=/bin/false exec " + std::string(kScript) + " up --folder " + folder_});
  }
  bool MemberRuns() const { return std::filesystem::exists(folder_ + "/etcd-1/pid"); }

  TempFolder temp_;
  const std::string folder_ = temp_.path() + "/cluster";
};

TEST_F(LocalClusterTest, AnUpThatFailedLeavesNothingRunningAndTheNextOneBeginsAnew) {
  const ProgramResult failed = UpThatFails();
  EXPECT_EQ(failed.exit_code, 1) << failed.output;
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/etcd-1/command")) << failed.output;
  EXPECT_FALSE(MemberRuns());
  EXPECT_EQ(Run("down").exit_code, 0);
  const ProgramResult up = Run("up");
  ASSERT_EQ(up.exit_code, 0) << up.output;
  EXPECT_TRUE(MemberRuns());
  // Keys are in it.
  struct stat info = {};
  ASSERT_EQ(stat(folder_.c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0077, 0u);
  EXPECT_EQ(Run("down").exit_code, 0);
}

TEST_F(LocalClusterTest, AFolderOfAnotherUserIsNotTaken) {
  std::filesystem::create_directory(folder_);
  std::filesystem::create_directory(folder_ + "/etcd-1");
  std::ofstream(folder_ + "/format") << "meridian local cluster, format 1\n";
  std::ofstream(folder_ + "/etcd-1/command") << "touch\n" << temp_.path() << "/done\n";
  if (chown(folder_.c_str(), 12345, 12345) != 0) {
    GTEST_SKIP() << "only root can make another's folder";
  }
  for (const char* command : {"up", "status", "down"}) {
    const ProgramResult refused = Run(command);
    EXPECT_EQ(refused.exit_code, 1) << command;
    EXPECT_NE(refused.output.find("belongs to another user"), std::string::npos) << refused.output;
  }
  EXPECT_FALSE(std::filesystem::exists(temp_.path() + "/done"));
}

TEST_F(LocalClusterTest, AFolderWithOtherThingsIsNotTaken) {
  std::filesystem::create_directory(folder_);
  std::ofstream(folder_ + "/letters") << "mine";
  EXPECT_EQ(Run("up").exit_code, 1);
  EXPECT_EQ(Run("down").exit_code, 1);
  EXPECT_TRUE(std::filesystem::exists(folder_ + "/letters"));
}

}  // namespace
}  // namespace meridian
