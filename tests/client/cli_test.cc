// `meridian` as a user calls it, against a fake cluster.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/commands.h"
#include "client/client.h"
#include "tests/client/fake_cluster.h"
#include "tests/temp_folder.h"

namespace meridian::cli {
namespace {

namespace fs = std::filesystem;
constexpr char kContainer[] = "tenants/t/containers/c";

class CliTest : public testing::Test {
 protected:
  CliTest() { EXPECT_TRUE(SaveProfile(cluster_.profile(), Path("profile")).ok()); }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  // The exit code; out_ and err_ are what it printed.
  int Run(std::vector<std::string> arguments, const std::string& profile = "profile") {
    std::vector<const char*> argv = {"meridian"};
    arguments.insert(arguments.begin(), {"--profile", Path(profile)});
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    std::ostringstream out;
    std::ostringstream err;
    const int code = Main(static_cast<int>(argv.size()), argv.data(), out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  void MakeFile(const std::string& name, const std::string& body) {
    fs::create_directories(fs::path(Path(name)).parent_path());
    std::ofstream(Path(name), std::ios::binary) << body;
  }
  std::string ReadFile(const std::string& name) const {
    std::ifstream file(Path(name), std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Store(const std::string& name, const std::string& body) {
    Client client(cluster_.profile());
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name(name);
    ASSERT_TRUE(client.WriteObject(spec, body).ok());
  }
  // The last line as JSON.
  Json Summary() const {
    Json json = Json::parse(out_, nullptr, false);
    EXPECT_FALSE(json.is_discarded()) << out_ << err_;
    return json;
  }

  FakeCluster cluster_{1};
  TempFolder folder_;
  std::string out_;
  std::string err_;
};

TEST_F(CliTest, PutsAndGetsAFile) {
  MakeFile("cat.jpg", "meow");
  ASSERT_EQ(Run({"put", Path("cat.jpg"), "c/pets/"}), 0) << err_;
  EXPECT_EQ(cluster_.store().Content(kContainer, "pets/cat.jpg"), "meow");
  ASSERT_EQ(Run({"get", "c/pets/cat.jpg", Path("copy.jpg")}), 0) << err_;
  EXPECT_EQ(ReadFile("copy.jpg"), "meow");
  EXPECT_EQ(Run({"--json", "stat", "c/pets/cat.jpg"}), 0);
  EXPECT_EQ(Summary()["size_bytes"], 4);
}

TEST_F(CliTest, AFolderComesBackIdentical) {
  MakeFile("in/a", "1");
  MakeFile("in/deep/er/b", std::string(3 << 20, 'b'));
  MakeFile("in/empty", "");
  ASSERT_EQ(Run({"put", Path("in"), "c/x"}), 0) << err_;
  EXPECT_EQ(cluster_.store().Content(kContainer, "x/a"), "1");
  ASSERT_EQ(Run({"get", "c/x/", Path("out")}), 0) << err_;
  for (const char* name : {"a", "deep/er/b", "empty"}) {
    ASSERT_TRUE(fs::exists(Path("out/") + name)) << name;
    EXPECT_TRUE(ReadFile(std::string("in/") + name) == ReadFile(std::string("out/") + name));
  }
}

TEST_F(CliTest, ASecondPutSendsOnlyWhatDiffers) {
  for (const char* name : {"in/a", "in/b", "in/c"}) MakeFile(name, name);
  ASSERT_EQ(Run({"--json", "put", Path("in"), "c"}), 0) << err_;
  EXPECT_EQ(Summary()["files"], 3);
  MakeFile("in/b", "IN/B");
  ASSERT_EQ(Run({"--json", "put", Path("in"), "c"}), 0) << err_;
  EXPECT_EQ(Summary()["files"], 1);
  EXPECT_EQ(Summary()["skipped"], 2);
  EXPECT_EQ(cluster_.store().Content(kContainer, "b"), "IN/B");
}

TEST_F(CliTest, ASecondGetFetchesOnlyWhatDiffers) {
  Store("a", "1");
  Store("b", "2");
  ASSERT_EQ(Run({"get", "c", Path("out")}), 0) << err_;
  MakeFile("out/a", "x");
  ASSERT_EQ(Run({"--json", "get", "c", Path("out")}), 0) << err_;
  EXPECT_EQ(Summary()["files"], 1);
  EXPECT_EQ(Summary()["skipped"], 1);
  EXPECT_EQ(ReadFile("out/a"), "1");
}

TEST_F(CliTest, HostileNamesAreRefusedAndTheRestIsFetched) {
  for (const char* name : {"../escaped", "/absolute", "a/../../escaped2", "..", "good"}) {
    Store(name, "body");
  }
  EXPECT_EQ(Run({"--json", "get", "c", Path("out/target")}), 1);
  EXPECT_EQ(Summary()["failed"], 4);
  EXPECT_EQ(ReadFile("out/target/good"), "body");
  EXPECT_FALSE(fs::exists(Path("escaped")));
  EXPECT_FALSE(fs::exists(Path("out/escaped")));
  EXPECT_FALSE(fs::exists(Path("out/escaped2")));
  // One by one, under a name of the user's choice, it can be had.
  EXPECT_EQ(Run({"get", "c/../escaped", Path("chosen")}), 0) << err_;
  EXPECT_EQ(ReadFile("chosen"), "body");
}

TEST_F(CliTest, ABrokenDownloadLeavesTheOldFile) {
  Store("x", "new body");
  MakeFile("x", "old");
  cluster_.store().DamageNextRead();
  EXPECT_EQ(Run({"get", "c/x", Path("x")}), 1);
  EXPECT_EQ(ReadFile("x"), "old");
}

TEST_F(CliTest, ListsGroupedAtSlashes) {
  for (const char* name : {"a", "b/1", "b/2"}) Store(name, "");
  ASSERT_EQ(Run({"ls", "c"}), 0) << err_;
  EXPECT_NE(out_.find("b/\n"), std::string::npos) << out_;
  EXPECT_EQ(out_.find("b/1"), std::string::npos) << out_;
  ASSERT_EQ(Run({"ls", "-r", "c/b/"}), 0) << err_;
  EXPECT_NE(out_.find("b/2\n"), std::string::npos) << out_;
}

TEST_F(CliTest, RemovesAPrefix) {
  for (const char* name : {"a", "b/1", "b/2"}) Store(name, "");
  ASSERT_EQ(Run({"rm", "-r", "c/b/"}), 0) << err_;
  EXPECT_TRUE(cluster_.store().Content(kContainer, "a").has_value());
  EXPECT_FALSE(cluster_.store().Content(kContainer, "b/1").has_value());
  EXPECT_FALSE(cluster_.store().Content(kContainer, "b/2").has_value());
}

TEST_F(CliTest, ExitCodesSayWhatIsWrong) {
  EXPECT_EQ(Run({"frobnicate"}), 2);
  EXPECT_EQ(Run({"stat", "c"}), 2);
  EXPECT_EQ(Run({"stat", "c/none"}), 3);
  EXPECT_EQ(Run({"put", Path("none"), "c/x"}), 3);
  Profile wrong = cluster_.profile();
  wrong.access_key = "mak1_wrong";
  ASSERT_TRUE(SaveProfile(wrong, Path("wrong")).ok());
  EXPECT_EQ(Run({"stat", "c/x"}, "wrong"), 4);
  EXPECT_NE(err_.find("check \"access_key\""), std::string::npos) << err_;
  EXPECT_EQ(Run({"--json", "stat", "c/x"}, "wrong"), 4);
  EXPECT_EQ(Json::parse(err_)["error"]["reason"], "INVALID_ACCESS_KEY");
}

TEST_F(CliTest, EveryCommandExplainsItself) {
  const std::vector<std::vector<std::string>> commands = {{},
                                                          {"tenant"},
                                                          {"tenant", "create"},
                                                          {"tenant", "ls"},
                                                          {"tenant", "rm"},
                                                          {"key"},
                                                          {"key", "create"},
                                                          {"key", "ls"},
                                                          {"key", "revoke"},
                                                          {"container"},
                                                          {"container", "create"},
                                                          {"container", "update"},
                                                          {"container", "ls"},
                                                          {"container", "rm"},
                                                          {"put"},
                                                          {"get"},
                                                          {"ls"},
                                                          {"stat"},
                                                          {"rm"},
                                                          {"restore"},
                                                          {"cluster"},
                                                          {"cluster", "status"},
                                                          {"dev"},
                                                          {"dev", "stop"},
                                                          {"dev", "start"}};
  for (std::vector<std::string> command : commands) {
    command.push_back("--help");
    EXPECT_EQ(Run(command), 0) << err_;
    std::string usage = "Usage: meridian";
    for (size_t i = 0; i + 1 < command.size(); ++i) usage += " " + command[i];
    EXPECT_NE(out_.find(usage), std::string::npos) << out_;
    EXPECT_NE(out_.find("Exit codes: 0 done"), std::string::npos) << out_;
  }
}

TEST_F(CliTest, AWrongCommandLineIsAnsweredInTheFormThatWasAskedFor) {
  for (const std::vector<std::string>& wrong :
       std::vector<std::vector<std::string>>{{},
                                             {"bogus"},
                                             {"put"},
                                             {"get", "a", "b", "c"},
                                             {"ls", "c", "--frobnicate"},
                                             {"container", "create", "c", "--redundancy", "XYZ"},
                                             {"put", "f", "c", "--jobs", "0"},
                                             {"--timeout", "0", "ls", "c"}}) {
    EXPECT_EQ(Run(wrong), 2) << out_;
    EXPECT_NE(err_, "");
    std::vector<std::string> as_json = wrong;
    as_json.insert(as_json.begin(), "--json");
    EXPECT_EQ(Run(as_json), 2) << out_;
    const Json json = Json::parse(err_, nullptr, false);
    ASSERT_FALSE(json.is_discarded()) << err_;
    EXPECT_EQ(json["error"]["code"], "INVALID_ARGUMENT") << err_;
    EXPECT_NE(json["error"]["message"], "") << err_;
  }
  EXPECT_EQ(Run({"--timeout", "-1", "ls", "c"}), 2);
  EXPECT_NE(err_.find("must be a number above 0, not -1"), std::string::npos) << err_;
}

}  // namespace
}  // namespace meridian::cli
