// I12: a node serves clients that it has not met before, also when the coordination store has gone.
#include "server/catalog_warmer.h"

#include <gtest/gtest.h>

#include <map>
#include <string>

#include "base/status.h"
#include "tests/fakes/manual_executor.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

class CatalogWarmerTest : public testing::Test {
 protected:
  CatalogWarmerTest() { Poll(); }

  // The catalog's changes so far are known.
  void Poll() {
    timer_.RunUntil([this, end = timer_.MonotonicNow() + tenancy::CatalogChanges::kInterval] {
      return timer_.MonotonicNow() >= end;
    });
    catalog_.coordination.Settle();
    timer_.RunQueued();
  }

  absl::Status Serve(const std::string& token) {
    RETURN_IF_ERROR(authenticator_.Authenticate(token).status());
    RETURN_IF_ERROR(directory_.FindTenant(tenant_.id).status());
    ASSIGN_OR_RETURN(const auto container, directory_.FindContainer(tenant_.id, "photos"));
    return directory_.OpenKeys(*container, 1).status();
  }

  tenancy::TestCatalog catalog_;
  ManualExecutor timer_;
  tenancy::CatalogChanges changes_{catalog_.store, timer_};
  tenancy::Directory directory_{catalog_.store, catalog_.keys, changes_, {}};
  tenancy::Authenticator authenticator_{catalog_.store, changes_, {}};
  const tenancy::TenantRecord tenant_ = *catalog_.tenants.Create("acme", "", "");
  const tenancy::CreatedAccessKey key_ = *catalog_.access_keys.Create(tenant_.id, "");
  const tenancy::ContainerRecord container_ = *catalog_.CreateContainer(tenant_.id, "photos");
  std::map<PartitionId, PartitionRecord> here_ = {
      {container_.partitions[0].partition, {tenant_.id, container_.id, "east"}}};
  CatalogWarmer warmer_{
      {[this] { return here_; }, catalog_.store, changes_, directory_, authenticator_}};
};

TEST_F(CatalogWarmerTest, WhatIsHereIsKnownBeforeItIsAskedFor) {
  warmer_.Round();
  catalog_.coordination.reachable = false;
  EXPECT_TRUE(Serve(key_.token).ok()) << Serve(key_.token);
}

TEST_F(CatalogWarmerTest, WithoutARoundItWouldNotBe) {
  catalog_.coordination.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(Serve(key_.token)));
}

TEST_F(CatalogWarmerTest, AKeyMadeLaterIsLearntToo) {
  warmer_.Round();
  const auto later = *catalog_.access_keys.Create(tenant_.id, "");
  Poll();
  warmer_.Round();
  catalog_.coordination.reachable = false;
  EXPECT_TRUE(Serve(later.token).ok()) << Serve(later.token);
}

TEST_F(CatalogWarmerTest, NothingIsAskedWhileNothingChanges) {
  warmer_.Round();
  const int before = catalog_.coordination.operations();
  for (int i = 0; i < 10; ++i) warmer_.Round();
  EXPECT_EQ(catalog_.coordination.operations(), before);
}

TEST_F(CatalogWarmerTest, AContainerThatIsGoneStopsNothing) {
  here_[IdOf<PartitionId>(1)] = {tenant_.id, IdOf<ContainerId>(2), "east"};
  warmer_.Round();
  catalog_.coordination.reachable = false;
  EXPECT_TRUE(Serve(key_.token).ok()) << Serve(key_.token);
}

}  // namespace
}  // namespace meridian::server
