// Partitions that split while clients read, write and list: nothing acknowledged is lost (I1),
// nothing is listed twice or not at all, and no error reaches the application (P7).
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/l";
constexpr char kTopology[] = R"(
  regions { name: "east"
    zones { name: "east-1" nodes: ["east-1a", "east-1b", "east-1c"] } }
)";

// Writes objects from several threads; afterwards each acknowledged one must be there.
class Writers {
 public:
  Writers(const Profile& profile, int threads, int objects) {
    for (int w = 0; w < threads; ++w) {
      threads_.emplace_back([this, profile, w, objects] { Run(profile, w, objects); });
    }
  }
  ~Writers() { Join(); }

  void Join() {
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }
  std::map<std::string, std::string> acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return acknowledged_;
  }
  size_t count() const {
    absl::MutexLock lock(&mutex_);
    return acknowledged_.size();
  }

 private:
  void Run(const Profile& profile, int writer, int objects) {
    Client client(profile);
    for (int i = 0; i < objects; ++i) {
      // Large ones too: their chunks stay where they are.
      const std::string name = absl::StrCat("dir", i % 7, "/w", writer, "-", i);
      std::string body = absl::StrCat(name, ":");
      body.resize(i % 20 == 0 ? 1'500'000 : 300, 'x');
      v1::WriteSpec spec;
      spec.set_container(kContainer);
      spec.set_name(name);
      const auto written = client.WriteObject(spec, body);
      EXPECT_TRUE(written.ok()) << name << " " << written.status();
      absl::MutexLock lock(&mutex_);
      if (written.ok()) acknowledged_[name] = std::move(body);
    }
  }

  mutable absl::Mutex mutex_;
  std::map<std::string, std::string> acknowledged_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

class SplitTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(kTopology);
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "l", v1::LRS).ok());
  }
  void Configure(server::DevOptions& options) override {
    options.splits.interval = absl::Milliseconds(100);
    options.splits.steady = absl::ZeroDuration();
    options.splits.max_versions = 60;
    options.splits.min_versions = 10;
  }

  // All names, as they are listed page by page.
  std::vector<std::string> ListAll(int page_size) {
    v1::ListObjectsRequest request;
    request.set_container(kContainer);
    request.set_page_size(page_size);
    auto objects = client_->ListObjects(request);
    std::vector<std::string> names;
    while (true) {
      const auto entry = objects.Next();
      EXPECT_TRUE(entry.ok()) << entry.status();
      if (!entry.ok() || !entry->has_value()) return names;
      names.push_back((*entry)->name);
    }
  }
  bool GroupsReach(size_t count) {
    return Until([&] {
      const auto groups = GroupsOf(*admin_, kContainer);
      return groups.ok() && groups->size() >= count;
    });
  }

  void ExpectAllThere(const Writers& writers) {
    const std::map<std::string, std::string> acknowledged = writers.acknowledged();
    EXPECT_EQ(acknowledged.size(), 400u);
    for (const auto& [name, body] : acknowledged) {
      const auto read = Get(*client_, kContainer, name);
      ASSERT_TRUE(read.ok()) << name << " " << read.status();
      ASSERT_TRUE(*read == body) << name;
    }
    EXPECT_EQ(ListAll(1000).size(), acknowledged.size());
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(SplitTest, AContainerGrowsIntoManyPartitionsUnderLoad) {
  Writers writers(profile_, 4, 100);
  // Whatever was acknowledged before a listing began is in it, once and in its place.
  std::atomic<bool> stop{false};
  size_t listings = 0;
  std::thread lister([&] {
    while (!stop) {
      const std::map<std::string, std::string> before = writers.acknowledged();
      const std::vector<std::string> listed = ListAll(7);
      for (size_t i = 1; i < listed.size(); ++i) EXPECT_LT(listed[i - 1], listed[i]);
      const std::set<std::string> found(listed.begin(), listed.end());
      for (const auto& [name, body] : before) EXPECT_TRUE(found.contains(name)) << name;
      ++listings;
    }
  });
  writers.Join();
  stop = true;
  lister.join();
  EXPECT_GT(listings, 0u);
  EXPECT_TRUE(GroupsReach(6));
  ExpectAllThere(writers);
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kContainer), absl::OkStatus());

  // All of it is on the disks.
  client_.reset();
  CrashCluster();
  StartCluster();
  client_ = std::make_unique<Client>(profile_);
  ExpectAllThere(writers);
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kContainer), absl::OkStatus());
}

// Whoever drives a split may die at any step: another goes on.
TEST_F(SplitTest, SplitsSurviveTheCrashOfEachNodeInTurn) {
  Writers writers(profile_, 4, 100);
  size_t crashes = 0;
  for (const char* node : {"east-1a", "east-1b", "east-1c", "east-1a", "east-1b", "east-1c"}) {
    const size_t before = writers.count();
    ASSERT_TRUE(Until([&] { return writers.count() >= std::min<size_t>(before + 40, 400); }));
    ASSERT_TRUE(admin_->StopNode(node).ok());
    ASSERT_TRUE(Until([&] { return writers.count() >= std::min<size_t>(before + 50, 400); }));
    ASSERT_TRUE(admin_->StartNode(node).ok());
    ++crashes;
  }
  writers.Join();
  EXPECT_EQ(crashes, 6u);
  EXPECT_TRUE(GroupsReach(6));
  ExpectAllThere(writers);
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kContainer), absl::OkStatus());
}

// The keepers look at their groups long after one another.
class SlowTurnsTest : public SplitTest {
 protected:
  static constexpr absl::Duration kInterval = absl::Seconds(12);

  void Configure(server::DevOptions& options) override {
    SplitTest::Configure(options);
    options.splits.interval = kInterval;
  }
  // Into 80 names.
  void WriteAll(absl::Duration timeout) {
    for (int i = 0; i < 80; ++i) {
      v1::WriteSpec spec;
      spec.set_container(kContainer);
      spec.set_name(absl::StrCat("n", i));
      const auto written = client_->WriteObject(spec, "body", {.timeout = timeout});
      EXPECT_TRUE(written.ok()) << spec.name() << " " << written.status();
    }
  }
};

TEST_F(SlowTurnsTest, WhatMovesCanBeWrittenBeforeTheKeepersNextTurn) {
  const auto is_split = [this] {
    const auto groups = GroupsOf(*admin_, kContainer);
    return groups.ok() && groups->size() > 1;
  };
  // Before, during and after the split.
  for (int more = 2; more > 0 && !HasFailure(); more -= is_split()) {
    WriteAll(kInterval - absl::Seconds(2));
  }
}

}  // namespace
}  // namespace meridian
