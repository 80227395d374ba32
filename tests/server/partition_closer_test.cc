#include "server/partition_closer.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "coordination/in_memory.h"
#include "replication/replica.h"
#include "server/cluster_records.h"
#include "storage/objects/records.h"
#include "tests/server/ops/fake_replica.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

// A store whose commits can be held back, or lose their answers.
class LossyStore final : public coordination::CoordinationStore {
 public:
  enum class Mode { kWorks, kSilent, kLosesAnswer, kHoldsCommit, kHoldsCommitAndFallsSilent };

  void Get(
      std::string key,
      std::function<void(absl::StatusOr<std::optional<coordination::KeyValue>>)> done) override {
    if (mode() == Mode::kSilent) return;
    store_.Get(std::move(key), std::move(done));
  }
  void List(
      std::string prefix,
      std::function<void(absl::StatusOr<std::vector<coordination::KeyValue>>)> done) override {
    store_.List(std::move(prefix), std::move(done));
  }
  void Commit(coordination::Transaction transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)> done) override {
    const Mode mode = TakeMode();
    if (mode == Mode::kSilent) return;
    if (mode == Mode::kWorks) {
      store_.Commit(std::move(transaction), std::move(done));
      return;
    }
    if (mode == Mode::kLosesAnswer) {
      store_.Commit(std::move(transaction), [](auto) {});
    } else {
      absl::MutexLock lock(&mutex_);
      held_ = std::move(transaction);
    }
    executor_->Post([done] { done(absl::UnavailableError("connection lost")); });
  }
  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override {
    return store_.Watch(std::move(prefix), std::move(changed));
  }
  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override {
    return store_.Announce(std::move(key), std::move(value), ttl);
  }

  // Of the next commit; kSilent: of all calls until it is set again.
  void Set(Mode mode) {
    absl::MutexLock lock(&mutex_);
    mode_ = mode;
  }
  // Whether what was held back still took effect.
  bool ReleaseHeld() {
    coordination::Transaction transaction;
    {
      absl::MutexLock lock(&mutex_);
      transaction = *std::exchange(held_, std::nullopt);
    }
    return Run(std::move(transaction));
  }
  bool Run(coordination::Transaction transaction) {
    bool succeeded = false;
    absl::Notification done;
    store_.Commit(std::move(transaction), [&](auto result) {
      succeeded = result.ok() && result->succeeded;
      done.Notify();
    });
    done.WaitForNotification();
    return succeeded;
  }
  bool Has(const std::string& key) {
    bool has = false;
    absl::Notification done;
    store_.Get(key, [&](auto row) {
      has = row.ok() && row->has_value();
      done.Notify();
    });
    done.WaitForNotification();
    return has;
  }

 private:
  Mode mode() {
    absl::MutexLock lock(&mutex_);
    return mode_;
  }
  Mode TakeMode() {
    absl::MutexLock lock(&mutex_);
    const bool silent = mode_ == Mode::kSilent || mode_ == Mode::kHoldsCommitAndFallsSilent;
    return std::exchange(mode_, silent ? Mode::kSilent : Mode::kWorks);
  }

  const std::unique_ptr<Executor> executor_ = MakeThreadExecutor("store");
  coordination::InMemoryCoordinationStore store_{*executor_};
  absl::Mutex mutex_;
  Mode mode_ ABSL_GUARDED_BY(mutex_) = Mode::kWorks;
  std::optional<coordination::Transaction> held_ ABSL_GUARDED_BY(mutex_);
};

class PartitionCloserTest : public testing::Test {
 protected:
  PartitionCloserTest() {
    replication::GroupConfig config;
    config.epoch = Epoch(3);
    config.leader = self_.replica;
    config.members = {{self_.replica, "a", self_.disk}};
    EXPECT_TRUE(store_.Run({{}, {{group_key_, replication::EncodeGroupConfig(config)}}}));
    auto fake = std::make_unique<ops::FakeReplica>();
    replica_ = std::make_shared<HostedReplica>(self_, *strand_, std::move(fake), [] {});
  }
  ~PartitionCloserTest() override {
    replica_.reset();
    Settle();
  }

  absl::StatusOr<int64_t> Close(const objects::NameRange& range = {}) {
    return closer_.CloseIfEmpty(replica_, range, absl::Now() + absl::Milliseconds(500));
  }
  // What the caller of Close commits.
  coordination::Transaction Removal(int64_t revision) const {
    return {{{group_key_, revision}}, {{group_key_, std::nullopt}}};
  }
  // Through the store's faults; UNAVAILABLE: the answer was lost.
  absl::Status Commit(coordination::Transaction transaction) {
    absl::Status status;
    absl::Notification done;
    store_.Commit(std::move(transaction), [&](auto result) {
      status = result.status();
      done.Notify();
    });
    done.WaitForNotification();
    return status;
  }
  // A write that makes the partition hold something.
  absl::Status Write() {
    objects::pb::Command command;
    auto* put = command.mutable_put_version();
    put->set_name("a");
    put->mutable_record()->set_version_id(std::string(VersionId::Draw(random_).bytes()));
    put->mutable_record()->set_format_version(objects::VersionFormatOf(kFirstClusterFormat));
    put->mutable_record()->set_manifest(objects::EncodeRecord(objects::pb::Manifest()));
    replication::Proposal proposal;
    proposal.command = objects::EncodeRecord(command);
    absl::Status status;
    absl::Notification done;
    replica_->Propose(std::move(proposal), [&](auto applied) {
      status = applied.status();
      done.Notify();
    });
    done.WaitForNotification();
    return status;
  }
  void Settle() {
    absl::Notification done;
    strand_->Post([&done] { done.Notify(); });
    done.WaitForNotification();
  }

  SystemRandom random_;
  const std::unique_ptr<Executor> strand_ = MakeThreadExecutor("strand");
  const HostedReplica::Identity self_{PartitionId::Draw(random_), ReplicaId::Draw(random_),
                                      ContainerId::Draw(random_), DiskId::Draw(random_)};
  const std::string group_key_ = replication::GroupConfigKey(self_.partition);
  LossyStore store_;
  PartitionCloser closer_{store_, absl::Hours(1)};
  std::shared_ptr<HostedReplica> replica_;
};

TEST_F(PartitionCloserTest, TakesNothingInAPartitionThatIsGone) {
  ASSERT_TRUE(closer_.CheckEmpty(*replica_, {}, absl::InfiniteFuture()).ok());
  const auto revision = Close();
  ASSERT_TRUE(revision.ok()) << revision.status();
  EXPECT_TRUE(absl::IsUnavailable(Write()));
  ASSERT_TRUE(store_.Run(Removal(*revision)));
  closer_.Reopen(self_.partition);
  EXPECT_FALSE(Until([this] { return Write().ok(); }, absl::Milliseconds(500)));
}

TEST_F(PartitionCloserTest, LeavesOneThatHoldsSomethingOpen) {
  ASSERT_TRUE(Write().ok());
  EXPECT_TRUE(
      absl::IsFailedPrecondition(closer_.CheckEmpty(*replica_, {}, absl::InfiniteFuture())));
  EXPECT_TRUE(absl::IsFailedPrecondition(Close().status()));
  EXPECT_TRUE(Write().ok());
}

TEST_F(PartitionCloserTest, ClosesForOneCallerAtATime) {
  ASSERT_TRUE(Close().ok());
  EXPECT_TRUE(absl::IsAborted(Close().status()));
}

TEST_F(PartitionCloserTest, OpensAgainByItself) {
  PartitionCloser closer(store_, absl::Milliseconds(1));
  const auto revision = closer.CloseIfEmpty(replica_, {}, absl::Now() + absl::Seconds(10));
  ASSERT_TRUE(revision.ok()) << revision.status();
  EXPECT_TRUE(Until([this] { return Write().ok(); }));
  EXPECT_FALSE(store_.Run(Removal(*revision))) << "what was acknowledged must not go";
  EXPECT_TRUE(store_.Has(group_key_));
}

TEST_F(PartitionCloserTest, OpensAgainOnceItsCallerHasGivenUp) {
  const auto revision = Close();
  ASSERT_TRUE(revision.ok()) << revision.status();
  closer_.Reopen(self_.partition);
  EXPECT_TRUE(Until([this] { return Write().ok(); }));
  EXPECT_FALSE(store_.Run(Removal(*revision)));
}

// What was acknowledged must not be in a partition that a late commit removes.
TEST_F(PartitionCloserTest, ARemovalStillOnItsWayCannotHappenOnceThePartitionIsOpenAgain) {
  const auto revision = Close();
  ASSERT_TRUE(revision.ok()) << revision.status();
  store_.Set(LossyStore::Mode::kHoldsCommit);
  EXPECT_TRUE(absl::IsUnavailable(Commit(Removal(*revision))));
  closer_.Reopen(self_.partition);
  EXPECT_TRUE(Until([this] { return Write().ok(); }));
  EXPECT_FALSE(store_.ReleaseHeld());
  EXPECT_TRUE(store_.Has(group_key_));
}

TEST_F(PartitionCloserTest, StaysClosedWhileTheStoreIsSilent) {
  const auto revision = Close();
  ASSERT_TRUE(revision.ok()) << revision.status();
  store_.Set(LossyStore::Mode::kHoldsCommitAndFallsSilent);
  EXPECT_TRUE(absl::IsUnavailable(Commit(Removal(*revision))));
  closer_.Reopen(self_.partition);
  EXPECT_FALSE(Until([this] { return Write().ok(); }, absl::Milliseconds(500)));
  store_.Set(LossyStore::Mode::kWorks);
  EXPECT_TRUE(Until([this] { return Write().ok(); }));
  EXPECT_FALSE(store_.ReleaseHeld());
}

TEST_F(PartitionCloserTest, AFollowerIsNotClosed) {
  replication::GroupConfig config;
  config.epoch = Epoch(4);
  config.leader = ReplicaId::Draw(random_);
  config.members = {{self_.replica, "a", self_.disk}, {config.leader, "b", DiskId::Draw(random_)}};
  ASSERT_TRUE(store_.Run({{}, {{group_key_, replication::EncodeGroupConfig(config)}}}));
  EXPECT_TRUE(absl::IsUnavailable(Close().status()));
  EXPECT_TRUE(Write().ok());
}

}  // namespace
}  // namespace meridian::server
