// Two of three members lost with their disks: an operator goes on with what the third one has, is
// told what may be missing, and no more than that is (P23).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/cli/commands.h"
#include "client/cli/exit_code.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kLocal[] = "tenants/acme/containers/local";
constexpr char kOther[] = "tenants/acme/containers/other";
// The zone's groups have nowhere else to go.
constexpr char kTopology[] = R"(
  regions { name: "east"
    zones { name: "east-1" nodes: ["east-1a", "east-1b", "east-1c"] }
    zones { name: "east-2" nodes: ["east-2a"] } }
)";

absl::Time TimeOf(const google::protobuf::Timestamp& time) {
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

// Puts objects until it is stopped, whether that works or not, and knows which were acknowledged.
class Load {
 public:
  struct Written {
    std::string body;
    absl::Time time;
  };
  Load(const Profile& profile, std::string container)
      : client_(profile), container_(std::move(container)), thread_([this] { Run(); }) {}
  ~Load() { Stop(); }

  void Stop() {
    stop_ = true;
    if (thread_.joinable()) thread_.join();
  }
  std::map<std::string, Written> acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  bool Advances(size_t by) const {
    const size_t before = acknowledged().size();
    return Until([&] { return acknowledged().size() >= before + by; });
  }

 private:
  void Run() {
    for (int i = 0; !stop_; ++i) {
      const std::string name = absl::StrCat("load-", i);
      std::string body = absl::StrCat(name, ":");
      body.resize(i % 8 == 0 ? 1'500'000 : 700, static_cast<char>('a' + i % 26));
      v1::WriteSpec spec;
      spec.set_container(container_);
      spec.set_name(name);
      const auto written = client_.WriteObject(spec, body, {.timeout = absl::Seconds(2)});
      if (!written.ok()) continue;
      absl::MutexLock lock(&mutex_);
      acknowledged_[name] = {std::move(body), TimeOf(written->create_time())};
    }
  }

  Client client_;
  const std::string container_;
  std::atomic<bool> stop_{false};
  mutable absl::Mutex mutex_;
  std::map<std::string, Written> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::thread thread_;
};

class RecoveryTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(kTopology);
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    for (const char* name : {"local", "other"}) {
      ASSERT_TRUE(MakeContainer(*client_, "acme", name, v1::LRS).ok());
    }
  }
  void Configure(server::DevOptions& options) override {
    options.placement.interval = absl::Milliseconds(100);
    options.placement.patience = absl::Seconds(3);
    options.placement.keep_unnamed = absl::Seconds(1);
  }

  std::string FolderOf(const std::string& node) const { return data_folder() + "/nodes/" + node; }
  // The node's disk is gone, and kept for later.
  void Lose(const std::string& node) {
    std::filesystem::rename(FolderOf(node), FolderOf(node) + ".old");
    std::filesystem::create_directory(FolderOf(node));
  }
  void PutBack(const std::string& node) {
    std::filesystem::rename(FolderOf(node), FolderOf(node) + ".new");
    std::filesystem::rename(FolderOf(node) + ".old", FolderOf(node));
  }
  // One that follows, and its node is down; the two others.
  std::string StopFollower(const std::string& container, std::vector<std::string>& others) {
    const v1::Group group = GroupOf(container);
    std::string stopped;
    for (const v1::Replica& member : group.members()) {
      if (stopped.empty() && member.node() != group.leader_node()) {
        stopped = member.node();
      } else {
        others.push_back(member.node());
      }
    }
    EXPECT_TRUE(admin_->StopNode(stopped).ok());
    EXPECT_EQ(others.size(), 2u);
    return stopped;
  }
  absl::StatusOr<v1::RecoverGroupResponse> Look(const std::string& container) {
    v1::RecoverGroupRequest request;
    request.set_partition_id(GroupOf(container).partition_id());
    return admin_->RecoverGroup(request);
  }
  v1::RecoverGroupRequest Acceptance(const std::string& container,
                                     const v1::RecoverGroupResponse& shown) {
    v1::RecoverGroupRequest request;
    request.set_partition_id(GroupOf(container).partition_id());
    request.set_accept_data_loss(true);
    request.set_epoch(shown.epoch());
    request.set_survivor(shown.survivor());
    *request.mutable_lost_nodes() = shown.lost_nodes();
    return request;
  }
  bool CanBeRecovered(const std::string& container) {
    return Until([&] {
      const auto shown = Look(container);
      return shown.ok() && shown->refusal().empty();
    });
  }
  // The program's exit code, as the administrator.
  int Meridian(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"meridian", "--profile", cluster_->profile_path()});
    std::vector<const char*> argv;
    for (const std::string& argument : arguments) argv.push_back(argument.c_str());
    std::ostringstream out;
    std::ostringstream err;
    const int code = cli::Main(static_cast<int>(argv.size()), argv.data(), out, err);
    out_ = out.str();
    err_ = err.str();
    return code;
  }
  void ExpectBody(const std::string& container, const std::string& name, const std::string& body) {
    const auto read = Get(*client_, container, name);
    ASSERT_TRUE(read.ok()) << name << " " << read.status();
    EXPECT_TRUE(*read == body) << name;
  }
  void ExpectMissing(const std::string& container, const std::string& name) {
    EXPECT_TRUE(absl::IsNotFound(Get(*client_, container, name).status())) << name;
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
  std::string out_, err_;
};

TEST_F(RecoveryTest, WhatTheSurvivorHadIsThereAndWhatItLackedWasTold) {
  const std::string large = RandomBody(3'000'000);
  ASSERT_TRUE(Put(*client_, kLocal, "early", large).ok());
  ASSERT_TRUE(Put(*client_, kLocal, "changed", "before").ok());
  ASSERT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
  std::vector<std::string> lost;
  const std::string survivor = StopFollower(kLocal, lost);
  const auto late = Put(*client_, kLocal, "late", "acknowledged by the two others");
  ASSERT_TRUE(late.ok()) << late.status();
  for (const std::string& node : lost) {
    ASSERT_TRUE(admin_->StopNode(node).ok());
    Lose(node);
  }
  ASSERT_TRUE(admin_->StartNode(survivor).ok());
  ASSERT_TRUE(CanBeRecovered(kLocal));

  const auto shown = Look(kLocal);
  ASSERT_TRUE(shown.ok()) << shown.status();
  EXPECT_EQ(shown->container(), kLocal);
  std::sort(lost.begin(), lost.end());
  EXPECT_EQ(std::vector<std::string>(shown->lost_nodes().begin(), shown->lost_nodes().end()), lost);
  v1::RecoverGroupRequest wrong = Acceptance(kLocal, *shown);
  wrong.mutable_lost_nodes()->RemoveLast();
  EXPECT_TRUE(absl::IsInvalidArgument(admin_->RecoverGroup(wrong).status()));
  const auto by_tenant = Admin(profile_).RecoverGroup(Acceptance(kLocal, *shown));
  EXPECT_TRUE(absl::IsPermissionDenied(by_tenant.status())) << by_tenant.status();
  EXPECT_EQ(Look(kLocal)->epoch(), shown->epoch());

  const auto done = admin_->RecoverGroup(Acceptance(kLocal, *shown));
  ASSERT_TRUE(done.ok()) << done.status();
  EXPECT_EQ(done->recovery().survivor_node(), survivor);
  EXPECT_LT(TimeOf(done->recovery().last_entry_time()), TimeOf(late->create_time()));
  ASSERT_TRUE(Until([&] { return Put(*client_, kLocal, "changed", "after").ok(); }));
  ExpectBody(kLocal, "early", large);
  ExpectMissing(kLocal, "late");
  const v1::Group alone = GroupOf(kLocal);
  EXPECT_EQ(alone.health(), v1::Group::DEGRADED) << alone.ShortDebugString();
  ASSERT_EQ(alone.recoveries_size(), 1);
  EXPECT_EQ(alone.recoveries(0).given_up_size(), 2);

  for (const std::string& node : lost) ASSERT_TRUE(admin_->StartNode(node).ok());
  ASSERT_TRUE(AwaitHealthyLeader(*admin_, kLocal).ok());
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());

  // Old folders put back: what they hold is nobody's any more.
  for (const std::string& node : lost) {
    ASSERT_TRUE(admin_->StopNode(node).ok());
    PutBack(node);
    ASSERT_TRUE(admin_->StartNode(node).ok());
    ASSERT_TRUE(AwaitHealthyLeader(*admin_, kLocal).ok());
    EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
  }
  ExpectBody(kLocal, "early", large);
  ExpectBody(kLocal, "changed", "after");
  ExpectMissing(kLocal, "late");
  EXPECT_EQ(GroupOf(kLocal).recoveries_size(), 1);
}

TEST_F(RecoveryTest, AllGroupsAreRecoveredUnderLoadByTheProgram) {
  Load load(profile_, kLocal);
  ASSERT_TRUE(load.Advances(30));
  ASSERT_TRUE(Put(*client_, kOther, "other", "body").ok());
  ASSERT_EQ(AwaitEqualReplicas(*admin_, kOther), absl::OkStatus());
  EXPECT_EQ(Meridian({"group", "recover", "--all"}), 0) << err_;
  EXPECT_TRUE(absl::StrContains(out_, "every group has a leader")) << out_;
  for (const char* node : {"east-1a", "east-1b"}) {
    ASSERT_TRUE(admin_->StopNode(node).ok());
    Lose(node);
  }
  for (const char* container : {kLocal, kOther}) ASSERT_TRUE(CanBeRecovered(container));
  EXPECT_EQ(Meridian({"group", "recover", "--all"}), 0) << err_;
  EXPECT_TRUE(absl::StrContains(out_, "nothing was changed")) << out_;
  EXPECT_TRUE(absl::StrContains(out_, "--lost east-1a,east-1b --accept-data-loss")) << out_;
  const std::string plan = testing::TempDir() + "/plan.txt";
  std::ofstream(plan) << out_;
  const std::string other_plan = testing::TempDir() + "/other_plan.txt";
  std::ofstream(other_plan) << "of another day";
  const std::vector<std::string> accept{"group", "recover", "--all", "--accept-data-loss"};
  const auto with = [&accept](std::vector<std::string> more) {
    more.insert(more.begin(), accept.begin(), accept.end());
    return more;
  };
  EXPECT_NE(Meridian(accept), 0);
  EXPECT_NE(Meridian(with({"--lost", "east-1a,east-1b"})), 0);
  EXPECT_TRUE(absl::StrContains(err_, "--plan")) << err_;
  EXPECT_NE(Meridian(with({"--lost", "east-1a,east-1b", "--plan", other_plan})), 0);
  EXPECT_TRUE(absl::StrContains(err_, "look again")) << err_;
  EXPECT_NE(Meridian(with({"--lost", "east-1a,east-1b,east-1c", "--plan", plan})), 0);
  EXPECT_TRUE(absl::StrContains(err_, "its survivor is on east-1c")) << err_;
  EXPECT_NE(Meridian(with({"--lost", "east-1a", "--plan", plan})), 0);
  EXPECT_TRUE(absl::StrContains(err_, "other nodes than those given up")) << err_;
  EXPECT_TRUE(CanBeRecovered(kLocal));

  EXPECT_EQ(Meridian(with({"--lost", "east-1a,east-1b", "--plan", plan})), 0) << err_;
  ASSERT_TRUE(load.Advances(30));
  for (const char* node : {"east-1a", "east-1b"}) ASSERT_TRUE(admin_->StartNode(node).ok());
  for (const char* container : {kLocal, kOther}) {
    ASSERT_TRUE(AwaitHealthyLeader(*admin_, container).ok());
  }
  ASSERT_TRUE(load.Advances(10));
  load.Stop();
  ExpectBody(kOther, "other", "body");
  const v1::Group group = GroupOf(kLocal);
  ASSERT_EQ(group.recoveries_size(), 1);
  const absl::Time kept = TimeOf(group.recoveries(0).last_entry_time());
  const absl::Time recovered = TimeOf(group.recoveries(0).time());
  for (const auto& [name, written] : load.acknowledged()) {
    const auto read = Get(*client_, kLocal, name);
    if (read.ok()) {
      EXPECT_TRUE(*read == written.body) << name;
    } else {
      EXPECT_TRUE(absl::IsNotFound(read.status())) << name << " " << read.status();
      EXPECT_TRUE(written.time > kept && written.time < recovered) << name;
    }
  }
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());

  EXPECT_EQ(Meridian({"group", "ls", "--recovered"}), 0) << err_;
  EXPECT_TRUE(absl::StrContains(out_, "RECOVERED WITHOUT A QUORUM")) << out_;
  EXPECT_EQ(Meridian({"group", "recover", group.partition_id(), "--acknowledge",
                      std::to_string(group.recoveries(0).epoch())}),
            0)
      << err_;
  EXPECT_EQ(GroupOf(kLocal).recoveries_size(), 0);
  EXPECT_EQ(GroupOf(kOther).recoveries_size(), 1);
}

TEST_F(RecoveryTest, WhatNeedsNoRecoveryIsLeftAlone) {
  const auto healthy = Look(kLocal);
  ASSERT_TRUE(healthy.ok()) << healthy.status();
  EXPECT_TRUE(absl::StrContains(healthy->refusal(), "a quorum")) << healthy->refusal();
  v1::RecoverGroupRequest request = Acceptance(kLocal, *healthy);
  request.add_lost_nodes("east-1a");
  const auto refused = admin_->RecoverGroup(request);
  EXPECT_TRUE(absl::IsFailedPrecondition(refused.status()) || absl::IsAborted(refused.status()))
      << refused.status();
  request.set_partition_id(std::string(32, 'a'));
  EXPECT_TRUE(absl::IsNotFound(admin_->RecoverGroup(request).status()));
  // Without anybody there is nothing to go on with.
  for (const char* node : {"east-1a", "east-1b", "east-1c"}) {
    ASSERT_TRUE(admin_->StopNode(node).ok());
  }
  const auto nobody = Look(kLocal);
  ASSERT_TRUE(nobody.ok()) << nobody.status();
  EXPECT_EQ(nobody->survivor(), "");
  EXPECT_TRUE(absl::StrContains(nobody->refusal(), "what the partition held is lost"))
      << nobody->refusal();
  EXPECT_EQ(Meridian({"group", "recover", GroupOf(kLocal).partition_id(), "--accept-data-loss",
                      "--lost", "east-1a,east-1b,east-1c"}),
            cli::kConflict);
  // They are back, and nothing has become of it.
  for (const char* node : {"east-1a", "east-1b", "east-1c"}) {
    ASSERT_TRUE(admin_->StartNode(node).ok());
  }
  EXPECT_TRUE(AwaitHealthyLeader(*admin_, kLocal).ok());
}

}  // namespace
}  // namespace meridian
