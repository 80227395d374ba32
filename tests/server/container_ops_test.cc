#include "server/control/container_ops.h"

#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/mutex.h"
#include "absl/time/clock.h"
#include "google/rpc/error_details.pb.h"
#include "meridian/v1/errors.pb.h"
#include "server/cluster_records.h"
#include "tenancy/directory.h"
#include "tests/fakes/manual_executor.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

// The leaders of all partitions, without nodes: a partition is empty or not, and one call at a time
// removes it.
class FakeLeaders final : public PeerClient {
 public:
  explicit FakeLeaders(tenancy::TestCatalog& catalog) : catalog_(catalog) {}

  std::map<NodeId, absl::StatusOr<internal::v1::NodeStatus>> GetNodeStatuses(
      const std::vector<NodeId>&, const internal::v1::GetNodeStatusRequest&,
      absl::Duration) override {
    return {};
  }
  bool Reachable(const NodeId&) override { return true; }
  absl::Status CheckEmpty(PartitionId, absl::Time) override {
    absl::MutexLock lock(&mutex_);
    return empty_ ? absl::OkStatus() : absl::FailedPreconditionError("it holds objects");
  }
  absl::Status RemovePartition(PartitionId, absl::Time) override {
    {
      absl::MutexLock lock(&mutex_);
      if (std::exchange(removing_, true)) return absl::AbortedError("another call is deleting");
    }
    const absl::Status status = remove();
    absl::MutexLock lock(&mutex_);
    removing_ = false;
    return status;
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

  void set_empty(bool empty) {
    absl::MutexLock lock(&mutex_);
    empty_ = empty;
  }
  void RefuseVersioning(int times) {
    absl::MutexLock lock(&mutex_);
    refusals_ = times;
  }
  std::vector<std::pair<bool, uint64_t>> told() {
    absl::MutexLock lock(&mutex_);
    return told_;
  }
  std::function<absl::Status()> remove = [this] {
    absl::SleepFor(absl::Milliseconds(200));  // a barrier and a commit take their time
    const auto container = catalog_.containers.Get(tenant, "photos");
    if (!container.ok()) return container.status();
    const auto change = catalog_.containers.PrepareDelete(tenant, container->id);
    if (!change.ok()) return absl::AbortedError(change.status().message());
    return *catalog_.store.Commit(tenant, {change->compares, change->writes})
               ? absl::OkStatus()
               : absl::AbortedError("a compare did not hold");
  };
  TenantId tenant;

 private:
  tenancy::TestCatalog& catalog_;
  absl::Mutex mutex_;
  bool empty_ ABSL_GUARDED_BY(mutex_) = true;
  bool removing_ ABSL_GUARDED_BY(mutex_) = false;
  int refusals_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::pair<bool, uint64_t>> told_ ABSL_GUARDED_BY(mutex_);
};

class ContainerOpsTest : public testing::Test {
 protected:
  ContainerOpsTest() {
    leaders_.tenant = tenant_.id;
    EXPECT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
  }

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
  FakeLeaders leaders_{catalog_};
  ContainerOps ops_{{view_, leaders_, catalog_.store, catalog_.containers, authorizer_}};
};

TEST_F(ContainerOpsTest, DeletesAnEmptyContainer) {
  ASSERT_TRUE(Delete().ok());
  EXPECT_TRUE(absl::IsNotFound(Delete()));
}

TEST_F(ContainerOpsTest, ADeletionThatWasCutOffIsTakenBackWhenTheContainerTurnsOutNotToBeEmpty) {
  leaders_.set_empty(false);
  ASSERT_TRUE(
      catalog_.SetState(tenant_.id, "photos", tenancy::ContainerRecord::State::kDeleting).ok());
  const absl::Status refused = Delete();
  EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive) << "its objects can be reached";
}

TEST_F(ContainerOpsTest, OfTwoDeletionsAtOnceNoneSaysThatAnEmptyContainerIsNot) {
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
  leaders_.remove = [] { return absl::UnavailableError("no quorum"); };
  EXPECT_TRUE(absl::IsUnavailable(Delete()));
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
}

TEST_F(ContainerOpsTest, ADeletionThatCameTooLateLeavesANewContainerOfTheSameNameAlone) {
  leaders_.remove = [this] {
    if (!catalog_.DeleteContainer(tenant_.id, "photos").ok() ||
        !catalog_.CreateContainer(tenant_.id, "photos").ok()) {
      return absl::InternalError("another caller's changes");
    }
    leaders_.remove = [] { return absl::InternalError("there is no such partition"); };
    return absl::AbortedError("another call is deleting");
  };
  EXPECT_TRUE(Delete().ok()) << "what was to be deleted is gone";
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
}

TEST_F(ContainerOpsTest, AStoreThatFallsSilentDuringADeletionHoldsItsCallNotForLong) {
  leaders_.remove = [this] {
    catalog_.coordination.Hang();
    return absl::UnavailableError("the store is silent");
  };
  const absl::Time start = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(Delete()));
  EXPECT_LT(absl::Now() - start, absl::Seconds(20));
  catalog_.coordination.Release();
}

TEST_F(ContainerOpsTest, ACallerWhoIsGoneOrOutOfTimeIsNotWaitedFor) {
  leaders_.remove = [] { return absl::AbortedError("another call is deleting"); };
  const absl::Time start = absl::Now();
  EXPECT_FALSE(Delete({.deadline = start + absl::Milliseconds(200)}).ok());
  EXPECT_FALSE(Delete({.cancelled = [] { return true; }}).ok());
  leaders_.RefuseVersioning(1 << 20);
  EXPECT_FALSE(SetVersioning(v1::VERSIONING_ON, {.cancelled = [] { return true; }}).ok());
  EXPECT_LT(absl::Now() - start, absl::Seconds(5)) << "of the 10 that each would take";
  EXPECT_EQ(State(), tenancy::ContainerRecord::State::kActive);
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
