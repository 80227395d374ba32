// A container's redundancy is changed and changed back while clients write, read and race each
// other: nothing acknowledged is lost, and conditions are decided once.
#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/c";
constexpr char kTopology[] = R"(
  regions { name: "east"
    zones { name: "east-1" nodes: ["east-1a", "east-1b", "east-1c"] }
    zones { name: "east-2" nodes: ["east-2a"] }
    zones { name: "east-3" nodes: ["east-3a"] } }
)";

// Writers of objects of their own and of one counter that all of them raise by if-match, and
// readers of what was acknowledged; until told to stop.
class Load {
 public:
  static constexpr int kWriters = 3;

  explicit Load(const Profile& profile) : client_(profile) {
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name("counter");
    EXPECT_TRUE(client_.WriteObject(spec, "0").ok());
    for (int i = 0; i < kWriters; ++i) {
      threads_.emplace_back([this, i] { Write(i); });
      threads_.emplace_back([this] { Count(); });
    }
    threads_.emplace_back([this] { Read(); });
  }
  ~Load() { Stop(); }

  void Stop() {
    stop_ = true;
    for (std::thread& thread : threads_) {
      if (thread.joinable()) thread.join();
    }
  }
  size_t acknowledged() const {
    absl::MutexLock lock(&mutex_);
    return bodies_.size();
  }
  int64_t raised() const { return raised_; }
  // After Stop.
  const std::map<std::string, std::string>& bodies() const ABSL_NO_THREAD_SAFETY_ANALYSIS {
    return bodies_;
  }
  absl::Status error() const {
    absl::MutexLock lock(&mutex_);
    return error_;
  }
  size_t reads() const { return reads_; }

 private:
  void Fail(const absl::Status& status) {
    absl::MutexLock lock(&mutex_);
    error_.Update(status);
  }

  void Write(int writer) {
    for (int i = 0; !stop_; ++i) {
      const std::string name = absl::StrCat("w", writer, "/", i % 400);
      std::string body = absl::StrCat(name, "#", i, ":");
      body.resize(i % 7 == 0 ? 1'500'000 : 700, static_cast<char>('a' + i % 26));
      v1::WriteSpec spec;
      spec.set_container(kContainer);
      spec.set_name(name);
      const absl::Status status = client_.WriteObject(spec, body).status();
      if (!status.ok()) return Fail(status);
      absl::MutexLock lock(&mutex_);
      bodies_[name] = std::move(body);
    }
  }

  // Each success is counted: at the end the counter is their number.
  void Count() {
    while (!stop_) {
      v1::ReadObjectRequest request;
      request.set_container(kContainer);
      request.set_name("counter");
      std::string value;
      const auto sink = MakeStringSink(&value);
      const auto read = client_.ReadObject(request, *sink);
      if (!read.ok()) return Fail(read.status());
      v1::WriteSpec spec;
      spec.set_container(kContainer);
      spec.set_name("counter");
      spec.mutable_condition()->set_if_match(read->etag());
      const absl::Status status =
          client_.WriteObject(spec, absl::StrCat(std::stoll(value) + 1)).status();
      if (status.ok()) ++raised_;
      if (!status.ok() && !absl::IsFailedPrecondition(status)) return Fail(status);
    }
  }

  void Read() {
    while (!stop_) {
      std::map<std::string, std::string> some;
      {
        absl::MutexLock lock(&mutex_);
        for (const auto& [name, body] : bodies_) {
          if (some.size() < 10) some[name] = body;
        }
      }
      for (const auto& [name, body] : some) {
        v1::ReadObjectRequest request;
        request.set_container(kContainer);
        request.set_name(name);
        std::string value;
        const auto sink = MakeStringSink(&value);
        const absl::Status status = client_.ReadObject(request, *sink).status();
        if (!status.ok()) return Fail(status);
        if (value.substr(0, value.find('#')) != name) return Fail(absl::DataLossError(name));
        ++reads_;
      }
    }
  }

  Client client_;
  std::atomic<bool> stop_{false};
  std::atomic<int64_t> raised_{0};
  std::atomic<size_t> reads_{0};
  mutable absl::Mutex mutex_;
  absl::Status error_ ABSL_GUARDED_BY(mutex_);
  std::map<std::string, std::string> bodies_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::thread> threads_;
};

class ConversionTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(kTopology);
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "c", v1::LRS).ok());
  }
  void Configure(server::DevOptions& options) override {
    options.placement.interval = absl::Milliseconds(100);
    options.placement.keep_unnamed = absl::Seconds(1);
    options.conversions.interval = absl::Milliseconds(100);
  }

  v1::Container Container() {
    const auto container = client_->GetContainer(kContainer);
    EXPECT_TRUE(container.ok()) << container.status();
    return container.ok() ? *container : v1::Container();
  }
  std::set<std::string> Zones() {
    std::set<std::string> zones;
    const v1::Group group = GroupOf(kContainer);
    for (const v1::Replica& member : group.members()) zones.insert(member.zone());
    return zones;
  }
  // While it runs, the old policy is shown; then the new one, which the replicas keep.
  void WaitForEnd(v1::Redundancy before, v1::Redundancy after) {
    ASSERT_TRUE(Until([&] {
      const v1::Container container = Container();
      EXPECT_EQ(container.redundancy(), container.has_conversion() ? before : after);
      return !container.has_conversion();
    })) << Container().ShortDebugString();
    EXPECT_EQ(Zones().size(), after == v1::LRS ? 1u : 3u);
    EXPECT_EQ(GroupOf(kContainer).learners_size(), 0);
  }
  bool LoadGoesOn(const Load& load) {
    const size_t writes = load.acknowledged();
    const int64_t raised = load.raised();
    return Until([&] {
             return !load.error().ok() ||
                    (load.raised() > raised + 3 && load.acknowledged() >= writes);
           }) &&
           load.error().ok();
  }
  static std::string ReasonOf(const absl::Status& status) {
    return absl::StrCat(absl::StatusCodeToString(status.code()), " ", ErrorReasonOf(status));
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(ConversionTest, LrsToZrsAndBackUnderLoadLosesNothing) {
  Load load(profile_);
  ASSERT_TRUE(LoadGoesOn(load)) << load.error();
  const auto started = client_->ConvertContainer(kContainer, v1::ZRS);
  ASSERT_TRUE(started.ok()) << started.status();
  EXPECT_EQ(started->redundancy(), v1::LRS);
  EXPECT_EQ(started->conversion().target(), v1::ZRS);
  WaitForEnd(v1::LRS, v1::ZRS);
  ASSERT_TRUE(LoadGoesOn(load)) << load.error();

  // Paused before it has ended, it stays so; then it is taken back, begun anew, and ends.
  ASSERT_TRUE(client_->ConvertContainer(kContainer, v1::LRS).ok());
  ASSERT_TRUE(client_->PauseConversion(kContainer).ok());
  EXPECT_EQ(Container().conversion().state(), v1::Conversion::PAUSED);
  ASSERT_TRUE(LoadGoesOn(load)) << load.error();
  EXPECT_EQ(Container().redundancy(), v1::ZRS);
  EXPECT_EQ(Container().conversion().state(), v1::Conversion::PAUSED);
  ASSERT_TRUE(client_->CancelConversion(kContainer).ok());
  WaitForEnd(v1::ZRS, v1::ZRS);
  ASSERT_TRUE(client_->ConvertContainer(kContainer, v1::LRS).ok());
  ASSERT_TRUE(client_->PauseConversion(kContainer).ok());
  ASSERT_TRUE(client_->ResumeConversion(kContainer).ok());
  WaitForEnd(v1::ZRS, v1::LRS);
  ASSERT_TRUE(LoadGoesOn(load)) << load.error();

  load.Stop();
  EXPECT_TRUE(load.error().ok()) << load.error();
  EXPECT_GT(load.reads(), 100u);
  for (const auto& [name, body] : load.bodies()) {
    const auto read = Get(*client_, kContainer, name);
    ASSERT_TRUE(read.ok()) << name << " " << read.status();
    ASSERT_TRUE(*read == body) << name;
  }
  EXPECT_EQ(*Get(*client_, kContainer, "counter"), absl::StrCat(load.raised()));
  EXPECT_EQ(AwaitEqualReplicas(*admin_, kContainer), absl::OkStatus());
}

TEST_F(ConversionTest, GoesOnWhenTheLeaderThatCarriesItOutCrashes) {
  Load load(profile_);
  ASSERT_TRUE(LoadGoesOn(load)) << load.error();
  ASSERT_TRUE(client_->ConvertContainer(kContainer, v1::ZRS).ok());
  const std::string leader = GroupOf(kContainer).leader_node();
  ASSERT_TRUE(admin_->StopNode(leader).ok());
  ASSERT_TRUE(admin_->StartNode(leader).ok());
  WaitForEnd(v1::LRS, v1::ZRS);
  ASSERT_TRUE(LoadGoesOn(load)) << load.error();
  load.Stop();
  for (const auto& [name, body] : load.bodies()) {
    const auto read = Get(*client_, kContainer, name);
    ASSERT_TRUE(read.ok()) << name << " " << read.status();
    ASSERT_TRUE(*read == body) << name;
  }
}

TEST_F(ConversionTest, ProgressCountsTheBytesThatHaveMoved) {
  for (int i = 0; i < 8; ++i) {
    ASSERT_TRUE(Put(*client_, kContainer, absl::StrCat("o", i), RandomBody(4 << 20)).ok());
  }
  ASSERT_TRUE(client_->ConvertContainer(kContainer, v1::ZRS).ok());
  ASSERT_TRUE(client_->PauseConversion(kContainer).ok());
  ASSERT_TRUE(Until([&] { return Container().conversion().bytes_total() >= (32 << 20); }));
  ASSERT_TRUE(client_->ResumeConversion(kContainer).ok());
  int64_t last = 0;
  ASSERT_TRUE(Until([&] {
    const v1::Container container = Container();
    if (!container.has_conversion()) return true;
    EXPECT_LE(container.conversion().bytes_done(), container.conversion().bytes_total());
    last = std::max(last, container.conversion().bytes_done());
    return false;
  }));
  EXPECT_GT(last, 0) << "some of the way was seen";
}

TEST_F(ConversionTest, WhatCannotBeIsRefusedBeforeAnythingBegins) {
  EXPECT_EQ(ReasonOf(client_->ConvertContainer(kContainer, v1::LRS).status()),
            "FAILED_PRECONDITION REDUNDANCY_UNCHANGED");
  EXPECT_EQ(ReasonOf(client_->ConvertContainer(kContainer, v1::GRS).status()),
            "UNIMPLEMENTED REDUNDANCY_UNSUPPORTED");
  EXPECT_EQ(ReasonOf(client_->ConvertContainer(kContainer, v1::REDUNDANCY_UNSPECIFIED).status()),
            "INVALID_ARGUMENT INVALID_FIELD");
  EXPECT_EQ(
      ReasonOf(client_->ConvertContainer(kContainer, static_cast<v1::Redundancy>(77)).status()),
      "INVALID_ARGUMENT INVALID_FIELD");
  EXPECT_EQ(ReasonOf(client_->ConvertContainer("tenants/acme/containers/none", v1::ZRS).status()),
            "NOT_FOUND RESOURCE_MISSING");
  for (const absl::Status& status : {client_->PauseConversion(kContainer).status(),
                                     client_->ResumeConversion(kContainer).status(),
                                     client_->CancelConversion(kContainer).status()}) {
    EXPECT_EQ(ReasonOf(status), "FAILED_PRECONDITION NO_CONVERSION");
  }
  ASSERT_TRUE(admin_->DrainNode("east-3a", /*cancel=*/false).ok());
  absl::Status refused;
  ASSERT_TRUE(Until([&] {
    refused = client_->ConvertContainer(kContainer, v1::ZRS).status();
    if (refused.ok()) return !client_->CancelConversion(kContainer).ok();
    return ErrorReasonOf(refused) == "PLACEMENT_IMPOSSIBLE";
  })) << refused;
  EXPECT_EQ(ReasonOf(refused), "FAILED_PRECONDITION PLACEMENT_IMPOSSIBLE");
  EXPECT_NE(refused.message().find("ZRS needs 3 zones"), std::string::npos) << refused;
  ASSERT_TRUE(admin_->DrainNode("east-3a", /*cancel=*/true).ok());
  ASSERT_TRUE(Until([&] { return client_->ConvertContainer(kContainer, v1::ZRS).ok(); }));
  ASSERT_TRUE(client_->PauseConversion(kContainer).ok());
  EXPECT_EQ(ReasonOf(client_->ConvertContainer(kContainer, v1::ZRS).status()),
            "FAILED_PRECONDITION CONVERSION_UNDER_WAY");
  ASSERT_TRUE(client_->CancelConversion(kContainer).ok());
  WaitForEnd(v1::LRS, v1::LRS);
}

}  // namespace
}  // namespace meridian
