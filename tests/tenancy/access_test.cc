#include <gtest/gtest.h>

#include <memory>
#include <set>
#include <string>
#include <vector>

#include "tenancy/access_keys.h"
#include "tenancy/authenticator.h"
#include "tenancy/authorizer.h"
#include "tenancy/bootstrap.h"
#include "tenancy/cut_off_deletions.h"
#include "tenancy/deleted_tenants.h"
#include "tenancy/directory.h"
#include "tests/fakes/manual_executor.h"
#include "tests/tenancy/testing.h"

namespace meridian::tenancy {
namespace {

TEST(AccessToken, HasOneForm) {
  const AccessToken token{IdOf<AccessKeyId>(0x1f), Counting(32, 0xe0)};
  const std::string text = token.Format();
  EXPECT_EQ(text,
            "mak1_1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f1f_4OHi4-Tl5ufo6err7O3u7_Dx8vP09fb3-Pn6-_z9_v8");
  const auto parsed = AccessToken::Parse(text);
  ASSERT_TRUE(parsed.has_value());
  EXPECT_EQ(parsed->key, token.key);
  EXPECT_EQ(parsed->secret, token.secret);
}

TEST(AccessToken, AnyOtherFormIsRefused) {
  const std::string text = AccessToken{IdOf<AccessKeyId>(1), Counting(32)}.Format();
  for (const std::string& bad :
       {std::string(), std::string("mak1_"), text + "=", text + " ", " " + text,
        text.substr(0, text.size() - 1), "mak2_" + text.substr(5),
        text.substr(0, 37) + "-" + text.substr(38), text.substr(0, 10) + "G" + text.substr(11),
        text.substr(0, text.size() - 1) + "!",
        // The last character has two bits beyond the secret: another spelling of the same one.
        text.substr(0, text.size() - 1) + "9", std::string(1 << 20, 'a')}) {
    EXPECT_FALSE(AccessToken::Parse(bad).has_value()) << bad.substr(0, 100);
  }
}

class AccessTest : public ::testing::Test {
 protected:
  absl::Status Authenticate(const std::string& token) {
    return authenticator_.Authenticate(token).status();
  }

  // So many polls are asked for; those that are answered at all have been when it returns.
  void Poll(int polls = 1) {
    for (int i = 0; i < polls; ++i) {
      timer_.RunUntil([this, end = timer_.MonotonicNow() + CatalogChanges::kInterval] {
        return timer_.MonotonicNow() >= end;
      });
      catalog_.coordination.Settle();
      timer_.RunQueued();
    }
  }

  TestCatalog catalog_;
  ManualExecutor timer_;
  CatalogChanges changes_{catalog_.store, timer_};
  Authenticator authenticator_{catalog_.store, changes_, {.max_entries = 100}};
  DeletedTenants deleted_tenants_{catalog_.store, catalog_.keys, changes_, timer_};
  Directory directory_{catalog_.store, catalog_.keys, changes_, {}};
  Authorizer authorizer_{catalog_.tenants, directory_};
  const TenantRecord tenant_ = *catalog_.tenants.Create("acme", "", "");
  const TenantRecord foreign_ = *catalog_.tenants.Create("foreign", "", "");
  const CreatedAccessKey key_ = *catalog_.access_keys.Create(tenant_.id, "");
  const CreatedAccessKey administrator_ = *catalog_.access_keys.CreateAdministrator("");
};

TEST_F(AccessTest, AKeyOpensItsTenant) {
  const auto principal = authenticator_.Authenticate(key_.token);
  ASSERT_TRUE(principal.ok()) << principal.status();
  EXPECT_FALSE(principal->administrator);
  EXPECT_EQ(principal->tenant, tenant_.id);
  EXPECT_EQ(principal->key, key_.record.id);
}

TEST_F(AccessTest, AnAdministratorsKeyOpensNoTenant) {
  const auto principal = authenticator_.Authenticate(administrator_.token);
  EXPECT_TRUE(principal->administrator);
  EXPECT_TRUE(principal->tenant.is_nil());
}

TEST_F(AccessTest, MalformedUnknownWrongAndRevokedKeysGetOneAnswer) {
  const auto revoked = *catalog_.access_keys.Create(tenant_.id, "");
  ASSERT_TRUE(Authenticate(revoked.token).ok());
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, revoked.record.id).ok());
  Poll();
  const absl::Status answer = Authenticate("");
  EXPECT_TRUE(absl::IsUnauthenticated(answer));
  EXPECT_EQ(Authenticate("garbage"), answer);
  EXPECT_EQ(Authenticate(AccessToken{IdOf<AccessKeyId>(9), Counting(32)}.Format()), answer);
  EXPECT_EQ(Authenticate(AccessToken{key_.record.id, Counting(32)}.Format()), answer);
  EXPECT_EQ(Authenticate(revoked.token), answer);
  EXPECT_TRUE(Authenticate(key_.token).ok());
}

TEST_F(AccessTest, AKeyIsLookedUpOnce) {
  Poll();
  ASSERT_TRUE(Authenticate(key_.token).ok());
  const int before = catalog_.coordination.operations();
  const int polls = catalog_.coordination.polls();
  for (int i = 0; i < 100; ++i) {
    catalog_.clock.Advance(absl::Hours(1));
    ASSERT_TRUE(Authenticate(key_.token).ok());
  }
  EXPECT_EQ(catalog_.coordination.operations(), before);
  Poll(10);
  EXPECT_EQ(catalog_.coordination.polls(), polls + 10) << "one a second, for all keys";
  ASSERT_TRUE(Authenticate(key_.token).ok());
  EXPECT_EQ(catalog_.coordination.operations(), before) << "nothing has changed";
}

TEST_F(AccessTest, ARevocationIsNoticedWithoutAnyHintByTheNextPoll) {
  catalog_.coordination.watches_deliver = false;
  ASSERT_TRUE(Authenticate(key_.token).ok());
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key_.record.id).ok());
  Poll();
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(key_.token)));
}

TEST_F(AccessTest, ANewKeyThatWasAskedForBeforeIsKnownSoon) {
  catalog_.coordination.watches_deliver = false;
  const AccessToken token{IdOf<AccessKeyId>(9), Counting(32)};
  ASSERT_TRUE(absl::IsUnauthenticated(Authenticate(token.Format())));
  const AccessKeyRecord record{token.key, tenant_.id, catalog_.cluster_key.HashSecret(token.secret),
                               "", absl::Time()};
  ASSERT_TRUE(
      catalog_.store
          .Commit(tenant_.id, {{}, {catalog_.store.Put(AccessKeyKey(token.key), Encode(record))}})
          .ok());
  catalog_.clock.Advance(Authenticator::Options().unknown_lifetime);
  EXPECT_TRUE(Authenticate(token.Format()).ok());
}

TEST_F(AccessTest, MadeUpKeysEvictNoGoodOne) {
  Poll();
  ASSERT_TRUE(Authenticate(key_.token).ok());
  for (int i = 0; i < 1000; ++i) {
    const AccessToken token{AccessKeyId::Draw(catalog_.random), Counting(32)};
    ASSERT_TRUE(absl::IsUnauthenticated(Authenticate(token.Format())));
  }
  catalog_.coordination.reachable = false;
  EXPECT_TRUE(Authenticate(key_.token).ok());
}

// I12, for both ways to be away: calls that fail, and calls that are never answered.
class AccessWithoutTheStoreTest : public AccessTest, public ::testing::WithParamInterface<bool> {
 protected:
  void CutOff() {
    if (GetParam()) {
      catalog_.coordination.Hang();
    } else {
      catalog_.coordination.reachable = false;
    }
  }
  void Reconnect() {
    catalog_.coordination.reachable = true;
    catalog_.coordination.Release();
  }
  ~AccessWithoutTheStoreTest() override { catalog_.coordination.Release(); }
};

INSTANTIATE_TEST_SUITE_P(, AccessWithoutTheStoreTest, ::testing::Bool(),
                         [](const auto& info) { return info.param ? "Hanging" : "Failing"; });

TEST_P(AccessWithoutTheStoreTest, WhatIsKnownIsServedForADayAndNobodyWaits) {
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
  Poll();
  const auto serves = [&] {
    const auto container = directory_.FindContainer(tenant_.id, "photos");
    return Authenticate(key_.token).ok() && directory_.FindTenant(tenant_.id).ok() &&
           container.ok();
  };
  ASSERT_TRUE(serves());
  CutOff();
  for (int hour = 0; hour < 24; ++hour) {
    const int before = catalog_.coordination.operations();
    for (int i = 0; i < 100; ++i) ASSERT_TRUE(serves());
    EXPECT_EQ(catalog_.coordination.operations(), before) << "no request asks the store";
    catalog_.clock.Advance(absl::Hours(1));
    Poll(3);
  }
  Reconnect();
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key_.record.id).ok());
  Poll(2);
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(key_.token)));
}

TEST_P(AccessWithoutTheStoreTest, WhatIsNotKnownIsUnavailableAtOnceAndNeverCalledWrong) {
  Poll();
  CutOff();
  Poll(2);
  const int before = catalog_.coordination.operations();
  EXPECT_TRUE(absl::IsUnavailable(Authenticate(key_.token)));
  EXPECT_TRUE(absl::IsUnavailable(directory_.FindContainer(tenant_.id, "photos").status()));
  EXPECT_EQ(catalog_.coordination.operations(), before);
  Reconnect();
  Poll(2);
  EXPECT_TRUE(Authenticate(key_.token).ok());
}

TEST_P(AccessWithoutTheStoreTest, AChangeThatCannotBeReadStopsNothing) {
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
  Poll();
  ASSERT_TRUE(directory_.FindContainer(tenant_.id, "photos").ok());
  ASSERT_TRUE(catalog_.containers.SetVersioning(tenant_.id, "photos", true).ok());
  Poll();
  CutOff();
  EXPECT_TRUE(directory_.FindContainer(tenant_.id, "photos").ok())
      << "the first one waits, for a second at most";
  const int before = catalog_.coordination.operations();
  EXPECT_TRUE(directory_.FindContainer(tenant_.id, "photos").ok());
  EXPECT_EQ(catalog_.coordination.operations(), before) << "the others do not";
}

TEST_P(AccessWithoutTheStoreTest, CallsThatNeedTheStoreAreRefusedAtOnce) {
  Poll();
  ASSERT_TRUE(authenticator_.AuthenticateNow(key_.token).ok());
  CutOff();
  Poll(5);
  const int before = catalog_.coordination.operations();
  EXPECT_TRUE(absl::IsUnavailable(authenticator_.AuthenticateNow(key_.token).status()));
  EXPECT_EQ(catalog_.coordination.operations(), before);
}

// A store under load answers a poll late, and reads not in time.
TEST_F(AccessTest, ARevokedKeyIsRefusedAlsoWhenTheStoreAnswersNoReadInTime) {
  const auto other = *catalog_.access_keys.Create(tenant_.id, "");
  ASSERT_TRUE(Authenticate(key_.token).ok());
  ASSERT_TRUE(Authenticate(other.token).ok());
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key_.record.id).ok());
  catalog_.coordination.answers_gets = false;
  Poll();
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(key_.token)));
  EXPECT_TRUE(Authenticate(other.token).ok()) << "nobody else is affected";
}

TEST_F(AccessTest, ADeletedTenantsKeyIsRefusedAlsoWhenTheStoreAnswersNoReadInTime) {
  ASSERT_TRUE(Authenticate(key_.token).ok());
  ASSERT_TRUE(catalog_.tenants.Delete("acme").ok());
  catalog_.coordination.answers_gets = false;
  Poll();
  EXPECT_FALSE(Authenticate(key_.token).ok());
}

TEST_F(AccessTest, CallsThatNeedTheStoreBelieveNothingElse) {
  catalog_.coordination.watches_deliver = false;
  Poll();
  ASSERT_TRUE(authenticator_.AuthenticateNow(key_.token).ok());
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key_.record.id).ok());
  EXPECT_TRUE(absl::IsUnauthenticated(authenticator_.AuthenticateNow(key_.token).status()));
  catalog_.coordination.answers_gets = false;
  EXPECT_TRUE(absl::IsUnavailable(authenticator_.AuthenticateNow(administrator_.token).status()));
}

TEST_F(AccessTest, MoreRevocationsThanArePublishedAreAllNoticed) {
  catalog_.coordination.watches_deliver = false;
  std::vector<CreatedAccessKey> keys;
  for (size_t i = 0; i < 2 * Removals::kMaxLatest; ++i) {
    keys.push_back(*catalog_.access_keys.Create(tenant_.id, ""));
  }
  Poll();
  for (const auto& key : keys) ASSERT_TRUE(Authenticate(key.token).ok());
  for (const auto& key : keys) {
    ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key.record.id).ok());
  }
  Poll();
  for (const auto& key : keys) EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(key.token)));
  EXPECT_TRUE(Authenticate(key_.token).ok());
}

TEST_F(AccessTest, APollThatIsNeverAnsweredIsGivenUp) {
  Poll();
  ASSERT_TRUE(Authenticate(key_.token).ok());
  catalog_.coordination.polls_to_lose = 1;
  Poll();
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key_.record.id).ok());
  Poll(6);
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(key_.token)));
}

TEST_F(AccessTest, AHintIsFollowedAtOnceButOnceInAnInterval) {
  Poll();
  const auto follow_hints = [this] {
    catalog_.coordination.Settle();
    timer_.RunQueued();
    catalog_.coordination.Settle();
  };
  const auto other = *catalog_.access_keys.Create(tenant_.id, "");
  catalog_.SettleWatches();  // its hint is followed in this interval, not in the next
  Poll();
  ASSERT_TRUE(Authenticate(key_.token).ok());
  ASSERT_TRUE(Authenticate(other.token).ok());
  const int polls = catalog_.coordination.polls();
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, key_.record.id).ok());
  follow_hints();
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(key_.token)));
  ASSERT_TRUE(catalog_.access_keys.Revoke(tenant_.id, other.record.id).ok());
  follow_hints();
  EXPECT_EQ(catalog_.coordination.polls(), polls + 1);
  EXPECT_TRUE(Authenticate(other.token).ok());
  Poll();
  EXPECT_TRUE(absl::IsUnauthenticated(Authenticate(other.token)));
}

TEST_F(AccessTest, OneTenantsChangesMakeNobodyElseAskTheStore) {
  TenantRecord busy = foreign_;
  for (int i = 0; StripeOf(busy.id) == StripeOf(tenant_.id); ++i) {
    busy = *catalog_.tenants.Create("busy-" + std::to_string(i), "", "");
  }
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
  ASSERT_TRUE(catalog_.CreateContainer(busy.id, "photos").ok());
  const auto busy_key = *catalog_.access_keys.Create(busy.id, "");
  Poll();
  const auto serves = [&] {
    return Authenticate(key_.token).ok() && directory_.FindTenant(tenant_.id).ok() &&
           directory_.FindContainer(tenant_.id, "photos").ok();
  };
  ASSERT_TRUE(serves());
  for (const bool versioning : {true, false, true}) {
    ASSERT_TRUE(catalog_.containers.SetVersioning(busy.id, "photos", versioning).ok());
    ASSERT_TRUE(catalog_.access_keys.Create(busy.id, "").ok());
    Poll();
    const int before = catalog_.coordination.operations();
    EXPECT_TRUE(serves());
    EXPECT_EQ(catalog_.coordination.operations(), before);
  }
}

TEST_F(AccessTest, ADeletedTenantsKeysAreForgottenEverywhereByTheNextPoll) {
  catalog_.coordination.watches_deliver = false;
  // Another node's.
  crypto::KeyHierarchy keys(catalog_.kms, catalog_.clock, catalog_.random, {});
  Directory directory(catalog_.store, keys, changes_, {});
  DeletedTenants deleted(catalog_.store, keys, changes_, timer_);
  const ContainerRecord created = *catalog_.CreateContainer(tenant_.id, "photos");
  ASSERT_TRUE(catalog_.CreateContainer(foreign_.id, "photos").ok());
  for (const TenantId tenant : {tenant_.id, foreign_.id}) {
    const auto container = directory.FindContainer(tenant, "photos");
    ASSERT_TRUE(directory.OpenKeys(**container, created.current_kek_version()).ok());
  }
  const auto known = *directory.FindContainer(tenant_.id, "photos");
  ASSERT_TRUE(catalog_.DeleteContainer(tenant_.id, "photos").ok());
  ASSERT_TRUE(catalog_.tenants.Delete("acme").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.kms.CreateKey("tenant/" + tenant_.id.ToHex())))
      << "destroyed in the KMS";
  Poll();
  EXPECT_EQ(keys.CachedTenants(), std::set<TenantId>{foreign_.id});
  EXPECT_FALSE(directory.OpenKeys(*known, created.current_kek_version()).ok());
}

TEST_F(AccessTest, AKeyThatCouldNotBeDestroyedIsDestroyedOnceTheKmsIsBack) {
  Poll();
  catalog_.kms.set_reachable(false);
  ASSERT_TRUE(catalog_.tenants.Delete("acme").ok());
  Poll(2);
  catalog_.kms.set_reachable(true);
  const std::string key = "tenant/" + tenant_.id.ToHex();
  EXPECT_TRUE(absl::IsAlreadyExists(catalog_.kms.CreateKey(key)));
  Poll(4);
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.kms.CreateKey(key)));
  EXPECT_TRUE(catalog_.store.List(kDeletedTenantPrefix)->empty());
}

// I8: status, message and details are equal, and no more is looked up.
TEST_F(AccessTest, AForeignTenantIsAnsweredAsOneThatDoesNotExist) {
  const Principal principal = *authenticator_.Authenticate(key_.token);
  const auto ask = [&](const char* name, Access access) {
    return authorizer_.AuthorizeTenant(principal, name, access).status();
  };
  ASSERT_TRUE(ask("acme", Access::kObjects).ok());
  ASSERT_TRUE(ask("acme", Access::kManage).ok());
  for (const Access access : {Access::kObjects, Access::kManage}) {
    const int before = catalog_.coordination.operations();
    const absl::Status foreign = ask("foreign", access), missing = ask("missing", access);
    EXPECT_EQ(catalog_.coordination.operations(), before);
    EXPECT_TRUE(absl::IsNotFound(foreign));
    EXPECT_EQ(std::string(foreign.message()), "tenants/foreign does not exist");
    EXPECT_EQ(std::string(missing.message()), "tenants/missing does not exist");
    int payloads = 0;
    missing.ForEachPayload([&](absl::string_view, const absl::Cord&) { ++payloads; });
    foreign.ForEachPayload([&](absl::string_view, const absl::Cord&) { --payloads; });
    EXPECT_EQ(payloads, 0);
  }
}

TEST_F(AccessTest, AnAdministratorManagesTenantsAndSeesNoObjects) {
  const Principal principal = *authenticator_.Authenticate(administrator_.token);
  EXPECT_TRUE(authorizer_.AuthorizeAdministrator(principal).ok());
  EXPECT_EQ((*authorizer_.AuthorizeTenant(principal, "acme", Access::kManage))->id, tenant_.id);
  EXPECT_TRUE(absl::IsNotFound(
      authorizer_.AuthorizeTenant(principal, "missing", Access::kManage).status()));
  for (const char* name : {"acme", "missing"}) {
    EXPECT_TRUE(absl::IsPermissionDenied(
        authorizer_.AuthorizeTenant(principal, name, Access::kObjects).status()));
  }
}

TEST_F(AccessTest, ATenantIsNoAdministrator) {
  EXPECT_TRUE(absl::IsPermissionDenied(
      authorizer_.AuthorizeAdministrator(*authenticator_.Authenticate(key_.token))));
}

TEST_F(AccessTest, TheDirectoryFindsAContainerAndItsKeys) {
  const ContainerRecord created = *catalog_.CreateContainer(tenant_.id, "photos");
  const auto found = directory_.FindContainer(tenant_.id, "photos");
  ASSERT_TRUE(found.ok()) << found.status();
  EXPECT_EQ((*found)->record.id, created.id);
  const auto keys = directory_.OpenKeys(**found, created.current_kek_version());
  EXPECT_EQ((*keys)->container(), created.id);
  EXPECT_TRUE(absl::IsNotFound(directory_.OpenKeys(**found, 99).status()));
  EXPECT_TRUE(absl::IsNotFound(directory_.FindContainer(foreign_.id, "photos").status()));
  EXPECT_TRUE(absl::IsNotFound(directory_.FindContainer(tenant_.id, "missing").status()));
}

TEST_F(AccessTest, TheDirectoryNoticesChangesByHintsOrByPolls) {
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
  const auto versioning = [&] {
    return (*directory_.FindContainer(tenant_.id, "photos"))->record.versioning;
  };
  EXPECT_FALSE(versioning());
  ASSERT_TRUE(catalog_.containers.SetVersioning(tenant_.id, "photos", true).ok());
  Poll();
  EXPECT_TRUE(versioning());
  catalog_.coordination.watches_deliver = false;
  ASSERT_TRUE(catalog_.containers.SetVersioning(tenant_.id, "photos", false).ok());
  Poll();
  EXPECT_FALSE(versioning());
}

TEST_F(AccessTest, AContainerThatIsBeingDeletedTakesNoRequests) {
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "photos").ok());
  ASSERT_TRUE(directory_.FindContainer(tenant_.id, "photos").ok());
  const absl::Status missing = directory_.FindContainer(tenant_.id, "missing").status();
  ASSERT_TRUE(catalog_.SetState(tenant_.id, "photos", ContainerRecord::State::kDeleting).ok());
  Poll();
  const absl::Status deleting = directory_.FindContainer(tenant_.id, "photos").status();
  EXPECT_EQ(deleting.code(), missing.code());
  ASSERT_TRUE(catalog_.SetState(tenant_.id, "photos", ContainerRecord::State::kActive).ok());
  Poll();
  EXPECT_TRUE(directory_.FindContainer(tenant_.id, "photos").ok());
}

TEST_F(AccessTest, AContainerWhoseDeletionWasCutOffIsOpenedAgain) {
  CutOffDeletions cut_off(catalog_.store, catalog_.containers, timer_);
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "old").ok());
  ASSERT_TRUE(catalog_.CreateContainer(tenant_.id, "young").ok());
  const auto close = [&](const char* name) {
    return catalog_.SetState(tenant_.id, name, ContainerRecord::State::kDeleting).ok();
  };
  const auto state = [&](const char* name) {
    return catalog_.containers.Get(tenant_.id, name)->state;
  };
  const auto let_pass = [&](absl::Duration duration) {
    timer_.RunUntil(
        [this, end = timer_.MonotonicNow() + duration] { return timer_.MonotonicNow() >= end; });
  };
  let_pass(absl::Seconds(30));
  ASSERT_TRUE(close("old"));
  let_pass(CutOffDeletions::kInterval);
  ASSERT_TRUE(close("young"));
  EXPECT_EQ(state("old"), ContainerRecord::State::kDeleting) << "it may still be under way";
  let_pass(CutOffDeletions::kInterval);
  EXPECT_EQ(state("old"), ContainerRecord::State::kActive);
  EXPECT_EQ(state("young"), ContainerRecord::State::kDeleting);
  ASSERT_TRUE(catalog_.DeleteContainer(tenant_.id, "young").ok());
  EXPECT_TRUE(catalog_.store.ListKeys(kClosingPrefix)->empty());
}

class BootstrapTest : public ::testing::Test {
 protected:
  absl::StatusOr<Cluster> Open(crypto::Kms& kms) {
    return OpenOrCreateCluster(store_, kms, clock_, random_);
  }

  SystemRandom random_;
  ManualClock clock_;
  crypto::MemoryKms kms_{random_};
  TestStore store_;
};

TEST_F(BootstrapTest, TheFirstCallMakesTheClusterAndLaterOnesOpenIt) {
  const auto made = Open(kms_);
  ASSERT_TRUE(made.ok()) << made.status();
  ASSERT_TRUE(made->administrator_token.has_value());
  const auto opened = Open(kms_);
  ASSERT_TRUE(opened.ok()) << opened.status();
  EXPECT_EQ(opened->id, made->id);
  EXPECT_EQ(opened->key.bytes(), made->key.bytes());
  EXPECT_FALSE(opened->administrator_token.has_value()) << "shown once";

  const crypto::ClusterKey key(opened->key);
  CatalogStore catalog(store_, key, random_, clock_);
  ManualExecutor timer;
  CatalogChanges changes(catalog, timer);
  Authenticator authenticator(catalog, changes, {});
  EXPECT_TRUE(authenticator.Authenticate(*made->administrator_token)->administrator);
}

TEST_F(BootstrapTest, OfTwoCallsAtOnceOneMakesTheCluster) {
  std::optional<Cluster> first;
  store_.before_commit = [&] { first = *Open(kms_); };
  const auto second = Open(kms_);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->id, first->id);
  EXPECT_TRUE(first->administrator_token.has_value());
  EXPECT_FALSE(second->administrator_token.has_value());
}

TEST_F(BootstrapTest, AnotherKmsDoesNotOpenTheCluster) {
  ASSERT_TRUE(Open(kms_).ok());
  crypto::MemoryKms other(random_);
  ASSERT_TRUE(other.CreateKey("cluster").ok());
  EXPECT_TRUE(absl::IsDataLoss(Open(other).status()));
}

TEST_F(BootstrapTest, AClusterIsMadeOnceAndOpenedOnlyIfItWasMade) {
  EXPECT_TRUE(absl::IsNotFound(OpenCluster(store_, kms_).status()));
  ASSERT_TRUE(CreateCluster(store_, kms_, clock_, random_).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(CreateCluster(store_, kms_, clock_, random_).status()));
  EXPECT_TRUE(OpenCluster(store_, kms_).ok());
}

TEST_F(BootstrapTest, AKmsWithoutTheKeyIsNotTakenForAMissingCluster) {
  ASSERT_TRUE(Open(kms_).ok());
  crypto::MemoryKms empty(random_);
  EXPECT_TRUE(absl::IsDataLoss(OpenCluster(store_, empty).status()));
  EXPECT_TRUE(absl::IsDataLoss(Open(empty).status()));
}

TEST_F(BootstrapTest, AStoreThatIsDownMakesNoNewCluster) {
  store_.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(Open(kms_).status()));
}

}  // namespace
}  // namespace meridian::tenancy
