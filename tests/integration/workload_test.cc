// What the tests on processes rest upon: that a workload finds what was lost, changed or stale.
#include "tests/integration/workload.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_join.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/l";
constexpr char kTopology[] = R"(
  regions { name: "east"
    zones { name: "east-1" nodes: ["east-1a", "east-1b", "east-1c"] } }
)";

class WorkloadTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(kTopology);
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "l", v1::LRS).ok());
    workload_ = std::make_unique<Workload>(profile_, Workload::Options{.container = kContainer});
    ASSERT_TRUE(workload_->Advances(150));
  }
  // Whether a violation is told that names the object and says so.
  bool Finds(const std::string& name, const std::string& what) {
    for (const std::string& violation : workload_->Check()) {
      if (absl::StrContains(violation, name) && absl::StrContains(violation, what)) return true;
    }
    return false;
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
  std::unique_ptr<Workload> workload_;
};

TEST_F(WorkloadTest, FindsNothingWhereNothingIsWrong) {
  EXPECT_EQ(workload_->Check(), std::vector<std::string>());
  EXPECT_EQ(workload_->errors(), std::vector<std::string>());
}

TEST_F(WorkloadTest, FindsAWriteThatWasLost) {
  workload_->Stop();
  v1::DeleteObjectRequest request;
  request.set_container(kContainer);
  request.set_name(workload_->SharedName());
  ASSERT_TRUE(client_->DeleteObject(request).ok());
  EXPECT_TRUE(Finds(workload_->SharedName(), "did not see the object"));
}

TEST_F(WorkloadTest, FindsAnObjectThatAListMisses) {
  Workload listed(profile_, {.container = kContainer, .prefix = "listed/", .listers = 1});
  ASSERT_TRUE(listed.Advances(50));
  EXPECT_EQ(listed.errors(), std::vector<std::string>());
  v1::ListObjectsRequest request;
  request.set_container(kContainer);
  request.set_prefix("listed/own-");
  // Behind its back: all that is there, of which its writers have yet to delete the most.
  auto entries = client_->ListObjects(request);
  int deleted = 0;
  while (true) {
    const auto entry = entries.Next();
    ASSERT_TRUE(entry.ok()) << entry.status();
    if (!entry->has_value()) break;
    v1::DeleteObjectRequest removal;
    removal.set_container(kContainer);
    removal.set_name((*entry)->name);
    if (client_->DeleteObject(removal).ok()) ++deleted;
  }
  ASSERT_GT(deleted, 0);
  const std::vector<std::string> violations = listed.Check();
  EXPECT_TRUE(std::any_of(violations.begin(), violations.end(), [](const std::string& violation) {
    return violation.ends_with(" was not listed");
  })) << absl::StrJoin(violations, "\n");
}

TEST_F(WorkloadTest, FindsAVersionThatNobodyWrote) {
  workload_->Stop();
  ASSERT_TRUE(Put(*client_, kContainer, workload_->SharedName(), "another's").ok());
  EXPECT_TRUE(Finds(workload_->SharedName(), "nobody wrote"));
}

TEST_F(WorkloadTest, FindsAStaleRead) {
  const std::string name = workload_->SharedName();
  Workload::Seen first;
  const auto read = [&]() -> absl::StatusOr<Workload::Seen> {
    v1::ReadObjectRequest request;
    request.set_container(kContainer);
    request.set_name(name);
    auto object = client_->ReadObject(request, *MakeStringSink(&first.body));
    if (!object.ok()) return object.status();
    first.object = *object;
    return first;
  };
  ASSERT_TRUE(workload_->RecordRead(name, read).ok());
  ASSERT_TRUE(workload_->Advances(100));
  workload_->Stop();
  ASSERT_TRUE(workload_->RecordRead(name, [&] { return first; }).ok());
  EXPECT_TRUE(Finds(name, "it cannot have been current") || Finds(name, "is ordered after"));
}

TEST_F(WorkloadTest, FindsOtherBytes) {
  workload_->Stop();
  const auto read = [&]() -> absl::StatusOr<Workload::Seen> {
    v1::GetObjectRequest request;
    request.set_container(kContainer);
    request.set_name(workload_->SharedName());
    const auto object = client_->GetObject(request);
    if (!object.ok()) return object.status();
    return Workload::Seen{*object, "other bytes"};
  };
  ASSERT_TRUE(workload_->RecordRead(workload_->SharedName(), read).ok());
  EXPECT_TRUE(Finds(workload_->SharedName(), "other bytes than were written"));
}

}  // namespace
}  // namespace meridian
