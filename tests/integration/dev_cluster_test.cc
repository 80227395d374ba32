#include "server/dev/dev_cluster.h"

#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <optional>
#include <set>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kZrs[] = "tenants/acme/containers/z";
constexpr char kLrs[] = "tenants/acme/containers/l";
constexpr CallOptions kShort{.timeout = absl::Seconds(4)};

class DevClusterTest : public ClusterFixture {
 protected:
  void SetUp() override {
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "z", v1::ZRS).ok());
    ASSERT_TRUE(MakeContainer(*client_, "acme", "l", v1::LRS).ok());
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(DevClusterTest, GivesBackWhatItWasGiven) {
  for (const size_t size : {0, 1, 32 * 1024, 32 * 1024 + 1, 300'000, 5'000'000}) {
    for (const char* container : {kZrs, kLrs}) {
      const std::string body = RandomBody(size);
      const auto written = Put(*client_, container, "o", body);
      ASSERT_TRUE(written.ok()) << size << " " << written.status();
      const auto read = Get(*client_, container, "o");
      ASSERT_TRUE(read.ok()) << size << " " << read.status();
      EXPECT_TRUE(*read == body) << size;
    }
  }
}

TEST_F(DevClusterTest, ListsAndDeletes) {
  for (const char* name : {"a", "b/1", "b/2", "c"}) {
    ASSERT_TRUE(Put(*client_, kZrs, name, name).ok());
  }
  v1::ListObjectsRequest request;
  request.set_container(kZrs);
  request.set_delimiter("/");
  auto entries = client_->ListObjects(request);
  std::vector<std::string> names;
  for (;;) {
    const auto entry = entries.Next();
    ASSERT_TRUE(entry.ok()) << entry.status();
    if (!entry->has_value()) break;
    names.push_back((**entry).name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b/", "c"}));
  v1::DeleteObjectRequest remove;
  remove.set_container(kZrs);
  remove.set_name("a");
  ASSERT_TRUE(client_->DeleteObject(remove).ok());
  EXPECT_EQ(Get(*client_, kZrs, "a").status().code(), absl::StatusCode::kNotFound);
}

TEST_F(DevClusterTest, KeepsAndRestoresVersions) {
  constexpr char kVersioned[] = "tenants/acme/containers/v";
  ASSERT_TRUE(MakeContainer(*client_, "acme", "v", v1::ZRS, v1::VERSIONING_ON).ok());
  const auto first = Put(*client_, kVersioned, "o", "first");
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(Put(*client_, kVersioned, "o", "second").ok());
  v1::RestoreObjectVersionRequest restore;
  restore.set_container(kVersioned);
  restore.set_name("o");
  restore.set_version_id(first->version_id());
  ASSERT_TRUE(client_->RestoreObjectVersion(restore).ok());
  EXPECT_EQ(*Get(*client_, kVersioned, "o"), "first");
  v1::ListObjectVersionsRequest list;
  list.set_container(kVersioned);
  auto versions = client_->ListObjectVersions(list);
  int count = 0;
  while ((*versions.Next()).has_value()) ++count;
  EXPECT_EQ(count, 3);
}

TEST_F(DevClusterTest, ServesZrsWhileAnyZoneIsDown) {
  std::map<std::string, std::string> acknowledged;
  for (const char* zone : {"east-1", "east-2", "east-3"}) {
    ASSERT_TRUE(admin_->StopZone(zone).ok());
    const std::string body = RandomBody(200'000);
    const auto written = Put(*client_, kZrs, zone, body);
    ASSERT_TRUE(written.ok()) << zone << " " << written.status();
    acknowledged[zone] = body;
    for (const auto& [name, expected] : acknowledged) {
      const auto read = Get(*client_, kZrs, name);
      ASSERT_TRUE(read.ok()) << name << " " << read.status();
      EXPECT_TRUE(*read == expected) << name;
    }
    ASSERT_TRUE(admin_->StartZone(zone).ok());
    // One at a time: the zone has caught up before the next goes.
    ASSERT_TRUE(Until([&] { return GroupOf(kZrs).health() == v1::Group::HEALTHY; })) << zone;
  }
}

TEST_F(DevClusterTest, ServesLrsWhileItsLeadersNodeIsDown) {
  ASSERT_TRUE(Put(*client_, kLrs, "before", "before").ok());
  const std::string leader = GroupOf(kLrs).leader_node();
  ASSERT_NE(leader, "");
  ASSERT_TRUE(admin_->StopNode(leader).ok());
  EXPECT_TRUE(Put(*client_, kLrs, "during", "during").ok());
  EXPECT_EQ(*Get(*client_, kLrs, "before"), "before");
  ASSERT_TRUE(admin_->StartNode(leader).ok());
  EXPECT_EQ(*Get(*client_, kLrs, "during"), "during");
}

TEST_F(DevClusterTest, RefusesWithTheReasonWithoutAQuorumAndComesBack) {
  ASSERT_TRUE(Put(*client_, kLrs, "o", "kept").ok());
  ASSERT_TRUE(admin_->StopNode("east-1a").ok());
  ASSERT_TRUE(admin_->StopNode("east-1b").ok());
  const auto refused = Put(*client_, kLrs, "o", "never", kShort);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kUnavailable) << refused.status();
  EXPECT_NE(refused.status().ToString().find("quorum"), std::string::npos) << refused.status();
  EXPECT_EQ(Get(*client_, kLrs, "o", kShort).status().code(), absl::StatusCode::kUnavailable);
  ASSERT_TRUE(admin_->StartNode("east-1a").ok());
  ASSERT_TRUE(admin_->StartNode("east-1b").ok());
  EXPECT_TRUE(Put(*client_, kLrs, "o2", "after").ok());
  const auto read = Get(*client_, kLrs, "o");
  ASSERT_TRUE(read.ok()) << read.status();
  // A refused write was never acknowledged: it may have happened or not, but nothing in between.
  EXPECT_TRUE(*read == "kept" || *read == "never") << *read;
}

TEST_F(DevClusterTest, HasAllDataAfterACrashOfTheWholeProcess) {
  std::map<std::string, std::string> bodies;
  for (int i = 0; i < 20; ++i) {
    const std::string name = absl::StrCat("o", i);
    bodies[name] = RandomBody(static_cast<size_t>(i) * 40'000);
    ASSERT_TRUE(Put(*client_, i % 2 == 0 ? kZrs : kLrs, name, bodies[name]).ok());
  }
  client_.reset();
  CrashCluster();
  StartCluster();
  client_ = std::make_unique<Client>([&] {
    Profile moved = profile_;
    moved.endpoints = admin_profile_.endpoints;
    return moved;
  }());
  for (int i = 0; i < 20; ++i) {
    const std::string name = absl::StrCat("o", i);
    const auto read = Get(*client_, i % 2 == 0 ? kZrs : kLrs, name);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(*read == bodies[name]) << name;
  }
}

TEST_F(DevClusterTest, ReplicasAreEqualByHash) {
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(Put(*client_, kZrs, absl::StrCat("o", i), RandomBody(10'000)).ok());
  }
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kZrs), absl::OkStatus());
}

TEST_F(DevClusterTest, AnswersOneWayToEveryKeyThatDoesNotOpen) {
  for (const char* key : {"", "nonsense", "mak1_00000000000000000000000000000000_AAAA"}) {
    Profile wrong = profile_;
    wrong.access_key = key;
    Client client(wrong);
    for (const char* container : {kZrs, "tenants/none/containers/none"}) {
      const absl::Status status = Get(client, container, "o", kShort).status();
      EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated) << status;
      EXPECT_EQ(ErrorReasonOf(status), "INVALID_ACCESS_KEY");
    }
  }
}

TEST_F(DevClusterTest, AnswersAForeignContainerAsAMissingOne) {  // I8
  const Profile other = MakeTenant("other");
  Client client(other);
  ASSERT_TRUE(Put(*client_, kZrs, "secret", "secret").ok());
  const auto there = client.GetContainer(kZrs);
  const auto missing = client.GetContainer("tenants/acme/containers/x");
  const auto nowhere = client.GetContainer("tenants/none/containers/z");
  for (const auto* answer : {&there, &missing, &nowhere}) {
    EXPECT_EQ(answer->status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(ErrorReasonOf(answer->status()), "RESOURCE_MISSING");
  }
  EXPECT_EQ(Get(client, kZrs, "secret", kShort).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(Put(client, kZrs, "secret", "mine", kShort).status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(DevClusterTest, LetsAdministratorsSeeNoObject) {
  ASSERT_TRUE(Put(*client_, kZrs, "o", "o").ok());
  Client administrator(admin_profile_);
  const absl::Status status = Get(administrator, kZrs, "o", kShort).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kPermissionDenied) << status;
  EXPECT_EQ(ErrorReasonOf(status), "TENANT_ONLY");
}

TEST_F(DevClusterTest, DeletesAContainerOnlyWhenItIsEmpty) {
  ASSERT_TRUE(Put(*client_, kZrs, "o", "o").ok());
  const absl::Status refused = client_->DeleteContainer(kZrs);
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_EQ(ErrorReasonOf(refused), "NOT_EMPTY");
  EXPECT_TRUE(Put(*client_, kZrs, "o", "still open").ok());
  v1::DeleteObjectRequest remove;
  remove.set_container(kZrs);
  remove.set_name("o");
  ASSERT_TRUE(client_->DeleteObject(remove).ok());
  EXPECT_TRUE(client_->DeleteContainer(kZrs).ok());
  EXPECT_EQ(client_->GetContainer(kZrs).status().code(), absl::StatusCode::kNotFound);
  // The name is free again, for another container.
  ASSERT_TRUE(MakeContainer(*client_, "acme", "z", v1::ZRS).ok());
  EXPECT_TRUE(Put(*client_, kZrs, "o", "new").ok());
}

TEST_F(DevClusterTest, SaysWhichPoliciesItHas) {
  const absl::Status status = MakeContainer(*client_, "acme", "g", v1::GZRS);
  EXPECT_EQ(status.code(), absl::StatusCode::kUnimplemented);
  EXPECT_EQ(ErrorReasonOf(status), "REDUNDANCY_UNSUPPORTED");
}

TEST_F(DevClusterTest, RefusesASecondUserOfItsFolder) {
  server::DevOptions options;
  options.data_folder = data_folder();
  const auto second = server::DevCluster::Start(options, clock_, random_);
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
}

TEST_F(DevClusterTest, RefusesAFolderOfAnotherVersionOrOfSomethingElse) {
  client_.reset();
  CrashCluster();
  {
    std::ofstream format(data_folder() + "/meridian.dev");
    format << "meridian dev data folder, format 3\n";
  }
  server::DevOptions options;
  options.data_folder = data_folder();
  EXPECT_EQ(server::DevCluster::Start(options, clock_, random_).status().code(),
            absl::StatusCode::kFailedPrecondition);
  options.data_folder = folder_.path();  // holds "data", but is no data folder
  EXPECT_EQ(server::DevCluster::Start(options, clock_, random_).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

class SmallTopologyTest : public ClusterFixture {
 protected:
  void SetUp() override {
    auto topology = server::Topology::Parse(
        "regions { name: 'r' zones { name: 'r-1' nodes: ['a', 'b', 'c'] } "
        "zones { name: 'r-2' nodes: ['d'] } }");
    ASSERT_TRUE(topology.ok()) << topology.status();
    topology_ = *topology;
    ClusterFixture::SetUp();
  }
};

TEST_F(SmallTopologyTest, RefusesAPolicyThatCannotBePlaced) {
  Client client(MakeTenant("acme"));
  EXPECT_TRUE(MakeContainer(client, "acme", "l", v1::LRS).ok());
  const absl::Status status = MakeContainer(client, "acme", "z", v1::ZRS);
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition) << status;
  EXPECT_EQ(ErrorReasonOf(status), "PLACEMENT_IMPOSSIBLE");
  EXPECT_NE(status.ToString().find("region r has 2"), std::string::npos) << status;
}

}  // namespace
}  // namespace meridian
