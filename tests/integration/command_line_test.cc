// What a user runs, against a real dev cluster: the documented example, and the CLI.
#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "client/cli/commands.h"
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
  ASSERT_EQ(Meridian("other", {"container", "create", "c", "--redundancy", "LRS"}), 0) << err_;
  EXPECT_EQ(Meridian("other", {"container", "create", "c", "--redundancy", "LRS"}), 5);
  EXPECT_EQ(Meridian("other", {"container", "create", "g", "--redundancy", "GRS"}), 1);
  EXPECT_EQ(Meridian("other", {"stat", "tenants/acme/containers/photos/x"}), 3);
  EXPECT_EQ(Meridian("admin", {"tenant", "rm", "other"}), 5);
  ASSERT_EQ(Meridian("other", {"container", "rm", "c"}), 0) << err_;
  EXPECT_EQ(Meridian("other", {"tenant", "create", "x"}), 4);
  ASSERT_EQ(Meridian("admin", {"tenant", "rm", "other"}), 0) << err_;
}

}  // namespace
}  // namespace meridian
