// I12: a whole cluster while its coordination store fails, or does not answer.
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

enum class Mode { kWorks, kFails, kHangs };

// What the stores of one cluster do. Thread-safe.
class Faults {
 public:
  void Set(Mode mode) {
    std::vector<std::function<void()>> held;
    {
      absl::MutexLock lock(&mutex_);
      mode_ = mode;
      if (mode != Mode::kHangs) held.swap(held_);
    }
    for (const auto& refuse : held) refuse();
  }
  // Whether the call was dealt with here.
  bool Take(std::function<void()> refuse) {
    absl::MutexLock lock(&mutex_);
    if (mode_ == Mode::kHangs) held_.push_back(std::move(refuse));
    if (mode_ == Mode::kFails) refuser_->Post(std::move(refuse));
    return mode_ != Mode::kWorks;
  }

 private:
  absl::Mutex mutex_;
  Mode mode_ ABSL_GUARDED_BY(mutex_) = Mode::kWorks;
  std::vector<std::function<void()>> held_ ABSL_GUARDED_BY(mutex_);
  const std::unique_ptr<Executor> refuser_ = MakeThreadExecutor("refuser");
};

class FaultyStore final : public coordination::CoordinationStore {
 public:
  FaultyStore(std::unique_ptr<CoordinationStore> store, Faults& faults)
      : store_(std::move(store)), faults_(faults) {}
  void Get(
      std::string key,
      std::function<void(absl::StatusOr<std::optional<coordination::KeyValue>>)> done) override {
    if (Refused(done)) return;
    store_->Get(std::move(key), std::move(done));
  }
  void List(
      std::string prefix,
      std::function<void(absl::StatusOr<std::vector<coordination::KeyValue>>)> done) override {
    if (Refused(done)) return;
    store_->List(std::move(prefix), std::move(done));
  }
  void Commit(coordination::Transaction transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)> done) override {
    if (Refused(done)) return;
    store_->Commit(std::move(transaction), std::move(done));
  }
  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override {
    return store_->Watch(std::move(prefix), std::move(changed));
  }
  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override {
    return store_->Announce(std::move(key), std::move(value), ttl);
  }

 private:
  template <typename Done>
  bool Refused(const Done& done) {
    return faults_.Take([done] { done(absl::UnavailableError("the store is away")); });
  }

  const std::unique_ptr<CoordinationStore> store_;
  Faults& faults_;
};

class StaticStabilityTest : public ClusterFixture, public testing::WithParamInterface<Mode> {
 protected:
  void SetUp() override {
    wrap_coordination_ = [this](auto store) {
      return std::make_unique<FaultyStore>(std::move(store), faults_);
    };
    StartCluster();
  }
  void TearDown() override {
    faults_.Set(Mode::kWorks);
    CrashCluster();
  }

  Faults faults_;
};

INSTANTIATE_TEST_SUITE_P(, StaticStabilityTest, testing::Values(Mode::kFails, Mode::kHangs),
                         [](const auto& info) {
                           return info.param == Mode::kFails ? "Failing" : "Hanging";
                         });

TEST_P(StaticStabilityTest, HealthyGroupsServeKnownClientsWithoutDelay) {
  const Profile profile = MakeTenant("acme");
  auto client = std::make_unique<Client>(profile);
  ASSERT_TRUE(MakeContainer(*client, "acme", "photos", v1::ZRS).ok());
  const std::string photos = "tenants/acme/containers/photos";
  ASSERT_TRUE(Put(*client, photos, "first", "one").ok());
  faults_.Set(GetParam());
  const absl::Time start = absl::Now();
  // Longer than anything used to be cached for, and than the store's deadlines.
  constexpr absl::Duration kOutage = absl::Seconds(8);
  absl::Duration longest;
  int calls = 0;
  for (; absl::Now() < start + kOutage; ++calls) {
    // Once a second one that has to find its way anew.
    if (calls % 20 == 0) client = std::make_unique<Client>(profile);
    const absl::Time begin = absl::Now();
    CallOptions options;
    options.timeout = absl::Seconds(10);
    const auto put = Put(*client, photos, "second", std::to_string(calls), options);
    ASSERT_TRUE(put.ok()) << put.status();
    const auto body = Get(*client, photos, "second", options);
    ASSERT_TRUE(body.ok()) << body.status();
    EXPECT_EQ(*body, std::to_string(calls));
    longest = std::max(longest, absl::Now() - begin);
    absl::SleepFor(absl::Milliseconds(50));
  }
  EXPECT_LT(longest, absl::Seconds(3)) << "of a machine with other work; the store's deadline is 5";
  RecordProperty("calls", calls);
  faults_.Set(Mode::kWorks);
}

}  // namespace
}  // namespace meridian
