// Downloads never write outside the target folder.
#include "client/cli/target_folder.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/crc32c.h"
#include "tests/temp_folder.h"

namespace meridian::cli {
namespace {

namespace fs = std::filesystem;

class TargetFolderTest : public testing::Test {
 protected:
  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  TargetFolder Open() {
    auto target = TargetFolder::Open(Path("target"));
    EXPECT_TRUE(target.ok()) << target.status();
    return *std::move(target);
  }
  static absl::Status Write(const TargetFolder& target, const std::string& name,
                            const std::string& body) {
    auto file = target.Create(name);
    if (!file.ok()) return file.status();
    if (write(file->fd(), body.data(), body.size()) != static_cast<ssize_t>(body.size())) {
      return absl::UnknownError("write");
    }
    return file->Commit();
  }
  static std::string Read(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  TempFolder folder_;
};

TEST_F(TargetFolderTest, RefusesNamesThatAreNotPlainRelativePaths) {
  const TargetFolder target = Open();
  for (const std::string& name :
       {std::string(""), std::string("/etc/passwd"), std::string(".."), std::string("../x"),
        std::string("a/../../x"), std::string("a/."), std::string("./a"), std::string("a//b"),
        std::string("a/"), std::string("a\0b", 3)}) {
    EXPECT_EQ(Write(target, name, "evil").code(), absl::StatusCode::kInvalidArgument) << name;
  }
  EXPECT_TRUE(fs::is_empty(Path("target")));
}

TEST_F(TargetFolderTest, MakesFoldersAndFiles) {
  const TargetFolder target = Open();
  ASSERT_TRUE(Write(target, "a/b/..c", "body").ok());
  EXPECT_EQ(Read(Path("target/a/b/..c")), "body");
}

TEST_F(TargetFolderTest, DoesNotFollowALinkToAFolder) {
  const TargetFolder target = Open();
  fs::create_directory(Path("outside"));
  fs::create_directory_symlink(Path("outside"), Path("target/a"));
  EXPECT_EQ(Write(target, "a/x", "evil").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(fs::is_empty(Path("outside")));
}

TEST_F(TargetFolderTest, ReplacesALinkInsteadOfWritingThroughIt) {
  const TargetFolder target = Open();
  std::ofstream(Path("outside")) << "precious";
  fs::create_symlink(Path("outside"), Path("target/x"));
  ASSERT_TRUE(Write(target, "x", "body").ok());
  EXPECT_EQ(Read(Path("outside")), "precious");
  EXPECT_FALSE(fs::is_symlink(Path("target/x")));
  EXPECT_EQ(Read(Path("target/x")), "body");
}

TEST_F(TargetFolderTest, AFileWhereAFolderMustBeIsAnError) {
  const TargetFolder target = Open();
  ASSERT_TRUE(Write(target, "a", "file").ok());
  EXPECT_EQ(Write(target, "a/b", "x").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(Read(Path("target/a")), "file");
}

TEST_F(TargetFolderTest, LeavesNothingOfAnUnfinishedFile) {
  const TargetFolder target = Open();
  ASSERT_TRUE(Write(target, "x", "old").ok());
  {
    auto file = target.Create("x");
    ASSERT_TRUE(file.ok());
    ASSERT_EQ(write(file->fd(), "new", 3), 3);
  }
  EXPECT_EQ(Read(Path("target/x")), "old");
  EXPECT_EQ(std::distance(fs::directory_iterator(Path("target")), fs::directory_iterator()), 1);
}

TEST_F(TargetFolderTest, KnowsIdenticalFilesBySizeAndChecksum) {
  const TargetFolder target = Open();
  ASSERT_TRUE(Write(target, "a/x", "body").ok());
  EXPECT_TRUE(target.HasIdentical("a/x", 4, Crc32c("body")));
  EXPECT_FALSE(target.HasIdentical("a/x", 4, Crc32c("bodx")));
  EXPECT_FALSE(target.HasIdentical("a/x", 5, Crc32c("body")));
  EXPECT_FALSE(target.HasIdentical("a/y", 4, Crc32c("body")));
  fs::create_symlink(Path("target/a/x"), Path("target/link"));
  EXPECT_FALSE(target.HasIdentical("link", 4, Crc32c("body")));
}

}  // namespace
}  // namespace meridian::cli
