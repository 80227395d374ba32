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
#include "absl/strings/str_join.h"
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

// A container of several partitions, of which nobody is left.
class BeginAnewTest : public RecoveryTest {
 protected:
  void Configure(server::DevOptions& options) override {
    RecoveryTest::Configure(options);
    options.splits.interval = absl::Milliseconds(100);
    options.splits.steady = absl::ZeroDuration();
    options.splits.max_versions = 60;
    options.splits.min_versions = 10;
  }
  static std::string NameOf(int i) { return absl::StrCat("n-", absl::Dec(i, absl::kZeroPad3)); }
  std::vector<std::string> ListAll(const std::string& container = kLocal) {
    v1::ListObjectsRequest request;
    request.set_container(container);
    auto objects = client_->ListObjects(request);
    std::vector<std::string> names;
    while (true) {
      const auto entry = objects.Next();
      EXPECT_TRUE(entry.ok()) << entry.status();
      if (!entry.ok() || !entry->has_value()) return names;
      names.push_back((*entry)->name);
    }
  }
};

TEST_F(BeginAnewTest, NamesCanBeUsedAgainAndWhatWasGivenUpStaysAway) {
  for (int i = 0; i < 150; ++i) ASSERT_TRUE(Put(*client_, kLocal, NameOf(i), "before").ok());
  ASSERT_TRUE(Until([&] {
    const auto groups = GroupsOf(*admin_, kLocal);
    return groups.ok() && groups->size() >= 3;
  }));
  ASSERT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
  const std::vector<std::string> nodes{"east-1a", "east-1b", "east-1c"};
  for (const std::string& node : nodes) ASSERT_TRUE(admin_->StopNode(node).ok());
  for (const std::string& node : nodes) Lose(node);
  for (const std::string& node : nodes) ASSERT_TRUE(admin_->StartNode(node).ok());

  const auto groups = GroupsOf(*admin_, kLocal);
  ASSERT_TRUE(groups.ok()) << groups.status();
  for (const v1::Group& group : *groups) {
    const std::vector<std::string> give_up{"group",
                                           "recover",
                                           group.partition_id(),
                                           "--lost",
                                           "east-1a,east-1b,east-1c",
                                           "--accept-data-loss"};
    const auto with = [&](std::vector<std::string> more) {
      more.insert(more.begin(), give_up.begin(), give_up.end());
      return more;
    };
    ASSERT_TRUE(Until([&] {
      return Meridian({"group", "recover", group.partition_id()}) == 0 &&
             absl::StrContains(out_, "--begin-empty everything-is-lost");
    })) << out_;
    EXPECT_EQ(Meridian(give_up), cli::kConflict);
    EXPECT_NE(Meridian(with({"--begin-empty", "yes"})), 0);
    // The one before may not have its leader yet, and might have something of this one's.
    EXPECT_TRUE(Until([&] {
      return Meridian(with({"--begin-empty", "everything-is-lost"})) == 0;
    })) << err_;
    EXPECT_TRUE(absl::StrContains(out_, "BEGAN ANEW")) << out_;
  }
  ASSERT_TRUE(AwaitHealthyLeader(*admin_, kLocal).ok());
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
  EXPECT_TRUE(ListAll().empty());
  std::vector<std::string> names;
  for (int i = 0; i < 150; i += 10) {
    ExpectMissing(kLocal, NameOf(i));
    names.push_back(NameOf(i));
    ASSERT_TRUE(Put(*client_, kLocal, names.back(), "after").ok());
  }
  EXPECT_EQ(ListAll(), names);

  for (const std::string& node : nodes) {
    ASSERT_TRUE(admin_->StopNode(node).ok());
    PutBack(node);
    ASSERT_TRUE(admin_->StartNode(node).ok());
    ASSERT_TRUE(AwaitHealthyLeader(*admin_, kLocal).ok());
    EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
  }
  EXPECT_EQ(ListAll(), names);
  for (const std::string& name : names) ExpectBody(kLocal, name, "after");
  const auto after = GroupsOf(*admin_, kLocal);
  ASSERT_TRUE(after.ok()) << after.status();
  EXPECT_EQ(after->size(), groups->size());
  for (const v1::Group& group : *after) {
    ASSERT_EQ(group.recoveries_size(), 1) << group.ShortDebugString();
    EXPECT_TRUE(group.recoveries(0).began_empty());
  }
}

// A group's log that ends before a split (P7): what was split off is lost, and its parent still has
// what it began with.
TEST_F(BeginAnewTest, APartitionThatIsLostBeginsWithWhatItsParentsLogStillHas) {
  std::string container, survivor;
  std::vector<std::string> lost;
  // No split begins once a member was silent for a second: it has to begin before.
  for (int attempt = 0; attempt < 10 && lost.empty(); ++attempt) {
    const std::string id = absl::StrCat("attempt-", attempt);
    ASSERT_TRUE(MakeContainer(*client_, "acme", id, v1::LRS).ok());
    container = "tenants/acme/containers/" + id;
    for (int i = 0; i < 60; ++i) ASSERT_TRUE(Put(*client_, container, NameOf(i), "early").ok());
    ASSERT_EQ(AwaitEqualReplicas(*admin_, container), absl::OkStatus());
    std::vector<std::string> others;
    survivor = StopFollower(container, others);
    for (int i = 60; i < 64; ++i) ASSERT_TRUE(Put(*client_, container, NameOf(i), "late").ok());
    const auto is_split = [&] {
      const auto groups = GroupsOf(*admin_, container);
      return groups.ok() && groups->size() == 2 &&
             groups->back().health() != v1::Group::UNAVAILABLE;
    };
    if (Until(is_split, absl::Seconds(10))) {
      lost = others;
    } else {
      ASSERT_TRUE(admin_->StartNode(survivor).ok());
    }
  }
  ASSERT_EQ(lost.size(), 2u);
  std::sort(lost.begin(), lost.end());
  // In the child's names, which are not the parent's any more: they are the child's by the map.
  ASSERT_TRUE(Until([&] { return Put(*client_, container, NameOf(99), "late").ok(); }));
  for (const std::string& node : lost) ASSERT_TRUE(admin_->StopNode(node).ok());
  for (const std::string& node : lost) Lose(node);
  ASSERT_TRUE(admin_->StartNode(survivor).ok());

  const auto groups = GroupsOf(*admin_, container);
  ASSERT_TRUE(groups.ok() && groups->size() == 2) << groups.status();
  const std::string parent = groups->front().partition_id();
  const std::string child = groups->back().partition_id();
  const std::string lost_nodes = absl::StrJoin(lost, ",");
  ASSERT_TRUE(CanBeRecovered(container));
  EXPECT_EQ(Meridian({"group", "recover", parent}), 0) << err_;
  EXPECT_TRUE(absl::StrContains(out_, absl::StrCat("ends before names went to ", child))) << out_;
  const std::vector<std::string> begin{"group",         "recover",           child,
                                       "--lost",        lost_nodes,          "--accept-data-loss",
                                       "--begin-empty", "everything-is-lost"};
  // What the parent has is not known before it serves.
  EXPECT_EQ(Meridian(begin), cli::kConflict);
  EXPECT_EQ(Meridian({"group", "recover", parent, "--lost", lost_nodes, "--accept-data-loss"}), 0)
      << err_;
  for (const std::string& node : lost) ASSERT_TRUE(admin_->StartNode(node).ok());
  ASSERT_TRUE(Until([&] { return Meridian(begin) == 0; })) << err_;
  EXPECT_TRUE(absl::StrContains(out_, absl::StrCat("with what partition ", parent))) << out_;

  ASSERT_TRUE(AwaitHealthyLeader(*admin_, container).ok());
  EXPECT_EQ(AwaitEqualReplicas(*admin_, container), absl::OkStatus());
  std::vector<std::string> names;
  for (int i = 0; i < 60; ++i) {
    names.push_back(NameOf(i));
    ExpectBody(container, names.back(), "early");
  }
  EXPECT_EQ(ListAll(container), names);
  for (int i : {60, 63, 99}) ExpectMissing(container, NameOf(i));
  for (int i : {0, 99}) ASSERT_TRUE(Put(*client_, container, NameOf(i), "after").ok());
}

}  // namespace
}  // namespace meridian
