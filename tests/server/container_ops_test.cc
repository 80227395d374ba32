#include "server/control/container_ops.h"

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "meridian/v1/errors.pb.h"
#include "server/cluster_records.h"
#include "tenancy/directory.h"
#include "tests/fakes/manual_executor.h"
#include "tests/tenancy/testing.h"
#include "tests/until.h"

namespace meridian::server {
namespace {

// The leaders of all partitions, without nodes: a partition is empty or not, and one call at a time
// has it closed.
class FakeLeaders final : public PeerClient {
 public:
  std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>> GetNodeStatuses(
      const std::vector<NodeId>&, const internal::v1::GetNodeStatusRequest&,
      absl::Duration) override {
    return {};
  }
  bool Reachable(const NodeId&) override { return true; }
  absl::Status CheckEmpty(const tenancy::PartitionRange& range, absl::Time) override {
    absl::MutexLock lock(&mutex_);
    return filled_.contains(range.partition) ? absl::FailedPreconditionError("it holds objects")
                                             : absl::OkStatus();
  }
  absl::StatusOr<int64_t> ClosePartition(const tenancy::PartitionRange& range,
                                         absl::Time) override {
    ++attempts;
    {
      absl::MutexLock lock(&mutex_);
      if (!closed_.insert(range.partition).second) return absl::AbortedError("it is being deleted");
    }
    absl::Status status = close(range);
    absl::MutexLock lock(&mutex_);
    if (status.ok() && filled_late_.contains(range.partition)) {
      status = absl::FailedPreconditionError("it holds objects");
    }
    if (status.ok()) return 0;  // the group has no row, and is to have none
    closed_.erase(range.partition);
    return status;
  }
  absl::Status ReopenPartition(PartitionId partition, absl::Time) override {
    absl::MutexLock lock(&mutex_);
    closed_.erase(partition);
    return absl::OkStatus();
  }
  absl::Status SetVersioning(PartitionId, bool keep_versions, uint64_t generation,
                             absl::Time) override {
    absl::MutexLock lock(&mutex_);
    if (refusals_ > 0) {
      --refusals_;
      return absl::UnavailableError("no leader");
    }
    told_.push_back({keep_versions, generation});
    return absl::OkStatus();
  }

  void Fill(PartitionId partition) {
    absl::MutexLock lock(&mutex_);
    filled_.insert(partition);
  }
  // After it has been looked at, before it is closed.
  void FillLate(PartitionId partition) {
    absl::MutexLock lock(&mutex_);
    filled_late_.insert(partition);
  }
  std::set<PartitionId> closed() {
    absl::MutexLock lock(&mutex_);
    return closed_;
  }
  void RefuseVersioning(int times) {
    absl::MutexLock lock(&mutex_);
    refusals_ = times;
  }
  std::vector<std::pair<bool, uint64_t>> told() {
    absl::MutexLock lock(&mutex_);
    return told_;
  }
  std::atomic<int> attempts{0};  // to close a partition
  std::function<absl::Status(const tenancy::PartitionRange&)> close = [](const auto&) {
    return absl::OkStatus();
  };

 private:
  absl::Mutex mutex_;
  std::set<PartitionId> filled_ ABSL_GUARDED_BY(mutex_);
  std::set<PartitionId> filled_late_ ABSL_GUARDED_BY(mutex_);
  std::set<PartitionId> closed_ ABSL_GUARDED_BY(mutex_);
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<bool, uint64_t>> told_ ABSL_GUARDED_BY(mutex_);
};

class ContainerOpsTest : public testing::Test {
 protected:
  ContainerOpsTest() { EXPECT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok()); }

  absl::Status Delete(const CallLimits& limits = {}) {
    v1::DeleteContainerRequest request;
    request.set_name("tenants/acme/containers/photos");
    return ops_.DeleteContainer(principal_, request, limits).status();
  }
  absl::Status SetVersioning(v1::Versioning versioning, const CallLimits& limits = {}) {
    v1::UpdateContainerRequest request;
    request.mutable_container()->set_name("tenants/acme/containers/photos");
    request.mutable_container()->set_versioning(versioning);
    request.mutable_update_mask()->add_paths("versioning");
    return ops_.UpdateContainer(principal_, request, limits).status();
  }
  PartitionId First() {
    return catalog_.containers.Get(tenant_.id, "photos")->partitions[0].partition;
  }
  // Partitions 1, 2, ... from these names on.
  void Divide(const std::vector<std::string>& begins) {
    auto record = catalog_.containers.Get(tenant_.id, "photos");
    ASSERT_TRUE(record.ok()) << record.status();
    record->partitions.clear();
    for (size_t i = 0; i < begins.size(); ++i) {
      record->partitions.push_back({IdOf<PartitionId>(static_cast<int>(i) + 1), begins[i],
                                    i + 1 < begins.size() ? begins[i + 1] : ""});
    }
    ++record->partition_generation;
    const std::string key = tenancy::ContainerKey(tenant_.id, record->id);
    EXPECT_TRUE(*catalog_.store.Commit(tenant_.id,
                                       {{}, {catalog_.store.Put(key, tenancy::Encode(*record))}}));
  }
  bool HasRow(const std::string& key) {
    for (const auto& row : catalog_.coordination.Rows()) {
      if (row.key == key) return true;
    }
    return false;
  }
  tenancy::ContainerRecord::State State() {
    return catalog_.containers.Get(tenant_.id, "photos")->state;
  }

  tenancy::TestCatalog catalog_;
  ManualExecutor timer_;
  tenancy::CatalogChanges changes_{catalog_.store, timer_};
  tenancy::Directory directory_{catalog_.store, catalog_.keys, changes_, {}};
  tenancy::Authorizer authorizer_{catalog_.tenants, directory_};
  const tenancy::TenantRecord tenant_ = *catalog_.tenants.Create("acme", "", "");
  const tenancy::Principal principal_{.administrator = true, .tenant = {}, .key = {}};
  ClusterView view_{catalog_.coordination};
  FakeLeaders leaders_;
  tenancy::ConversionCatalog conversions_{catalog_.store, catalog_.containers};
  ContainerOps ops_{
      {view_, leaders_, catalog_.store, catalog_.containers, conversions_, authorizer_}};
};

TEST_F(ContainerOpsTest, DeletesAnEmptyContainer) {
  ASSERT_TRUE(Delete().ok());
  EXPECT_TRUE(absl::IsNotFound(Delete()));
}

TEST_F(ContainerOpsTest, ADeletionThatWasCutOffIsTakenBackWhenTheContainerTurnsOutNotToBeEmpty) {
  leaders_.Fill(First());
  ASSERT_TRUE(
      catalog_.SetState(tenant_.id, "photos", tenancy::ContainerRecord::State::kDeleting).ok());
  const absl::Status refused = Delete();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive) << "its objects can be reached";
}

TEST_F(ContainerOpsTest, OfTwoDeletionsAtOnceNoneSaysThatAnEmptyContainerIsNot) {
  // The one that closes the partition goes on once the other has found it closed.
  leaders_.close = [this](const auto&) {
    return Until([this] { return leaders_.attempts >= 2; })
               ? absl::OkStatus()
               : absl::InternalError("the other does not come");
  };
  absl::Status statuses[2];
  std::thread other([&] { statuses[0] = Delete(); });
  statuses[1] = Delete();
  other.join();
  for (const absl::Status& status : statuses) {
    EXPECT_TRUE(status.ok() || absl::IsNotFound(status)) << status;
  }
  EXPECT_TRUE(absl::IsNotFound(catalog_.containers.Get(tenant_.id, "photos").status()));
}

TEST_F(ContainerOpsTest, AFailedDeletionLeavesTheContainerOpen) {
  leaders_.close = [](const auto&) { return absl::UnavailableError("no quorum"); };
  EXPECT_TRUE(absl::IsUnavailable(Delete()));
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
}

TEST_F(ContainerOpsTest, ADeletionThatCameTooLateLeavesANewContainerOfTheSameNameAlone) {
  leaders_.close = [this](const auto&) {
    if (!catalog_.DeleteContainer(tenant_.id, "photos").ok() ||
        !catalog_.CreateContainer(tenant_.id, "photos").ok()) {
      return absl::InternalError("another caller's changes");
    }
    leaders_.close = [](const auto&) { return absl::InternalError("there is no such partition"); };
    return absl::AbortedError("another call is deleting");
  };
  EXPECT_TRUE(Delete().ok()) << "what was to be deleted is gone";
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
}

TEST_F(ContainerOpsTest, AStoreThatFallsSilentDuringADeletionHoldsItsCallNotForLong) {
  leaders_.close = [this](const auto&) {
    catalog_.coordination.Hang();
    return absl::UnavailableError("the store is silent");
  };
  const absl::Time start = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(Delete()));
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  catalog_.coordination.Release();
}

TEST_F(ContainerOpsTest, ACallerWhoIsGoneOrOutOfTimeIsNotWaitedFor) {
  leaders_.close = [](const auto&) { return absl::AbortedError("another call is deleting"); };
  const absl::Time start = absl::Now();
  EXPECT_FALSE(Delete({.deadline = start + absl::Milliseconds(200)}).ok());
  EXPECT_FALSE(Delete({.cancelled = [] { return true; }}).ok());
  leaders_.RefuseVersioning(1 << 20);
  EXPECT_FALSE(SetVersioning(v1::VERSIONING_ON, {.cancelled = [] { return true; }}).ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "of the 10 that each would take";
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
}

TEST_F(ContainerOpsTest, AContainerOfSeveralPartitionsGoesWithAllOfThem) {
  Divide({"", "g", "p"});
  ASSERT_TRUE(Delete().ok());
  EXPECT_TRUE(absl::IsNotFound(Delete()));
  for (int i = 1; i <= 3; ++i) EXPECT_TRUE(HasRow(RemovedKeyOf(IdOf<PartitionId>(i))));
}

TEST_F(ContainerOpsTest, AContainerWithSomethingInItsLastPartitionStaysWhole) {
  Divide({"", "g", "p"});
  leaders_.FillLate(IdOf<PartitionId>(3));
  const absl::Status refused = Delete();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
  EXPECT_TRUE(leaders_.closed().empty()) << "the others are open again";
  for (int i = 1; i <= 3; ++i) EXPECT_FALSE(HasRow(RemovedKeyOf(IdOf<PartitionId>(i))));
}

// As many as fit into one transaction of the store.
TEST_F(ContainerOpsTest, AContainerOfTooManyPartitionsIsRefusedBeforeItIsClosed) {
  std::vector<std::string> begins = {""};
  while (begins.size() < 29) begins.push_back(absl::StrFormat("%03d", begins.size()));
  Divide(begins);
  const absl::Status refused = Delete();
  EXPECT_TRUE(absl::IsResourceExhausted(refused)) << refused;
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
  begins.pop_back();
  Divide(begins);
  const absl::Status deleted = Delete();
  EXPECT_TRUE(deleted.ok()) << deleted;
}

TEST_F(ContainerOpsTest, AMapThatChangesDuringADeletionIsTakenUp) {
  Divide({"", "g"});
  leaders_.close = [&, divided = false](const tenancy::PartitionRange& range) mutable {
    if (range.start == "g" && !std::exchange(divided, true)) {
      // What the keeper of a split commits meanwhile.
      auto record = catalog_.containers.Get(tenant_.id, "photos");
      record->partitions.back().end = "p";
      record->partitions.push_back({IdOf<PartitionId>(3), "p", ""});
      ++record->partition_generation;
      const std::string key = tenancy::ContainerKey(tenant_.id, record->id);
      EXPECT_TRUE(*catalog_.store.Commit(
          tenant_.id, {{}, {catalog_.store.Put(key, tenancy::Encode(*record))}}));
    }
    return absl::OkStatus();
  };
  ASSERT_TRUE(Delete().ok());
  EXPECT_TRUE(HasRow(RemovedKeyOf(IdOf<PartitionId>(3)))) << "the new one went too";
}

// As a conversion left it: the partition is on its way to LRS or not, and only LRS can be kept.
class CancelConversionTest : public ContainerOpsTest {
 protected:
  CancelConversionTest() {
    for (const std::string node : {"a", "b", "c"}) {
      NodeRecord record{
          node + ":1", node + ":2", {DiskId::Draw(catalog_.random)}, "east", "east-1"};
      catalog_.coordination.Overwrite(NodeKeyOf(node), EncodeNodeRecord(record));
      catalog_.coordination.Overwrite(AliveKeyOf(node), "");
    }
    const uint64_t generation = catalog_.containers.Get(tenant_.id, "photos")->partition_generation;
    EXPECT_TRUE(
        conversions_.Start(tenant_.id, "photos", {tenancy::Redundancy::kLrs, generation, ""}).ok());
  }
  void KeepPartition(tenancy::Redundancy redundancy) {
    const tenancy::ContainerRecord container = *catalog_.containers.Get(tenant_.id, "photos");
    catalog_.coordination.Overwrite(
        PartitionKeyOf(First()),
        EncodePartitionRecord({tenant_.id, container.id, "east", redundancy}));
    EXPECT_TRUE(Until([&] {
      const auto record = view_.FindPartition(First());
      return view_.alive().size() == 3 && record && record->redundancy == redundancy;
    }));
  }
  absl::StatusOr<v1::Container> Cancel() {
    v1::CancelConversionRequest request;
    request.set_name("tenants/acme/containers/photos");
    return ops_.CancelConversion(principal_, request);
  }
};

TEST_F(CancelConversionTest, WhatCouldNotGoBackIsNotTurnedRound) {
  KeepPartition(tenancy::Redundancy::kLrs);
  const absl::Status refused = Cancel().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(catalog_.containers.Get(tenant_.id, "photos")->wanted_redundancy(),
            tenancy::Redundancy::kLrs);
}

TEST_F(CancelConversionTest, WhatHasNotMovedNeedsNoPlace) {
  KeepPartition(tenancy::Redundancy::kZrs);
  const auto cancelled = Cancel();
  ASSERT_TRUE(cancelled.ok()) << cancelled.status();
  EXPECT_EQ(cancelled->conversion().state(), v1::Conversion::CANCELLING);
}

TEST_F(ContainerOpsTest, VersioningIsAnsweredOnceThePartitionKnowsOfIt) {
  leaders_.RefuseVersioning(3);
  ASSERT_TRUE(SetVersioning(v1::VERSIONING_ON).ok());
  ASSERT_TRUE(SetVersioning(v1::VERSIONING_OFF).ok());
  ASSERT_TRUE(SetVersioning(v1::VERSIONING_OFF).ok());
  EXPECT_EQ(leaders_.told(),
            (std::vector<std::pair<bool, uint64_t>>{{true, 2}, {false, 3}, {false, 3}}));
}

}  // namespace
}  // namespace meridian::server
