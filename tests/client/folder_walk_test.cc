#include "client/cli/folder_walk.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "tests/temp_folder.h"

namespace meridian::cli {
namespace {

class FolderWalkTest : public testing::Test {
 protected:
  void Make(const std::string& name, const std::string& body = "x") {
    const std::filesystem::path path = folder_.path() + "/" + name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << body;
  }

  std::vector<std::string> Names() {
    FolderWalk walk(folder_.path() + "/", [this](const std::string& path, const std::string&) {
      skipped_.push_back(path.substr(folder_.path().size() + 1));
    });
    std::vector<std::string> names;
    for (;;) {
      auto file = walk.Next();
      if (!file.ok()) {
        errors_.push_back(file.status());
        continue;
      }
      if (!file->has_value()) return names;
      names.push_back((*file)->name);
    }
  }

  TempFolder folder_;
  std::vector<std::string> skipped_;
  std::vector<absl::Status> errors_;
};

TEST_F(FolderWalkTest, GivesNamesInByteOrder) {
  for (const char* name : {"a/z", "a/b/c", "a.txt", "a-b", "a0", "B", "\xc3\xa9"}) Make(name);
  EXPECT_EQ(Names(),
            (std::vector<std::string>{"B", "a-b", "a.txt", "a/b/c", "a/z", "a0", "\xc3\xa9"}));
}

TEST_F(FolderWalkTest, FollowsLinksButNotInCircles) {
  Make("real/file");
  std::filesystem::create_symlink("real", folder_.path() + "/alias");
  std::filesystem::create_symlink("..", folder_.path() + "/real/up");
  EXPECT_EQ(Names(), (std::vector<std::string>{"alias/file", "real/file"}));
  EXPECT_EQ(skipped_, (std::vector<std::string>{"alias/up", "real/up"}));
}

TEST_F(FolderWalkTest, SkipsAndNamesWhatIsNoFile) {
  Make("file");
  std::filesystem::create_symlink("nowhere", folder_.path() + "/dangling");
  ASSERT_EQ(mkfifo((folder_.path() + "/pipe").c_str(), 0600), 0);
  EXPECT_EQ(Names(), std::vector<std::string>{"file"});
  EXPECT_EQ(skipped_.size(), 2u);
}

TEST_F(FolderWalkTest, AMissingRootIsAnError) {
  FolderWalk walk(folder_.path() + "/none", [](const std::string&, const std::string&) {});
  EXPECT_EQ(walk.Next().status().code(), absl::StatusCode::kNotFound);
  EXPECT_FALSE(walk.Next()->has_value());
}

}  // namespace
}  // namespace meridian::cli
