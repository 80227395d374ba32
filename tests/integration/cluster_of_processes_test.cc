// A cluster as its operators run it: a process a node, three etcd members, TLS between all of them.
// One cluster for all tests; each leaves it whole.

#include <gtest/gtest.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "base/status.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/integration/local_cluster.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {
namespace {

constexpr char kZonal[] = "tenants/acme/containers/zonal";
constexpr char kLocal[] = "tenants/acme/containers/local";

// How long writes may stop when a group's leader dies.
constexpr absl::Duration kMaxPause = absl::Seconds(5);

v1::CreateContainerRequest ContainerRequest(const std::string& name, v1::Redundancy redundancy) {
  v1::CreateContainerRequest request;
  request.set_parent("tenants/acme");
  request.set_container_id(name);
  request.mutable_container()->set_redundancy(redundancy);
  return request;
}

class ClusterOfProcesses : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    folder_ = new TempFolder;
    cluster_ = new LocalCluster(folder_->path() + "/cluster");
    const absl::Status up = cluster_->Up({"--disks", "2"});
    ASSERT_TRUE(up.ok()) << up;
    const auto admin = cluster_->AdminProfile();
    ASSERT_TRUE(admin.ok()) << admin.status();
    admin_ = new Admin(*admin);
    const auto profile = MakeTenantWithContainer(*admin, "acme", "zonal", v1::ZRS);
    ASSERT_TRUE(profile.ok()) << profile.status();
    client_ = new Client(*profile);
    const auto local = client_->CreateContainer(ContainerRequest("local", v1::LRS));
    ASSERT_TRUE(local.ok()) << local.status();
  }
  static void TearDownTestSuite() {
    delete client_;
    delete admin_;
    delete cluster_;
    delete folder_;
  }
  void SetUp() override { ASSERT_NE(client_, nullptr); }

  static absl::Status Put(const std::string& container, const std::string& name,
                          const std::string& body, absl::Duration timeout = absl::Seconds(60)) {
    v1::WriteSpec spec;
    spec.set_container(container);
    spec.set_name(name);
    return client_->WriteObject(spec, body, {.timeout = timeout}).status();
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

  static v1::Group GroupOf(const std::string& container, bool with_digest = false) {
    v1::ListGroupsRequest request;
    request.set_container(container);
    request.set_with_digest(with_digest);
    auto groups = admin_->ListGroups(request);
    const auto group = groups.Next();
    return group.ok() && group->has_value() ? **group : v1::Group();
  }
  static v1::Node Find(const std::string& name) {
    const auto nodes = admin_->ListNodes();
    if (!nodes.ok()) return {};
    for (const v1::Node& node : nodes->nodes()) {
      if (node.name() == name) return node;
    }
    return {};
  }
  static v1::Node::State StateOf(const std::string& name) { return Find(name).state(); }
  static int DisksInService(const std::string& name) {
    const v1::Node node = Find(name);
    int count = 0;
    for (const v1::Disk& disk : node.disks()) count += disk.in_service();
    return count;
  }
  // All members answer and have the same state.
  static bool IsWhole(const std::string& container) {
    const v1::Group group = GroupOf(container, /*with_digest=*/true);
    std::set<std::string> digests;
    for (const v1::Replica& member : group.members()) digests.insert(member.state_digest());
    return group.health() == v1::Group::HEALTHY && group.members_size() == 3 &&
           digests.size() == 1 && !digests.contains("");
  }

  static TempFolder* folder_;
  static LocalCluster* cluster_;
  static Admin* admin_;
  static Client* client_;
};

TempFolder* ClusterOfProcesses::folder_ = nullptr;
LocalCluster* ClusterOfProcesses::cluster_ = nullptr;
Admin* ClusterOfProcesses::admin_ = nullptr;
Client* ClusterOfProcesses::client_ = nullptr;

// Writes from several threads, one object after another each, until it ends.
class Writers {
 public:
  using PutObject = std::function<absl::Status(const std::string& name, const std::string& body)>;

  Writers(std::string prefix, int count, PutObject put)
      : prefix_(std::move(prefix)), put_(std::move(put)) {
    for (int i = 0; i < count; ++i) threads_.emplace_back([this, i] { Run(i); });
  }
  ~Writers() { Stop(); }

  // What was acknowledged, by name.
  std::map<std::string, std::string> Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  size_t acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return acknowledged_.size();
  }
  std::vector<std::string> errors() const {
    absl::MutexLock lock(&mutex_);
    return errors_;
  }

 private:
  void Run(int writer) {
    for (int i = 0; !stop_; ++i) {
      const std::string name = absl::StrCat(prefix_, writer, "-", i);
      const std::string body =
          absl::StrCat(name, " ", std::string(i % 7 == 0 ? 100'000 : 300, 'x'));
      const absl::Status status = put_(name, body);
      absl::MutexLock lock(&mutex_);
      if (status.ok()) {
        acknowledged_[name] = body;
      } else {
        errors_.push_back(absl::StrCat(name, ": ", status.ToString()));
      }
    }
  }

  const std::string prefix_;
  const PutObject put_;
  std::atomic<bool> stop_{false};
  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::string> errors_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
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
  const v1::Group zonal = GroupOf(kZonal);
  for (const v1::Replica& member : zonal.members()) zones.insert(member.zone());
  EXPECT_EQ(zones.size(), 3u);
  std::set<std::string> nodes;
  const v1::Group local = GroupOf(kLocal);
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

TEST_F(ClusterOfProcesses, WritesGoOnSoonAfterTheLeaderWasKilledAndItReturnsWithItsData) {
  const std::string leader = GroupOf(kZonal).leader_node();
  ASSERT_FALSE(leader.empty());
  Writers writers("kill-", 4, [](const std::string& name, const std::string& body) {
    return Put(kZonal, name, body);
  });
  ASSERT_TRUE(Until([&] { return writers.acknowledged() >= 50; }, absl::Seconds(30)));
  ASSERT_TRUE(cluster_->Kill(leader).ok());
  const absl::Time killed = absl::Now();
  const absl::Status probe = Put(kZonal, "probe", "after the kill");
  const absl::Duration pause = absl::Now() - killed;
  ASSERT_TRUE(probe.ok()) << probe;
  std::cout << "writes went on " << absl::FormatDuration(pause) << " after the kill\n";
  RecordProperty("pause_ms", static_cast<int>(absl::ToInt64Milliseconds(pause)));
  EXPECT_LT(pause, kMaxPause);

  const absl::Status started = cluster_->Start(leader);
  ASSERT_TRUE(started.ok()) << started;
  const std::map<std::string, std::string> acknowledged = writers.Stop();
  EXPECT_TRUE(writers.errors().empty()) << writers.errors().front();
  for (const auto& [name, body] : acknowledged) {
    const auto read = Get(kZonal, name);
    ASSERT_TRUE(read.ok()) << name << ": " << read.status();
    ASSERT_TRUE(*read == body) << name;
  }
  EXPECT_TRUE(Until([] { return IsWhole(kZonal); }, absl::Seconds(60)));
}

// I12.
TEST_F(ClusterOfProcesses, WritesGoOnWithoutEtcdAndNothingHasToBeRestartedAfterIt) {
  const std::vector<std::string> names = {"east-1a", "east-1b", "east-1c", "east-2a", "east-3a"};
  std::vector<std::string> pids;
  for (const std::string& name : names) {
    pids.push_back(cluster_->PidOf(name));
    ASSERT_FALSE(pids.back().empty()) << name;
  }
  ASSERT_TRUE(Put(kLocal, "kept", "body").ok());
  ASSERT_TRUE(cluster_->Kill("etcd").ok());
  size_t before = 0;
  {
    Writers zonal("dark-", 4, [](const std::string& name, const std::string& body) {
      return Put(kZonal, name, body, absl::Seconds(20));
    });
    Writers local("dark-", 4, [](const std::string& name, const std::string& body) {
      return Put(kLocal, name, body, absl::Seconds(20));
    });
    const auto refused =
        client_->CreateContainer(ContainerRequest("dark", v1::ZRS), {.timeout = absl::Seconds(8)});
    EXPECT_TRUE(absl::IsUnavailable(refused.status())) << refused.status();
    EXPECT_TRUE(absl::StrContains(refused.status().message(), "store")) << refused.status();
    // Reads of what was there before, too.
    EXPECT_TRUE(Get(kLocal, "kept").ok());
    before = zonal.acknowledged();
    EXPECT_TRUE(Until([&] { return zonal.acknowledged() > before + 200; }, absl::Seconds(30)));
    zonal.Stop();
    local.Stop();
    EXPECT_TRUE(zonal.errors().empty()) << zonal.errors().front();
    EXPECT_TRUE(local.errors().empty()) << local.errors().front();
  }
  ASSERT_TRUE(cluster_->Start("etcd").ok());
  EXPECT_TRUE(Until(
      [] {
        return client_
            ->CreateContainer(ContainerRequest("light", v1::ZRS), {.timeout = absl::Seconds(10)})
            .ok();
      },
      absl::Seconds(60)));
  EXPECT_TRUE(Put("tenants/acme/containers/light", "first", "body").ok());
  std::vector<std::string> after;
  for (const std::string& name : names) after.push_back(cluster_->PidOf(name));
  EXPECT_EQ(after, pids);
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
  EXPECT_TRUE(Until([] { return StateOf("east-3a") == v1::Node::DOWN; }, absl::Seconds(30)));
  const absl::Status started = cluster_->Start("east-3a");
  ASSERT_TRUE(started.ok()) << started;
  EXPECT_TRUE(Until([] { return IsWhole(kZonal); }, absl::Seconds(60)));
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
  EXPECT_TRUE(Until([] { return IsWhole(kZonal); }, absl::Seconds(60)));
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
