// What a user runs, against a real dev cluster: the documented example, and the CLI.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/cli/format.h"
#include "client/profile.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"

namespace meridian {
namespace {

namespace fs = std::filesystem;

class CommandLineTest : public testing::Test {
 protected:
  void SetUp() override {
    ServerProcess::Options options;
    options.data_folder = Path("data");
    options.log_file = Path("log");
    auto server = ServerProcess::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    auto admin = server_->AdminProfile();
    ASSERT_TRUE(admin.ok()) << admin.status();
    ASSERT_TRUE(SaveProfile(*admin, Path("admin")).ok());
    auto tenant = MakeTenantWithContainer(*admin, "acme", "photos", v1::ZRS);
    ASSERT_TRUE(tenant.ok()) << tenant.status();
    ASSERT_TRUE(SaveProfile(*tenant, Path("acme")).ok());
  }

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }

  // The CLI's exit code.
  int Meridian(const std::string& profile, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"meridian", "--profile", Path(profile)});
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    std::ostringstream out;
    std::ostringstream err;
    const int code = cli::Main(static_cast<int>(argv.size()), argv.data(), out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }

  // {node that leads the container "photos", its zone}.
  std::pair<std::string, std::string> Leader() {
    EXPECT_EQ(Meridian("admin", {"--json", "cluster", "status"}), 0) << err_;
    std::istringstream lines(out_);
    for (std::string line; std::getline(lines, line);) {
      const cli::Json json = cli::Json::parse(line);
      if (!json.contains("group")) continue;
      for (const cli::Json& member : json["group"]["members"]) {
        if (member["node"] == json["group"]["leader_node"]) return {member["node"], member["zone"]};
      }
    }
    ADD_FAILURE() << "no leader: " << out_;
    return {};
  }

  TempFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  std::string out_;
  std::string err_;
};

TEST_F(CommandLineTest, TheDocumentedExampleWorks) {
  const std::string command = "docs/examples/put_get " + Path("acme") + " photos";
  FILE* output = popen(command.c_str(), "r");
  ASSERT_NE(output, nullptr);
  std::string text;
  for (int c = fgetc(output); c != EOF; c = fgetc(output)) text += static_cast<char>(c);
  EXPECT_EQ(pclose(output), 0) << text;
  EXPECT_NE(text.find("read back: Hello, Meridian!"), std::string::npos) << text;
  EXPECT_NE(text.find("listed: greetings/hello.txt"), std::string::npos) << text;
}

TEST_F(CommandLineTest, AFolderComesBackIdenticalWhileTheLeadersZoneIsDown) {
  fs::create_directories(Path("in/deep/er"));
  for (int i = 0; i < 40; ++i) {
    std::ofstream(Path("in/deep/" + std::to_string(i))) << std::string(i * 1000, 'a');
  }
  std::ofstream(Path("in/deep/er/large")) << std::string(20 << 20, 'b');
  ASSERT_EQ(Meridian("acme", {"put", Path("in"), "photos"}), 0) << err_;
  const auto [node, zone] = Leader();
  ASSERT_EQ(Meridian("admin", {"dev", "stop", zone}), 0) << err_;
  ASSERT_EQ(Meridian("acme", {"get", "photos", Path("out")}), 0) << err_;
  EXPECT_EQ(std::system(("diff -r " + Path("in") + " " + Path("out")).c_str()), 0);
  std::ofstream(Path("in/new")) << "written while the zone is down";
  ASSERT_EQ(Meridian("acme", {"--json", "put", Path("in"), "photos"}), 0) << err_;
  EXPECT_EQ(cli::Json::parse(out_)["files"], 1);
  EXPECT_EQ(cli::Json::parse(out_)["skipped"], 41);
  ASSERT_EQ(Meridian("admin", {"dev", "start", zone}), 0) << err_;
}

TEST_F(CommandLineTest, TenantsKeysAndContainersComeAndGo) {
  ASSERT_EQ(Meridian("admin", {"tenant", "create", "other"}), 0) << err_;
  ASSERT_EQ(Meridian("admin", {"key", "create", "other", "--profile-out", Path("other")}), 0);
  // The file may hold the only copy of a secret.
  EXPECT_EQ(Meridian("admin", {"key", "create", "other", "--profile-out", Path("other")}), 5);
  ASSERT_EQ(Meridian("admin", {"key", "ls", "other"}), 0) << err_;
  EXPECT_EQ(std::count(out_.begin(), out_.end(), '\n'), 1) << out_;
  ASSERT_EQ(Meridian("other", {"container", "create", "c", "--redundancy", "LRS"}), 0) << err_;
  EXPECT_EQ(Meridian("other", {"container", "create", "c", "--redundancy", "LRS"}), 5);
  EXPECT_EQ(Meridian("other", {"container", "create", "g", "--redundancy", "GRS"}), 1);
  EXPECT_EQ(Meridian("other", {"stat", "tenants/acme/containers/photos/x"}), 3);
  EXPECT_EQ(Meridian("admin", {"tenant", "rm", "other"}), 5);
  ASSERT_EQ(Meridian("other", {"container", "rm", "c"}), 0) << err_;
  EXPECT_EQ(Meridian("other", {"tenant", "create", "x"}), 4);
  ASSERT_EQ(Meridian("admin", {"tenant", "rm", "other"}), 0) << err_;
}

TEST_F(CommandLineTest, AContainersRedundancyIsChangedAndWhatCannotBeIsRefused) {
  const std::vector<std::string> convert = {"container", "convert", "photos"};
  const auto run = [&](std::vector<std::string> flags) {
    flags.insert(flags.begin(), convert.begin(), convert.end());
    return Meridian("acme", flags);
  };
  EXPECT_EQ(run({"--redundancy", "XRS"}), 2) << "no such policy";
  EXPECT_EQ(run({"--redundancy", "LRS", "--cancel"}), 2) << "one thing at a time";
  EXPECT_EQ(run({"--redundancy", "GRS"}), 1);
  EXPECT_NE(err_.find("LRS and ZRS"), std::string::npos) << err_;
  EXPECT_EQ(run({"--redundancy", "ZRS"}), 5) << "it has that";
  for (const char* flag : {"--pause", "--resume", "--cancel"}) EXPECT_EQ(run({flag}), 5) << flag;
  EXPECT_EQ(Meridian("acme", {"container", "convert", "none", "--redundancy", "LRS"}), 3);
  ASSERT_EQ(run({}), 0) << err_;
  EXPECT_EQ(out_, "photos: ZRS, no conversion under way\n");

  ASSERT_EQ(run({"--redundancy", "LRS"}), 0) << err_;
  EXPECT_NE(out_.find("photos: ZRS -> LRS, running"), std::string::npos) << out_;
  ASSERT_EQ(run({"--pause"}), 0) << err_;
  EXPECT_EQ(run({"--redundancy", "LRS"}), 5) << "one is under way";
  EXPECT_NE(err_.find("meridian container convert"), std::string::npos) << err_;
  EXPECT_EQ(run({"--cancel", "--wait"}), 0) << err_;
  EXPECT_EQ(out_, "photos: ZRS, no conversion under way\n");
  ASSERT_EQ(run({"--redundancy", "LRS", "--wait"}), 0) << err_;
  EXPECT_EQ(out_, "photos: LRS, no conversion under way\n");
  EXPECT_NE(err_.find("photos: ZRS -> LRS"), std::string::npos) << "progress: " << err_;
  ASSERT_EQ(Meridian("acme", {"--json", "container", "convert", "photos", "--redundancy", "ZRS"}),
            0);
  const cli::Json json = cli::Json::parse(out_);
  EXPECT_EQ(json["redundancy"], "LRS");
  EXPECT_EQ(json["conversion"]["target"], "ZRS");
  EXPECT_EQ(json["conversion"]["state"], "RUNNING");
  ASSERT_EQ(run({"--wait"}), 0) << err_;
}

TEST_F(CommandLineTest, OfNodesAndZonesThatAreNotThereItSaysWhichAre) {
  for (const char* command : {"stop", "start"}) {
    EXPECT_EQ(Meridian("admin", {"dev", command, "north-1"}), 3);
    EXPECT_NE(err_.find("no zone or node called north-1"), std::string::npos) << err_;
    EXPECT_NE(err_.find("east-2 with east-2a"), std::string::npos) << err_;
  }
  EXPECT_EQ(Meridian("acme", {"dev", "stop", "east-1"}), 4) << err_;
  EXPECT_EQ(Meridian("acme", {"cluster", "status"}), 4) << err_;
}

TEST_F(CommandLineTest, EachCommandHasAFormForMachines) {
  const std::vector<std::pair<const char*, std::vector<std::string>>> commands = {
      {"admin", {"tenant", "create", "t"}},
      {"admin", {"tenant", "ls"}},
      {"admin", {"key", "create", "t"}},
      {"admin", {"key", "ls", "t"}},
      {"admin", {"cluster", "status"}},
      {"admin", {"dev", "stop", "west-3a"}},
      {"admin", {"dev", "start", "west-3"}},
      {"acme", {"container", "create", "c", "--redundancy", "LRS", "--versioning", "on"}},
      {"acme", {"container", "update", "c", "--versioning", "off"}},
      {"acme", {"container", "ls"}},
      {"acme", {"put", Path("log"), "c/o"}},
      {"acme", {"stat", "c/o"}},
      {"acme", {"ls", "c"}},
      {"acme", {"ls", "--versions", "c"}},
      {"acme", {"get", "c/o", Path("back")}},
      {"acme", {"get", "c/", Path("all")}},
      {"acme", {"rm", "c/o"}},
      {"acme", {"container", "rm", "c"}},
      {"admin", {"tenant", "rm", "t"}},
  };
  for (auto [profile, command] : commands) {
    command.insert(command.begin(), "--json");
    EXPECT_EQ(Meridian(profile, command), 0) << command[1] << " " << command[2] << ": " << err_;
    std::istringstream lines(out_);
    int count = 0;
    for (std::string line; std::getline(lines, line); ++count) {
      const cli::Json json = cli::Json::parse(line, nullptr, false);
      EXPECT_TRUE(json.is_object()) << command[1] << " " << command[2] << ": " << line;
    }
    EXPECT_GT(count, 0) << command[1] << " " << command[2];
  }
}

TEST_F(CommandLineTest, ADiskIsShownAndTakenOutWithProgress) {
  ASSERT_EQ(Meridian("admin", {"--json", "disk", "ls"}), 0) << err_;
  std::string disk;  // of the zone that has another node for its replica
  std::istringstream lines(out_);
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const cli::Json json = cli::Json::parse(line)["disk"];
    EXPECT_EQ(json["state"], "IN SERVICE") << line;
    if (json["zone"] == "east-1" && json["replicas"] > 0) disk = json["id"];
  }
  EXPECT_EQ(count, 10);
  ASSERT_FALSE(disk.empty()) << out_;
  EXPECT_EQ(Meridian("admin", {"disk", "replace", disk}), 0) << err_;
  EXPECT_NE(out_.find("1 of 1 replicas are still to be made elsewhere"), std::string::npos) << out_;
  EXPECT_NE(out_.find("taken out of the cluster"), std::string::npos) << out_;
  EXPECT_EQ(Meridian("admin", {"disk", "replace", disk, "--cancel"}), cli::kConflict);
  EXPECT_EQ(Meridian("admin", {"disk", "replace", std::string(32, 'a')}), cli::kNotFound);
  EXPECT_NE(Meridian("admin", {"disk", "replace", "east-1a"}), 0);
  EXPECT_NE(err_.find("32 hex digits"), std::string::npos) << err_;
  EXPECT_EQ(Meridian("acme", {"disk", "replace", disk}), cli::kNotAllowed);
}

TEST_F(CommandLineTest, ANodeThatIsAddedIsWaitedForAndUsed) {
  EXPECT_EQ(Meridian("admin", {"node", "add", "east-9z", "--wait", "0"}), cli::kUnavailable);
  EXPECT_NE(err_.find("not known yet"), std::string::npos) << err_;
  ASSERT_EQ(Meridian("admin", {"node", "drain", "east-1a"}), 0) << err_;
  ASSERT_EQ(Meridian("admin", {"dev", "stop", "east-1a"}), 0) << err_;
  EXPECT_EQ(Meridian("admin", {"node", "add", "east-1a", "--wait", "0"}), cli::kUnavailable);
  EXPECT_NE(err_.find("STOPPED"), std::string::npos) << err_;
  ASSERT_EQ(Meridian("admin", {"dev", "start", "east-1a"}), 0) << err_;
  EXPECT_EQ(Meridian("admin", {"node", "add", "east-1a"}), 0) << err_;
  ASSERT_EQ(Meridian("admin", {"--json", "node", "ls"}), 0) << err_;
  EXPECT_EQ(out_.find("\"draining\": true"), std::string::npos) << out_;
  EXPECT_EQ(out_.find("\"draining\":true"), std::string::npos) << out_;
}

}  // namespace
}  // namespace meridian
