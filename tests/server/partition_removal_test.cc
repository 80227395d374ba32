#include "server/partition_removal.h"

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

class PartitionRemoval : public testing::Test {
 protected:
  PartitionRemoval() {
    replication::GroupConfig config;
    config.epoch = Epoch(3);
    config.leader = self_.replica;
    config.members = {{self_.replica, "a", self_.disk}};
    EXPECT_TRUE(store_.Run({{}, {{group_key_, replication::EncodeGroupConfig(config)}}}));
    auto fake = std::make_unique<ops::FakeReplica>();
    replica_ = std::make_shared<HostedReplica>(self_, *strand_, std::move(fake), [] {});
  }
  ~PartitionRemoval() override {
    replica_.reset();
    Settle();
  }

  absl::Status Remove() {
    return remover_.RemoveIfEmpty(replica_, absl::Now() + absl::Milliseconds(500));
  }
  // A write that makes the partition hold something.
  absl::Status Write() {
    objects::pb::Command command;
    auto* put = command.mutable_put_version();
    put->set_name("a");
    put->mutable_record()->set_version_id(std::string(VersionId::Draw(random_).bytes()));
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
  absl::StatusOr<coordination::Transaction> prepared_ =
      coordination::Transaction{{}, {{"catalog", std::string("gone")}}};
  PartitionRemover remover_{store_, [this](PartitionId) { return prepared_; }};
  std::shared_ptr<HostedReplica> replica_;
};

TEST_F(PartitionRemoval, RemovesAnEmptyPartitionWithItsContainer) {
  ASSERT_TRUE(remover_.CheckEmpty(*replica_, absl::InfiniteFuture()).ok());
  ASSERT_TRUE(Remove().ok());
  EXPECT_FALSE(store_.Has(group_key_));
  EXPECT_TRUE(store_.Has(RemovedKeyOf(self_.partition)));
  EXPECT_TRUE(store_.Has("catalog"));
  EXPECT_TRUE(absl::IsUnavailable(Write())) << "nothing is taken in a partition that is gone";
}

TEST_F(PartitionRemoval, LeavesOneThatHoldsSomethingAlone) {
  ASSERT_TRUE(Write().ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(remover_.CheckEmpty(*replica_, absl::InfiniteFuture())));
  EXPECT_TRUE(absl::IsFailedPrecondition(Remove()));
  EXPECT_TRUE(store_.Has(group_key_));
  EXPECT_TRUE(Write().ok());
}

// The catalog is what counts: a caller only names the partition.
TEST_F(PartitionRemoval, DoesNothingUnlessTheCatalogSaysSo) {
  prepared_ = absl::AbortedError("the container is not being deleted");
  EXPECT_TRUE(absl::IsAborted(Remove()));
  EXPECT_TRUE(store_.Has(group_key_));
  EXPECT_TRUE(Write().ok());
}

TEST_F(PartitionRemoval, IsDoneWhereOnlyTheAnswerWasLost) {
  store_.Set(LossyStore::Mode::kLosesAnswer);
  EXPECT_TRUE(Remove().ok());
  EXPECT_FALSE(store_.Has(group_key_));
  EXPECT_FALSE(Write().ok());
}

// What was acknowledged must not be in a partition that a late commit removes.
TEST_F(PartitionRemoval, ThatIsStillOnItsWayCannotHappenOnceThePartitionIsOpenAgain) {
  store_.Set(LossyStore::Mode::kHoldsCommit);
  EXPECT_TRUE(absl::IsUnavailable(Remove()));
  ASSERT_TRUE(Write().ok());
  EXPECT_FALSE(store_.ReleaseHeld());
  EXPECT_TRUE(store_.Has(group_key_));
}

TEST_F(PartitionRemoval, OfUnknownOutcomeKeepsThePartitionClosedUntilTheStoreIsBack) {
  store_.Set(LossyStore::Mode::kHoldsCommitAndFallsSilent);
  EXPECT_TRUE(absl::IsUnavailable(Remove()));
  EXPECT_TRUE(absl::IsUnavailable(Write()));
  EXPECT_TRUE(absl::IsAborted(Remove()));
  store_.Set(LossyStore::Mode::kWorks);
  EXPECT_TRUE(Until([this] { return Write().ok(); }));
  EXPECT_FALSE(store_.ReleaseHeld());
}

}  // namespace
}  // namespace meridian::server
