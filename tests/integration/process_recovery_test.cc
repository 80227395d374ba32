// Two of a group's three nodes are lost for good, with their disks: the group goes on with what the
// third has, as soon as an operator accepts that, and in spite of the lost ones if they turn up
// again (P23).
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "tests/integration/process_cluster.h"

namespace meridian {
namespace {

class ProcessRecovery : public ProcessCluster {
 protected:
  static void SetUpTestSuite() { StartCluster({"--rebuild-after", "5"}); }

  static absl::StatusOr<v1::Object> Put(const std::string& name, const std::string& body,
                                        absl::Duration timeout = absl::Seconds(30)) {
    v1::WriteSpec spec;
    spec.set_container(kLocal);
    spec.set_name(name);
    return client_->WriteObject(spec, body, {.timeout = timeout});
  }
  static absl::StatusOr<std::string> Get(const std::string& name,
                                         absl::Duration timeout = absl::Seconds(30)) {
    v1::ReadObjectRequest request;
    request.set_container(kLocal);
    request.set_name(name);
    std::string body;
    const auto sink = MakeStringSink(&body);
    const auto read = client_->ReadObject(request, *sink, {.timeout = timeout});
    if (!read.ok()) return read.status();
    return body;
  }
  static ProgramResult Recover(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(),
                     {"client/cli/meridian", "--profile", cluster_->folder() + "/admin.profile",
                      "group", "recover", GroupOf(*admin_, kLocal).partition_id()});
    return RunProgram(arguments);
  }
  static std::vector<std::string> Members() {
    std::vector<std::string> nodes;
    const v1::Group group = GroupOf(*admin_, kLocal);
    for (const v1::Replica& member : group.members()) {
      nodes.push_back(member.node());
    }
    std::sort(nodes.begin(), nodes.end());
    return nodes;
  }
  // All of a node's disks: gone, or there again.
  static void Move(const std::string& node, const std::string& from, const std::string& to) {
    for (int disk = 1; disk <= 2; ++disk) {
      const std::string folder = cluster_->DataFolder(node, disk);
      std::filesystem::rename(folder + from, folder + to);
    }
  }
  void PutAll() {
    for (int i = 0; i < 40; ++i) {
      const std::string name = absl::StrCat("kept-", i);
      std::string body = absl::StrCat(name, ":");
      body.resize(i % 8 == 0 ? 2'500'000 : 900, static_cast<char>('a' + i % 26));
      const auto written = Put(name, body);
      ASSERT_TRUE(written.ok()) << written.status();
      kept_[name] = std::move(body);
    }
  }
  void ExpectAllKept() {
    for (const auto& [name, body] : kept_) {
      const auto read = Get(name);
      ASSERT_TRUE(read.ok()) << name << " " << read.status();
      EXPECT_TRUE(*read == body) << name;
    }
  }

  std::map<std::string, std::string> kept_;
};

TEST_F(ProcessRecovery, TheGroupGoesOnWithTheSurvivorsDataAndWithoutTheLostNodes) {
  PutAll();
  ASSERT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
  const auto leader = AwaitHealthyLeader(*admin_, kLocal);
  ASSERT_TRUE(leader.ok()) << leader.status();
  std::vector<std::string> lost = Members();
  const std::string survivor =
      *std::find_if(lost.begin(), lost.end(), [&](const auto& node) { return node != *leader; });
  std::erase(lost, survivor);
  ASSERT_TRUE(cluster_->Kill(survivor).ok());
  const auto late = Put("late", "acknowledged by the two others alone");
  ASSERT_TRUE(late.ok()) << late.status();
  const absl::Status killed = cluster_->Kill(lost);
  ASSERT_TRUE(killed.ok()) << killed;
  for (const std::string& node : lost) Move(node, "", ".lost");
  const absl::Status up = cluster_->Start(survivor);
  ASSERT_TRUE(up.ok()) << up;

  // Nothing is done without being asked for.
  ProgramResult shown;
  EXPECT_TRUE(Until([&] {
    shown = Recover({});
    return absl::StrContains(shown.output, "nothing was changed");
  })) << shown.output;
  EXPECT_EQ(shown.exit_code, 0);
  EXPECT_TRUE(absl::StrContains(shown.output, absl::StrCat("survivor: ", survivor)))
      << shown.output;
  EXPECT_TRUE(absl::StrContains(shown.output, "MAY BE MISSING")) << shown.output;
  const std::string lost_nodes = absl::StrJoin(lost, ",");
  EXPECT_NE(Recover({"--lost", lost_nodes}).exit_code, 0);
  EXPECT_NE(Recover({"--lost", lost.front(), "--accept-data-loss"}).exit_code, 0);
  EXPECT_FALSE(Get("late", absl::Seconds(3)).ok());
  EXPECT_EQ(GroupOf(*admin_, kLocal).recoveries_size(), 0);

  const ProgramResult done = Recover({"--lost", lost_nodes, "--accept-data-loss"});
  ASSERT_EQ(done.exit_code, 0) << done.output;
  EXPECT_TRUE(absl::StrContains(done.output, "RECOVERED WITHOUT A QUORUM")) << done.output;
  const auto after = Put("after", "written to the survivor alone");
  ASSERT_TRUE(after.ok()) << after.status();
  kept_["after"] = "written to the survivor alone";
  ExpectAllKept();
  EXPECT_TRUE(absl::IsNotFound(Get("late").status()));
  const v1::Group alone = GroupOf(*admin_, kLocal);
  ASSERT_EQ(alone.recoveries_size(), 1);
  EXPECT_LT(alone.recoveries(0).last_entry_time().seconds() * 1'000'000'000 +
                alone.recoveries(0).last_entry_time().nanos(),
            late->create_time().seconds() * 1'000'000'000 + late->create_time().nanos());

  std::vector<std::string> members = {survivor, "east-1d", "east-1e"};
  std::sort(members.begin(), members.end());
  for (const char* node : {"east-1d", "east-1e"}) {
    const absl::Status added = cluster_->Add(node, /*disks=*/2);
    ASSERT_TRUE(added.ok()) << added;
  }
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal, absl::Minutes(2)), absl::OkStatus());
  EXPECT_EQ(Members(), members);

  // The lost ones turn up again, with all that they had: a majority of the old group.
  for (const std::string& node : lost) Move(node, ".lost", "");
  const absl::Status back = cluster_->Start(lost);
  ASSERT_TRUE(back.ok()) << back;
  for (const std::string& node : lost) {
    EXPECT_TRUE(Until([&] { return DisksInService(node) == 2; })) << node;
  }
  EXPECT_TRUE(absl::IsNotFound(Get("late").status()));
  // And are no quorum of this one, with a member of it.
  const absl::Status away = cluster_->Kill(std::vector<std::string>{"east-1d", "east-1e"});
  ASSERT_TRUE(away.ok()) << away;
  EXPECT_FALSE(Put("unheard", "of nobody", absl::Seconds(10)).ok());
  EXPECT_FALSE(Get("late", absl::Seconds(3)).ok());
  const absl::Status there = cluster_->Start(std::vector<std::string>{"east-1d", "east-1e"});
  ASSERT_TRUE(there.ok()) << there;
  ASSERT_EQ(AwaitHealthyLeader(*admin_, kLocal).status(), absl::OkStatus());
  ExpectAllKept();
  EXPECT_TRUE(absl::IsNotFound(Get("late").status()));
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kLocal), absl::OkStatus());
}

}  // namespace
}  // namespace meridian
