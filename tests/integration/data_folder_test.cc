// A data folder that is not this process's to use: said what is wrong, where, and what to do, and
// nothing of it changed.
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/crc32c.h"
#include "client/client.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"

namespace meridian {
namespace {

namespace fs = std::filesystem;
using testing::AssertionResult;
using testing::PrintToString;

std::string ReadFile(const fs::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>());
}

void WriteFile(const fs::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

// Every name below a folder: what it holds and when it was changed.
using Snapshot = std::map<std::string, std::pair<uint32_t, fs::file_time_type>>;

Snapshot SnapshotOf(const fs::path& folder) {
  Snapshot snapshot;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    const uint32_t content = entry.is_regular_file() ? Crc32c(ReadFile(entry.path())) : 0;
    snapshot[entry.path()] = {content, entry.last_write_time()};
  }
  return snapshot;
}

class DataFolderTest : public testing::Test {
 protected:
  DataFolderTest() {
    WriteFile(Path("topology"), "regions { name: 'r' zones { name: 'r-1' nodes: ['a'] } }");
  }

  fs::path Path(const std::string& name) const { return fs::path(folder_.path()) / name; }

  std::unique_ptr<ServerProcess> Start(const std::string& name) {
    ServerProcess::Options options;
    options.data_folder = Path(name);
    options.log_file = Path(name + ".log");
    options.topology_file = Path("topology");
    auto server = ServerProcess::Start(options);
    EXPECT_TRUE(server.ok()) << server.status();
    return server.ok() ? *std::move(server) : nullptr;
  }
  // Makes a cluster of one node, and ends it.
  void Make(const std::string& name) {
    const auto server = Start(name);
    ASSERT_NE(server, nullptr);
    ASSERT_TRUE(server->Stop().ok());
  }

  // `meridiand ARGUMENTS` ends by itself.
  void Run(const std::string& arguments) {
    FILE* output = popen(absl::StrCat("server/meridiand ", arguments, " 2>&1").c_str(), "r");
    ASSERT_NE(output, nullptr);
    said_.clear();
    for (int c = fgetc(output); c != EOF; c = fgetc(output)) said_ += static_cast<char>(c);
    const int status = pclose(output);
    exit_code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  void RunOn(const std::string& name) { Run(absl::StrCat("dev --data ", Path(name).string())); }

  // It exited with 1, and said all of these.
  AssertionResult Refused(std::initializer_list<std::string> words) const {
    if (exit_code_ != 1) return testing::AssertionFailure() << exit_code_ << ": " << said_;
    for (const std::string& word : words) {
      if (said_.find(word) == std::string::npos) {
        return testing::AssertionFailure() << "without '" << word << "': " << said_;
      }
    }
    return testing::AssertionSuccess();
  }

  TempFolder folder_;
  std::string said_;
  int exit_code_ = 0;
};

TEST_F(DataFolderTest, ASecondProcessIsRefusedAndTheFirstGoesOn) {
  const auto first = Start("data");
  ASSERT_NE(first, nullptr);
  const std::string profile = ReadFile(Path("data/admin.profile"));
  RunOn("data");
  EXPECT_TRUE(Refused({"in use by another process", Path("data").string(), "stop that process"}));
  EXPECT_EQ(ReadFile(Path("data/admin.profile")), profile);
  const auto administrator = first->AdminProfile();
  ASSERT_TRUE(administrator.ok()) << administrator.status();
  EXPECT_TRUE(MakeTenantWithContainer(*administrator, "acme", "", v1::LRS).ok());
  EXPECT_TRUE(first->Stop().ok());
}

TEST_F(DataFolderTest, AnotherVersionsFolderIsRefusedUntouched) {
  ASSERT_NO_FATAL_FAILURE(Make("data"));
  const std::string format = ReadFile(Path("data/meridian.dev"));
  for (const char* other :
       {"meridian dev data folder, format 1\n", "meridian 9\n", "", "\x01\xff"}) {
    WriteFile(Path("data/meridian.dev"), other);
    const Snapshot before = SnapshotOf(Path("data"));
    RunOn("data");
    EXPECT_TRUE(
        Refused({"another version", Path("data").string(), "Run the version that made it"}));
    EXPECT_TRUE(SnapshotOf(Path("data")) == before);
  }
  WriteFile(Path("data/meridian.dev"), format);
  EXPECT_NO_FATAL_FAILURE(Make("data"));
}

TEST_F(DataFolderTest, ADiskThatANewerVersionWroteIsRefusedUntouched) {
  ASSERT_NO_FATAL_FAILURE(Make("data"));
  const fs::path disk = Path("data/nodes/a/disk0");
  const std::string identity = ReadFile(disk / "identity");
  std::string newer = identity.substr(0, identity.size() - 4);
  ++newer[8];  // after the magic: the version's lowest byte
  const uint32_t crc = Crc32c(newer);
  for (int i = 0; i < 4; ++i) newer += static_cast<char>(crc >> (8 * i));
  WriteFile(disk / "identity", newer);
  const Snapshot before = SnapshotOf(disk);
  RunOn("data");
  EXPECT_TRUE(Refused({"node a", disk.string(), "newer version", "run that version"}));
  EXPECT_TRUE(SnapshotOf(disk) == before);
  WriteFile(disk / "identity", identity);
  EXPECT_NO_FATAL_FAILURE(Make("data"));
}

TEST_F(DataFolderTest, AnotherClustersFoldersAreRefusedUntouched) {
  ASSERT_NO_FATAL_FAILURE(Make("data"));
  ASSERT_NO_FATAL_FAILURE(Make("other"));
  struct Case {
    const char* part;
    std::initializer_list<std::string> words;
  };
  const Case cases[] = {
      {"nodes/a/disk0", {"node a", "nodes/a/disk0", "belongs to cluster", "nothing was changed"}},
      {"nodes/a", {"node a", "nodes/a/disk0", "belongs to cluster", "nothing was changed"}},
      {"coordination", {"data/coordination", "another cluster", "nothing was changed"}},
      {"coordination.key", {"data/coordination.key", "another cluster", "nothing was changed"}},
      {"keyring", {"passphrase does not open the keyring", Path("data/keyring").string()}},
  };
  for (const Case& c : cases) {
    const fs::path part = Path("data") / c.part;
    fs::rename(part, Path("kept"));
    fs::copy(Path("other") / c.part, part, fs::copy_options::recursive);
    const auto snapshot = [&] {
      return fs::is_directory(part) ? SnapshotOf(part) : SnapshotOf(Path("data"));
    };
    const Snapshot before = snapshot();
    RunOn("data");
    EXPECT_TRUE(Refused(c.words)) << c.part;
    EXPECT_TRUE(snapshot() == before) << c.part;
    fs::remove_all(part);
    fs::rename(Path("kept"), part);
  }
  EXPECT_NO_FATAL_FAILURE(Make("data"));
}

TEST_F(DataFolderTest, AFolderOfSomethingElseIsRefusedUntouched) {
  fs::create_directories(Path("mine/photos"));
  WriteFile(Path("mine/diary"), "Dear diary");
  const Snapshot before = SnapshotOf(Path("mine"));
  RunOn("mine");
  EXPECT_TRUE(Refused({"not empty", Path("mine").string(), "give an empty one"}));
  EXPECT_TRUE(SnapshotOf(Path("mine")) == before);
  RunOn("mine/diary");
  EXPECT_TRUE(Refused({Path("mine/diary").string()}));
  RunOn("no/such");
  EXPECT_TRUE(Refused({Path("no/such").string(), "No such file"}));
}

TEST_F(DataFolderTest, AnotherTopologyIsRefusedUntouched) {
  ASSERT_NO_FATAL_FAILURE(Make("data"));
  WriteFile(Path("two"), "regions { name: 'r' zones { name: 'r-1' nodes: ['a', 'b'] } }");
  const Snapshot before = SnapshotOf(Path("data"));
  Run(absl::StrCat("dev --data ", Path("data").string(), " --topology ", Path("two").string()));
  EXPECT_TRUE(Refused({"another topology", Path("data").string(), "leave --topology out"}));
  EXPECT_TRUE(SnapshotOf(Path("data")) == before);
}

TEST_F(DataFolderTest, ArgumentsThatMakeNoSenseAreAnsweredWithTheUsage) {
  WriteFile(Path("nonsense"), "regions 17");
  const std::string data = Path("new").string();
  for (const std::string& arguments :
       {std::string(), std::string("serve"), std::string("dev"), std::string("dev --data"),
        absl::StrCat("dev --data ", data, " --frobnicate yes"),
        absl::StrCat("dev --data ", data, " --topology ", Path("missing").string()),
        absl::StrCat("dev --data ", data, " --topology ", Path("nonsense").string())}) {
    Run(arguments);
    EXPECT_EQ(exit_code_, 2) << arguments << ": " << said_;
    EXPECT_NE(said_.find("meridiand dev --data DIR"), std::string::npos) << said_;
  }
  EXPECT_FALSE(fs::exists(data));
  Run("--help");
  EXPECT_EQ(exit_code_, 0) << said_;
  EXPECT_NE(said_.find("meridiand dev --data DIR"), std::string::npos) << said_;
  Run(absl::StrCat("dev --data ", data, " --listen nowhere"));
  EXPECT_TRUE(Refused({"nowhere"}));
}

}  // namespace
}  // namespace meridian
