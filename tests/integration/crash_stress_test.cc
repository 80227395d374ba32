// Crashes upon crashes, on a real cluster: a process of ten nodes takes writes, overwrites and
// deletes, while zones and nodes of it are stopped by crash and started again; then the whole
// process gets kill -9 in mid-write, and begins again with what is on its disks. After several
// rounds, often with replicas that were still catching up when the next crash came:
//
//   - every object whose write was acknowledged is there, byte for byte; what was deleted is not;
//   - no replica is out of service, no record was found damaged, and the replicas of each group are
//     equal by hash.
//
// The seed is printed. What it draws is the order of events; their timing is the machine's. A
// longer run, or another with the same draws:
//
//   bazel test //tests/integration:crash_stress_test --test_env=MERIDIAN_CRASH_ROUNDS=100
//       --test_env=MERIDIAN_CRASH_SEED=7 --test_timeout=3600 --test_output=all
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "base/random.h"
#include "client/admin.h"
#include "client/client.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {
namespace {

constexpr char kTenant[] = "tenants/acme";
constexpr char kZrs[] = "tenants/acme/containers/z";
constexpr char kLrs[] = "tenants/acme/containers/l";
constexpr int kWriters = 4;
// Longer than a change of leader takes.
constexpr absl::Duration kCallTimeout = absl::Seconds(6);
// Of a writer; small, so that most writes replace a version whose run becomes garbage.
constexpr uint64_t kNamesInUse = 12;
constexpr absl::Duration kPatience = absl::Seconds(120);

uint64_t NumberFrom(const char* variable, uint64_t otherwise) {
  const char* value = std::getenv(variable);
  uint64_t number = 0;
  return value != nullptr && absl::SimpleAtoi(value, &number) ? number : otherwise;
}

// A body that tells of itself, so that only its version is kept here.
std::string BodyOf(uint64_t version, size_t size) {
  std::string body;
  body.reserve(size + 32);
  while (body.size() < size) absl::StrAppend(&body, version, ":", body.size(), ";");
  body.resize(size);
  return body;
}

// Mostly inline, some of one chunk, few of several.
size_t DrawSize(SeededRandom& random) {
  const uint64_t kind = random.Uniform(20);
  if (kind < 14) return 1 + random.Uniform(32 << 10);
  if (kind < 19) return (32 << 10) + random.Uniform(400 << 10);
  return (1 << 20) + random.Uniform(3 << 20);
}

// What a reader may find: nullopt is "no such object".
using Version = std::optional<std::pair<uint64_t, size_t>>;

// The objects that one writer, and nobody else, writes. Not thread-safe.
class Writer {
 public:
  Writer(int number, std::string container, uint64_t seed)
      : number_(number), container_(std::move(container)), random_(seed) {}

  // Writes until `stop`; `acknowledged` counts what it was told.
  void Run(const Profile& profile, const std::atomic<bool>& stop, std::atomic<int>& acknowledged) {
    Client client(profile);
    while (!stop) {
      std::string& name = in_use_[random_.Uniform(kNamesInUse)];
      if (name.empty()) name = absl::StrCat("w", number_, "-", ++last_name_);
      if (!Change(client, name)) {
        // Whether, and when, it takes effect is unknown: nobody writes this name again.
        name.clear();
        continue;
      }
      ++acknowledged;
    }
  }

  // Compares everything with what was acknowledged.
  void Check(Client& client) const {
    for (const auto& [name, expected] : objects_) {
      v1::ReadObjectRequest request;
      request.set_container(container_);
      request.set_name(name);
      std::string body;
      const auto read = client.ReadObject(request, *MakeStringSink(&body));
      bool matches = false;
      for (const Version& version : expected) {
        matches |= version ? read.ok() && body == BodyOf(version->first, version->second)
                           : absl::IsNotFound(read.status());
      }
      EXPECT_TRUE(matches) << container_ << " " << name << ": " << read.status()
                           << ", bytes: " << body.size();
    }
  }
  size_t size() const { return objects_.size(); }

 private:
  // Whether it was acknowledged.
  bool Change(Client& client, const std::string& name) {
    std::vector<Version>& expected = objects_[name];
    if (expected.empty()) expected.push_back(std::nullopt);
    const CallOptions options{.timeout = kCallTimeout};
    Version next;
    absl::Status status;
    if (random_.Uniform(10) > 0) {
      next = {++last_version_, DrawSize(random_)};
      v1::WriteSpec spec;
      spec.set_container(container_);
      spec.set_name(name);
      status = client.WriteObject(spec, BodyOf(next->first, next->second), options).status();
    } else {
      v1::DeleteObjectRequest request;
      request.set_container(container_);
      request.set_name(name);
      status = client.DeleteObject(request, options).status();
      if (absl::IsNotFound(status)) status = absl::OkStatus();
    }
    if (status.ok()) expected.clear();
    expected.push_back(next);
    return status.ok();
  }

  const int number_;
  const std::string container_;
  SeededRandom random_;
  uint64_t last_version_ = 0;
  uint64_t last_name_ = 0;
  std::string in_use_[kNamesInUse];
  std::map<std::string, std::vector<Version>> objects_;  // by name
};

class CrashStressTest : public testing::Test {
 protected:
  absl::Status StartServer() {
    ServerProcess::Options options;
    options.data_folder = folder_.path() + "/data";
    options.log_file = folder_.path() + "/log";
    auto server = ServerProcess::Start(options);
    if (!server.ok()) return server.status();
    server_ = *std::move(server);
    const auto administrator = server_->AdminProfile();
    if (!administrator.ok()) return administrator.status();
    admin_ = std::make_unique<Admin>(*administrator);
    // The port may be another after a restart.
    profile_.endpoints = administrator->endpoints;
    return absl::OkStatus();
  }

  void TearDown() override {
    if (!HasFailure()) return;
    server_.reset();
    std::cout << "what meridiand said:\n" << std::ifstream(folder_.path() + "/log").rdbuf();
  }

  void MakeContainers() {
    auto profile = MakeTenantWithContainer(*server_->AdminProfile(), "acme", "z", v1::ZRS);
    ASSERT_TRUE(profile.ok()) << profile.status();
    profile_ = *profile;
    v1::CreateContainerRequest request;
    request.set_parent(kTenant);
    request.set_container_id("l");
    request.mutable_container()->set_redundancy(v1::LRS);
    ASSERT_TRUE(Client(profile_).CreateContainer(request).ok());
  }

  void StartWriters() {
    stop_ = false;
    acknowledged_ = 0;
    for (Writer& writer : writers_) {
      threads_.emplace_back([&, profile = profile_] { writer.Run(profile, stop_, acknowledged_); });
    }
  }
  // Whether the writers have got so many more acknowledgements.
  bool WaitForWrites(int more) {
    const int enough = acknowledged_ + more;
    return Until([&] { return acknowledged_ >= enough; }, kPatience);
  }

  // Of the region that the containers are in.
  std::string DrawNode() {
    std::vector<std::string> names;
    const auto nodes = admin_->ListNodes();
    if (!nodes.ok()) return nodes.status().ToString();
    for (const v1::Node& node : nodes->nodes()) {
      if (node.region() == "east") names.push_back(node.name());
    }
    return names.at(random_.Uniform(names.size()));
  }

  // Stops a zone or a node by crash during writes, starts it again or not, and kills the process.
  void Round(int round) {
    StartWriters();
    EXPECT_TRUE(WaitForWrites(60)) << "before a zone went";
    const bool zone = random_.Uniform(3) > 0;
    const std::string stopped = zone ? absl::StrCat("east-", 1 + random_.Uniform(3)) : DrawNode();
    const bool starts = random_.Uniform(3) > 0;
    const int caught_up_for = static_cast<int>(random_.Uniform(2) * random_.Uniform(80));
    EXPECT_TRUE((zone ? admin_->StopZone(stopped) : admin_->StopNode(stopped)).ok()) << stopped;
    EXPECT_TRUE(WaitForWrites(60)) << "without " << stopped;
    if (starts) {
      EXPECT_TRUE((zone ? admin_->StartZone(stopped) : admin_->StartNode(stopped)).ok()) << stopped;
      EXPECT_TRUE(WaitForWrites(caught_up_for)) << "after " << stopped << " has started";
    }
    const int acknowledged = acknowledged_;
    admin_.reset();
    stop_ = true;
    server_->Kill();
    std::cout << "round " << round << ": " << acknowledged << " acknowledged, " << stopped
              << (starts ? " started again" : " stopped") << " before the kill" << std::endl;
    const absl::Status started = StartServer();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
    ASSERT_TRUE(started.ok()) << started;
  }

  // Empty once every node is well and every group's replicas are equal.
  std::string WhatIsWrong() {
    const auto nodes = admin_->ListNodes();
    if (!nodes.ok()) return nodes.status().ToString();
    for (const v1::Node& node : nodes->nodes()) {
      if (node.state() != v1::Node::UP || !node.problem().empty()) return node.ShortDebugString();
      for (const v1::Disk& disk : node.disks()) {
        if (!disk.in_service() || disk.corrupt_records() > 0) return node.ShortDebugString();
      }
    }
    v1::ListGroupsRequest request;
    request.set_with_digest(true);
    request.set_page_size(10);
    auto groups = admin_->ListGroups(request);
    int count = 0;
    for (;; ++count) {
      const auto group = groups.Next();
      if (!group.ok()) return group.status().ToString();
      if (!group->has_value()) break;
      std::set<std::pair<uint64_t, std::string>> states;
      for (const v1::Replica& replica : (*group)->members()) {
        if (!replica.reachable()) return (*group)->ShortDebugString();
        states.insert({replica.applied_index(), replica.state_digest()});
      }
      if (states.size() != 1 || states.begin()->second.empty()) {
        return (*group)->ShortDebugString();
      }
    }
    return count == 2 ? "" : absl::StrCat(count, " groups");
  }

  TempFolder folder_;
  const uint64_t seed_ = NumberFrom("MERIDIAN_CRASH_SEED", SystemRandom().Uniform(1'000'000));
  SeededRandom random_{seed_};
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Admin> admin_;
  Profile profile_;
  std::vector<Writer> writers_;
  std::vector<std::thread> threads_;
  std::atomic<bool> stop_{false};
  std::atomic<int> acknowledged_{0};
};

TEST_F(CrashStressTest, LosesNothingAndKeepsEveryReplicaInService) {  // I1, I4, I5, I10
  const int rounds = static_cast<int>(NumberFrom("MERIDIAN_CRASH_ROUNDS", 9));
  std::cout << "seed " << seed_ << ", " << rounds << " rounds" << std::endl;
  for (int i = 0; i < kWriters; ++i) {
    // The zone of the LRS container goes too: its writer then waits, the others do not.
    writers_.emplace_back(i, i == 0 ? kLrs : kZrs, random_.Next());
  }
  ASSERT_TRUE(StartServer().ok());
  MakeContainers();
  for (int round = 0; round < rounds && !HasFailure(); ++round) Round(round);
  ASSERT_FALSE(HasFailure());

  std::string wrong;
  EXPECT_TRUE(Until([&] { return (wrong = WhatIsWrong()).empty(); }, kPatience)) << wrong;
  Client client(profile_);
  size_t objects = 0;
  for (const Writer& writer : writers_) {
    writer.Check(client);
    objects += writer.size();
  }
  std::cout << objects << " objects compared" << std::endl;
  // Reads find damage too, and take replicas out of service.
  EXPECT_EQ(WhatIsWrong(), "");
  EXPECT_TRUE(server_->Stop().ok());
}

}  // namespace
}  // namespace meridian
