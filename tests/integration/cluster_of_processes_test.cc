// A cluster of processes: what it stores, and how its nodes start.

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <set>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "tests/integration/process_cluster.h"
#include "tests/integration/raw_server.h"

namespace meridian {
namespace {

class ClusterOfProcesses : public ProcessCluster {
 protected:
  static absl::Status Put(const std::string& container, const std::string& name,
                          const std::string& body) {
    v1::WriteSpec spec;
    spec.set_container(container);
    spec.set_name(name);
    return client_->WriteObject(spec, body).status();
  }
  static absl::StatusOr<std::string> Get(const std::string& container, const std::string& name) {
    v1::ReadObjectRequest request;
    request.set_container(container);
    request.set_name(name);
    std::string body;
    const auto read = client_->ReadObject(request, *MakeStringSink(&body));
    if (!read.ok()) return read.status();
    return body;
  }
  // The certificate that a server shows on a new connection, PEM; empty: there is none.
  static std::string PresentedBy(const std::string& endpoint) {
    const RawServer server(*profile_, endpoint);
    const auto context = RawServer::ContextOf(*profile_);
    v1::Topology topology;
    (void)server.cluster->GetTopology(context.get(), {}, &topology);  // any answer has one
    const auto shown =
        context->auth_context()->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME);
    return shown.empty() ? "" : std::string(shown[0].data(), shown[0].size());
  }
  static std::string ContentsOf(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
  }
};

TEST_F(ClusterOfProcesses, StoresAndReadsUnderBothPolicies) {
  const std::string large(3'000'000, 'm');
  for (const char* container : {kZonal, kLocal}) {
    ASSERT_TRUE(Put(container, "small", "body").ok());
    ASSERT_TRUE(Put(container, "large", large).ok());
    EXPECT_EQ(*Get(container, "small"), "body");
    EXPECT_EQ(*Get(container, "large"), large);
  }
  // Replicas are where the policies want them.
  std::set<std::string> zones;
  const v1::Group zonal = GroupOf(*admin_, kZonal);
  for (const v1::Replica& member : zonal.members()) zones.insert(member.zone());
  EXPECT_EQ(zones.size(), 3u);
  std::set<std::string> nodes;
  const v1::Group local = GroupOf(*admin_, kLocal);
  for (const v1::Replica& member : local.members()) nodes.insert(member.node());
  EXPECT_EQ(nodes, (std::set<std::string>{"east-1a", "east-1b", "east-1c"}));
}

TEST_F(ClusterOfProcesses, NodesShowAllTheirDisks) {
  const auto nodes = admin_->ListNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  ASSERT_EQ(nodes->nodes_size(), 5);
  for (const v1::Node& node : nodes->nodes()) {
    EXPECT_EQ(node.state(), v1::Node::UP) << node.name();
    EXPECT_EQ(node.disks_size(), 2) << node.name();
    for (const v1::Disk& disk : node.disks()) EXPECT_TRUE(disk.in_service()) << node.name();
  }
}

TEST_F(ClusterOfProcesses, ANodeThatCannotStartSaysWhatToDo) {
  std::ifstream file(cluster_->ConfigFile("east-2a"));
  const std::string config{std::istreambuf_iterator<char>(file), {}};
  // Beside the node's own, whose paths are relative.
  const std::string other = cluster_->ConfigFile("east-2a") + ".other";
  const auto run = [&](const std::string& from, const std::string& to) {
    std::ofstream(other, std::ios::trunc) << absl::StrReplaceAll(config, {{from, to}});
    const ProgramResult result = RunProgram({"server/meridiand", "--config", other});
    EXPECT_EQ(result.exit_code, 1) << result.output;
    return result.output;
  };
  EXPECT_TRUE(absl::StrContains(run("zone:", "rack: \"r\" zone:"), "rack"));
  EXPECT_TRUE(absl::StrContains(run("/meridian/local/", "/meridian/none/"), "meridiand init"));
  EXPECT_TRUE(absl::StrContains(run("node_id: \"east-2a\"", "node_id: \"east-2b\""),
                                "was issued to \"east-2a\""));
  const std::filesystem::path key = std::filesystem::path(other).replace_filename("open.key");
  std::filesystem::copy_file(std::filesystem::path(other).replace_filename("tls.key"), key);
  std::filesystem::permissions(key, std::filesystem::perms::others_read,
                               std::filesystem::perm_options::add);
  EXPECT_TRUE(absl::StrContains(run("\"tls.key\"", "\"open.key\""), "chmod 600"));
  const std::string in_use = run("etcd {", "etcd {");
  EXPECT_TRUE(absl::StrContains(in_use, "in use") || absl::StrContains(in_use, "another process"))
      << in_use;
  const ProgramResult again =
      RunProgram({"server/meridiand", "init", "--config", cluster_->ConfigFile("east-2a"),
                  "--profile", folder_->path() + "/second.profile"});
  EXPECT_EQ(again.exit_code, 1);
  EXPECT_TRUE(absl::StrContains(again.output, "already")) << again.output;
  EXPECT_FALSE(std::filesystem::exists(folder_->path() + "/second.profile"));
}

TEST_F(ClusterOfProcesses, ANodeThatIsToldToEndEndsInTime) {
  const absl::Status stopped = cluster_->Stop("east-3a");
  EXPECT_TRUE(stopped.ok()) << stopped;
  EXPECT_EQ(cluster_->PidOf("east-3a"), "");
  // Another process is asked: whoever drains says so.
  EXPECT_TRUE(
      Until([] { return NodeNamed("east-3a").state() == v1::Node::DOWN; }, absl::Seconds(30)));
  const absl::Status started = cluster_->Start("east-3a");
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZonal), absl::OkStatus());
}

TEST_F(ClusterOfProcesses, ANodeGoesOnWithoutADiskThatIsNotThere) {
  const std::filesystem::path disk =
      std::filesystem::path(cluster_->ConfigFile("east-2a")).replace_filename("disk2");
  ASSERT_TRUE(cluster_->Stop("east-2a").ok());
  std::filesystem::rename(disk, disk.string() + ".away");
  const absl::Status without = cluster_->Start("east-2a");
  EXPECT_TRUE(without.ok()) << without;
  EXPECT_TRUE(Until([] { return DisksInService("east-2a") == 1; }, absl::Seconds(30)));
  ASSERT_TRUE(cluster_->Stop("east-2a").ok());
  std::filesystem::rename(disk.string() + ".away", disk);
  const absl::Status with = cluster_->Start("east-2a");
  ASSERT_TRUE(with.ok()) << with;
  EXPECT_TRUE(Until([] { return DisksInService("east-2a") == 2; }, absl::Seconds(30)));
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZonal), absl::OkStatus());
}

// P11.
TEST_F(ClusterOfProcesses, ACopyOfADiskThatIsPutBackIsRefusedUntilTheDiskItselfIs) {
  const std::filesystem::path disk = cluster_->DataFolder("east-3a", 2);
  const std::string copy = disk.string() + ".copy";
  const std::string itself = disk.string() + ".itself";
  ASSERT_TRUE(cluster_->Stop("east-3a").ok());
  std::filesystem::copy(disk, copy, std::filesystem::copy_options::recursive);
  ASSERT_TRUE(cluster_->Start("east-3a").ok());
  ASSERT_TRUE(Put(kZonal, "after the copy", "body").ok());
  ASSERT_TRUE(cluster_->Stop("east-3a").ok());
  std::filesystem::rename(disk, itself);
  std::filesystem::rename(copy, disk);
  for (int i = 0; i < 2; ++i) {
    const ProgramResult refused =
        RunProgram({"server/meridiand", "--config", cluster_->ConfigFile("east-3a")});
    EXPECT_EQ(refused.exit_code, 1);
    EXPECT_TRUE(absl::StrContains(refused.output, disk.string() + "/store: the folder is a copy"))
        << refused.output;
  }
  std::filesystem::remove_all(disk);
  std::filesystem::rename(itself, disk);
  const absl::Status started = cluster_->Start("east-3a");
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZonal), absl::OkStatus());
}

TEST_F(ClusterOfProcesses, ACertificateIsRenewedWithoutARestartAndABrokenOneIsNotTakenUp) {
  const std::string endpoint = NodeNamed("east-2a").endpoint();
  const std::string pid = cluster_->PidOf("east-2a");
  const std::string files =
      std::filesystem::path(cluster_->ConfigFile("east-2a")).replace_filename("tls");
  const std::string first = ContentsOf(files + ".crt");
  ASSERT_EQ(PresentedBy(endpoint), first);

  std::ofstream(files + ".crt.new") << first.substr(0, first.size() / 2);
  std::filesystem::rename(files + ".crt.new", files + ".crt");
  EXPECT_TRUE(Until([&] {
    return absl::StrContains(ContentsOf(cluster_->LogFile("east-2a")),
                             "certificates cannot be renewed");
  })) << "the broken file is not told";
  EXPECT_EQ(PresentedBy(endpoint), first);

  const std::string next = folder_->path() + "/renewed";
  const ProgramResult issued = RunProgram({"client/cli/meridian", "ca", "issue", "east-2a", "--ca",
                                           cluster_->folder() + "/ca", "--out", next});
  ASSERT_EQ(issued.exit_code, 0) << issued.output;
  const std::string second = ContentsOf(next + ".crt");
  ASSERT_NE(second, first);
  for (const char* file : {".key", ".crt"}) std::filesystem::rename(next + file, files + file);
  EXPECT_TRUE(Until([&] { return PresentedBy(endpoint) == second; }))
      << "presented: " << PresentedBy(endpoint);
  EXPECT_EQ(cluster_->PidOf("east-2a"), pid);
  // Nodes connect to it anew, and it to them.
  ASSERT_TRUE(cluster_->Stop("east-3a").ok());
  const absl::Status started = cluster_->Start("east-3a");
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_TRUE(Put(kZonal, "after the renewal", "body").ok());
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZonal), absl::OkStatus());
}

TEST_F(ClusterOfProcesses, NoKeyIsMadeThatCannotBeWrittenDown) {
  const std::string taken = folder_->path() + "/taken.profile";
  std::ofstream(taken) << "mine";
  for (const std::string& path : {taken, std::string("/proc/unwritable.profile")}) {
    const ProgramResult refused = RunProgram({"server/meridiand", "administrator", "--config",
                                              cluster_->ConfigFile("east-3a"), "--profile", path});
    EXPECT_EQ(refused.exit_code, 1) << path;
    EXPECT_FALSE(absl::StrContains(refused.output, "the key was made")) << refused.output;
  }
  EXPECT_EQ(std::filesystem::file_size(taken), 4u);
}

TEST_F(ClusterOfProcesses, AnAdministratorsKeyCanBeMadeAgain) {
  const std::string path = folder_->path() + "/more.profile";
  const ProgramResult made = RunProgram({"server/meridiand", "administrator", "--config",
                                         cluster_->ConfigFile("east-3a"), "--profile", path});
  ASSERT_EQ(made.exit_code, 0) << made.output;
  const auto profile = LoadProfile(path);
  ASSERT_TRUE(profile.ok()) << profile.status();
  EXPECT_TRUE(Admin(*profile).ListNodes().ok());
}

}  // namespace
}  // namespace meridian
