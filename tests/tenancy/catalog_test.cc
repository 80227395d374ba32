#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tenancy/errors.h"
#include "tenancy/names.h"
#include "tests/tenancy/testing.h"

namespace meridian::tenancy {
namespace {

TEST(Names, FollowTheirRule) {
  for (const char* good : {"a", "0", "acme", "a-b", "a-", "0123456789"}) {
    EXPECT_TRUE(CheckTenantName(good).ok()) << good;
    EXPECT_TRUE(CheckContainerName(good).ok()) << good;
  }
  EXPECT_TRUE(CheckTenantName(std::string(63, 'a')).ok());
  for (const std::string& bad :
       {std::string(), std::string(64, 'a'), std::string("-a"), std::string("Acme"),
        std::string("a.b"), std::string("a/b"), std::string("a b"), std::string("\xc3\xa4"),
        std::string("a\0b", 3), std::string(".."), std::string("a_b")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckTenantName(bad))) << bad;
    EXPECT_TRUE(absl::IsInvalidArgument(CheckContainerName(bad))) << bad;
  }
}

TEST(Names, ErrorsSayWhichRuleIsBroken) {
  EXPECT_NE(CheckTenantName("").message().find("empty"), absl::string_view::npos);
  EXPECT_NE(CheckTenantName(std::string(64, 'a')).message().find("63"), absl::string_view::npos);
  EXPECT_NE(CheckTenantName("-a").message().find("begins"), absl::string_view::npos);
  EXPECT_NE(CheckTenantName("A").message().find("a-z"), absl::string_view::npos);
}

TEST(Names, DisplayNamesAreShortUtf8) {
  EXPECT_TRUE(CheckDisplayName("").ok());
  EXPECT_TRUE(CheckDisplayName("K\xc3\xb6ln \xf0\x9f\x98\x80").ok());
  EXPECT_TRUE(CheckDisplayName(std::string(256, 'x')).ok());
  for (const std::string& bad :
       {std::string(257, 'x'), std::string("\xff"), std::string("\xc3"), std::string("\xc0\x80"),
        std::string("\xed\xa0\x80"), std::string("\xf4\x90\x80\x80"), std::string("\x80")}) {
    EXPECT_TRUE(absl::IsInvalidArgument(CheckDisplayName(bad)));
  }
}

class CatalogTest : public ::testing::Test {
 protected:
  TenantRecord Tenant(const std::string& name) { return *catalog_.tenants.Create(name, "", ""); }
  // Of all that the store ever held.
  bool OnlyChangesAreLeft() {
    for (const coordination::KeyValue& row : catalog_.coordination.Rows()) {
      if (!row.key.starts_with(kChangesPrefix)) return false;
    }
    return true;
  }

  TestCatalog catalog_;
};

TEST_F(CatalogTest, ATenantIsFoundByNameAndId) {
  const auto created = catalog_.tenants.Create("acme", "Acme & Co", "");
  ASSERT_TRUE(created.ok()) << created.status();
  EXPECT_EQ(catalog_.tenants.Get("acme")->id, created->id);
  EXPECT_EQ(catalog_.tenants.GetById(created->id)->record.display_name, "Acme & Co");
  EXPECT_TRUE(absl::IsNotFound(catalog_.tenants.Get("other").status()));
  EXPECT_TRUE(absl::IsNotFound(catalog_.tenants.GetById(IdOf<TenantId>(9)).status()));
}

TEST_F(CatalogTest, ATenantsNameIsTakenOnce) {
  const TenantRecord first = Tenant("acme");
  EXPECT_TRUE(absl::IsAlreadyExists(catalog_.tenants.Create("acme", "", "").status()));
  EXPECT_EQ(catalog_.tenants.Get("acme")->id, first.id);
}

TEST_F(CatalogTest, ACreationRetriedWithItsRequestIdIsDoneOnce) {
  const auto first = catalog_.tenants.Create("acme", "", Counting(16));
  const auto again = catalog_.tenants.Create("acme", "", Counting(16));
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_EQ(again->id, first->id);
  EXPECT_TRUE(absl::IsAlreadyExists(catalog_.tenants.Create("acme", "", Counting(16, 1)).status()));
}

TEST_F(CatalogTest, OfTwoCreationsAtOnceOneWins) {
  catalog_.coordination.before_commit = [this] { Tenant("acme"); };
  EXPECT_TRUE(absl::IsAlreadyExists(catalog_.tenants.Create("acme", "loser", "").status()));
  EXPECT_EQ(catalog_.tenants.Get("acme")->display_name, "");
  EXPECT_EQ(catalog_.tenants.List({})->tenants.size(), 1u);
}

// I9: the coordination store's values and keys tell no names.
TEST_F(CatalogTest, TheStoreHoldsNoNameInPlaintext) {
  const TenantRecord tenant = *catalog_.tenants.Create("markertenant", "markerdisplay", "");
  ASSERT_TRUE(catalog_.CreateContainer(tenant.id, "markercontainer").ok());
  const auto key = catalog_.access_keys.Create(tenant.id, "markerkey");
  const std::string secret = AccessToken::Parse(key->token)->secret;
  const auto rows = catalog_.coordination.Rows();
  EXPECT_EQ(rows.size(), 6u) << "with the one that tells of changes";
  for (const coordination::KeyValue& row : rows) {
    for (const std::string& bytes : {row.key, row.value}) {
      EXPECT_EQ(bytes.find("marker"), std::string::npos) << row.key;
      EXPECT_EQ(bytes.find(secret), std::string::npos) << row.key;
      EXPECT_EQ(bytes.find(key->token), std::string::npos) << row.key;
    }
  }
}

// I10: whoever writes to the store cannot give one name another's record.
TEST_F(CatalogTest, AValueMovedToAnotherKeyIsDamageNotData) {
  Tenant("a");
  Tenant("b");
  const std::string key_of_a = TenantNameKey(catalog_.cluster_key, "a");
  for (const coordination::KeyValue& row : catalog_.coordination.Rows()) {
    if (row.key != key_of_a) continue;
    catalog_.coordination.Overwrite(TenantNameKey(catalog_.cluster_key, "b"), row.value);
  }
  EXPECT_TRUE(absl::IsDataLoss(catalog_.tenants.Get("b").status()));
}

TEST_F(CatalogTest, ListsComeInPagesInByteOrderOfNames) {
  for (const char* name : {"c", "a", "b0", "b", "b-"}) Tenant(name);
  std::vector<std::string> names;
  Page page{2, ""};
  do {
    const auto listing = catalog_.tenants.List(page);
    ASSERT_TRUE(listing.ok()) << listing.status();
    EXPECT_LE(listing->tenants.size(), 2u);
    for (const TenantRecord& tenant : listing->tenants) names.push_back(tenant.name);
    page.token = listing->next_page_token;
  } while (!page.token.empty());
  EXPECT_EQ(names, (std::vector<std::string>{"a", "b", "b-", "b0", "c"}));
}

TEST_F(CatalogTest, APageContinuesAfterAnItemThatIsGone) {
  for (const char* name : {"a", "b", "c"}) Tenant(name);
  const auto first = *catalog_.tenants.List({2, ""});
  ASSERT_TRUE(catalog_.tenants.Delete("b").ok());
  const auto second = *catalog_.tenants.List({2, first.next_page_token});
  ASSERT_EQ(second.tenants.size(), 1u);
  EXPECT_EQ(second.tenants[0].name, "c");
  EXPECT_EQ(second.next_page_token, "");
}

TEST_F(CatalogTest, BadPagesAreRefused) {
  const TenantRecord tenant = Tenant("a");
  Tenant("b");
  const std::string token = catalog_.tenants.List({1, ""})->next_page_token;
  for (const Page& page : {Page{-1, ""}, Page{1001, ""}, Page{1, "x"}, Page{1, token + "x"}}) {
    EXPECT_TRUE(absl::IsInvalidArgument(catalog_.tenants.List(page).status())) << page.token;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(catalog_.containers.List(tenant.id, {1, token}).status()))
      << "a token of another list";
}

TEST_F(CatalogTest, AContainerBelongsToItsTenantOnly) {
  const TenantRecord a = Tenant("a"), b = Tenant("b");
  const auto container = catalog_.CreateContainer(a.id, "photos");
  ASSERT_TRUE(container.ok()) << container.status();
  EXPECT_EQ(catalog_.containers.Get(a.id, "photos")->id, container->id);
  EXPECT_TRUE(absl::IsNotFound(catalog_.containers.Get(b.id, "photos").status()));
  EXPECT_TRUE(catalog_.containers.List(b.id, {})->containers.empty());
  const auto same_name = catalog_.CreateContainer(b.id, "photos");
  EXPECT_NE(same_name->id, container->id);
}

TEST_F(CatalogTest, AContainersNameIsTakenOnceInATenant) {
  const TenantRecord tenant = Tenant("acme");
  const auto first = catalog_.CreateContainer(tenant.id, "photos", Counting(16));
  EXPECT_TRUE(absl::IsAlreadyExists(catalog_.CreateContainer(tenant.id, "photos").status()));
  EXPECT_EQ(catalog_.CreateContainer(tenant.id, "photos", Counting(16))->id, first->id);
  EXPECT_EQ(catalog_.tenants.Get("acme")->container_count, 1u);
}

TEST_F(CatalogTest, AContainerStartsWithOnePartitionAndKeysThatOpen) {
  const TenantRecord tenant = Tenant("acme");
  const ContainerRecord container = *catalog_.CreateContainer(tenant.id, "photos");
  EXPECT_EQ(container.PartitionOf("any").partition, IdOf<PartitionId>(8));
  EXPECT_EQ(container.partition_generation, 1u);
  EXPECT_TRUE(catalog_.keys
                  .OpenContainer(tenant.id, tenant.wrapped_kek, container.id,
                                 *container.KeysOf(container.current_kek_version()))
                  .ok());
}

TEST_F(CatalogTest, AContainerAndItsGroupAreMadeTogetherOrNotAtAll) {
  const TenantRecord tenant = Tenant("acme");
  NewContainer photos;
  photos.tenant = tenant.id;
  photos.name = "photos";
  auto change = *catalog_.containers.PrepareCreate(photos);
  catalog_.coordination.Overwrite("group/8", "taken");
  change.compares.push_back({"group/8", 0});
  change.writes.push_back({"group/8", "config"});
  EXPECT_FALSE(*catalog_.store.Commit(change.record.tenant, {change.compares, change.writes}));
  EXPECT_TRUE(absl::IsNotFound(catalog_.containers.Get(tenant.id, "photos").status()));
  EXPECT_EQ(catalog_.tenants.Get("acme")->container_count, 0u);
}

TEST_F(CatalogTest, VersioningCanBeTurnedOnAndOff) {
  const TenantRecord tenant = Tenant("acme");
  ASSERT_TRUE(catalog_.CreateContainer(tenant.id, "photos").ok());
  EXPECT_TRUE(catalog_.containers.SetVersioning(tenant.id, "photos", true)->versioning);
  EXPECT_EQ(catalog_.containers.SetVersioning(tenant.id, "photos", true)->versioning_generation, 2u)
      << "a change, and the same again";
  EXPECT_TRUE(catalog_.containers.Get(tenant.id, "photos")->versioning);
  EXPECT_FALSE(catalog_.containers.SetVersioning(tenant.id, "photos", false)->versioning);
  EXPECT_TRUE(
      absl::IsNotFound(catalog_.containers.SetVersioning(tenant.id, "missing", true).status()));
}

TEST_F(CatalogTest, AContainerIsDeletedInTwoSteps) {
  const TenantRecord tenant = Tenant("acme");
  const ContainerRecord photos = *catalog_.CreateContainer(tenant.id, "photos");
  EXPECT_TRUE(
      absl::IsFailedPrecondition(catalog_.containers.PrepareDelete(tenant.id, photos.id).status()));
  EXPECT_TRUE(absl::IsNotFound(
      catalog_.containers.PrepareDelete(tenant.id, IdOf<ContainerId>(9)).status()));
  ASSERT_TRUE(catalog_.DeleteContainer(tenant.id, "photos").ok());
  EXPECT_TRUE(absl::IsNotFound(catalog_.containers.Get(tenant.id, "photos").status()));
  EXPECT_EQ(catalog_.tenants.Get("acme")->container_count, 0u);
  EXPECT_TRUE(catalog_.CreateContainer(tenant.id, "photos").ok()) << "the name is free again";
}

TEST_F(CatalogTest, ATenantWithContainersCannotBeDeleted) {
  const TenantRecord tenant = Tenant("acme");
  ASSERT_TRUE(catalog_.CreateContainer(tenant.id, "photos").ok());
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.tenants.Delete("acme")));
  ASSERT_TRUE(catalog_.DeleteContainer(tenant.id, "photos").ok());
  EXPECT_TRUE(catalog_.tenants.Delete("acme").ok());
  EXPECT_TRUE(absl::IsNotFound(catalog_.tenants.Get("acme").status()));
  EXPECT_TRUE(absl::IsNotFound(catalog_.tenants.Delete("acme")));
  EXPECT_NE(Tenant("acme").id, tenant.id) << "an id is never used again";
}

TEST_F(CatalogTest, ADeletionSeesAContainerThatIsCreatedMeanwhile) {
  const TenantRecord tenant = Tenant("acme");
  catalog_.coordination.before_commit = [&] {
    EXPECT_TRUE(catalog_.CreateContainer(tenant.id, "photos").ok());
  };
  EXPECT_TRUE(absl::IsFailedPrecondition(catalog_.tenants.Delete("acme")));
  EXPECT_TRUE(catalog_.containers.Get(tenant.id, "photos").ok());
}

TEST_F(CatalogTest, NoContainerIsCreatedInATenantThatIsDeletedMeanwhile) {
  const TenantRecord tenant = Tenant("acme");
  catalog_.coordination.before_commit = [&] { EXPECT_TRUE(catalog_.tenants.Delete("acme").ok()); };
  EXPECT_TRUE(absl::IsAborted(catalog_.CreateContainer(tenant.id, "photos").status()));
  EXPECT_TRUE(absl::IsNotFound(catalog_.CreateContainer(tenant.id, "photos").status()));
  EXPECT_TRUE(OnlyChangesAreLeft());
}

TEST_F(CatalogTest, ADeletedTenantTakesItsAccessKeysWithIt) {
  const TenantRecord tenant = Tenant("acme");
  for (size_t i = 0; i < AccessKeyCatalog::kMaxKeysPerTenant; ++i) {
    ASSERT_TRUE(catalog_.access_keys.Create(tenant.id, "").ok());
  }
  EXPECT_TRUE(absl::IsResourceExhausted(catalog_.access_keys.Create(tenant.id, "").status()));
  ASSERT_TRUE(catalog_.tenants.Delete("acme").ok());
  EXPECT_TRUE(OnlyChangesAreLeft());
}

TEST_F(CatalogTest, AnAccessKeyIsListedUntilItIsRevoked) {
  const TenantRecord tenant = Tenant("acme"), other = Tenant("other");
  const auto key = *catalog_.access_keys.Create(tenant.id, "backup");
  const auto listing = *catalog_.access_keys.List(tenant.id, {});
  ASSERT_EQ(listing.keys.size(), 1u);
  EXPECT_EQ(listing.keys[0].id, key.record.id);
  EXPECT_EQ(listing.keys[0].display_name, "backup");
  const auto revoke = [&](TenantId of, AccessKeyId id) {
    return catalog_.access_keys.Revoke(of, id).status();
  };
  EXPECT_TRUE(absl::IsNotFound(revoke(other.id, key.record.id)));
  EXPECT_TRUE(absl::IsNotFound(revoke(TenantId(), key.record.id)));
  EXPECT_EQ(revoke(other.id, key.record.id).code(), revoke(other.id, IdOf<AccessKeyId>(9)).code());
  EXPECT_TRUE(revoke(tenant.id, key.record.id).ok());
  EXPECT_TRUE(absl::IsNotFound(revoke(tenant.id, key.record.id)));
  EXPECT_TRUE(catalog_.access_keys.List(tenant.id, {})->keys.empty());
}

TEST_F(CatalogTest, AStoreThatIsDownIsAnErrorAndNeverAbsence) {
  Tenant("acme");
  catalog_.coordination.reachable = false;
  EXPECT_TRUE(absl::IsUnavailable(catalog_.tenants.Get("acme").status()));
  EXPECT_TRUE(absl::IsUnavailable(catalog_.tenants.Get("missing").status()));
  EXPECT_TRUE(absl::IsUnavailable(catalog_.tenants.Create("new", "", "").status()));
  EXPECT_TRUE(absl::IsUnavailable(catalog_.tenants.List({}).status()));
}

TEST(Errors, ForeignAndMissingAreAnsweredInTheSameWords) {
  const absl::Status status = MissingError(Resource::kTenant, TenantResourceName("acme"));
  EXPECT_EQ(status.code(), absl::StatusCode::kNotFound);
  EXPECT_TRUE(status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo").has_value());
  EXPECT_TRUE(status.GetPayload("type.googleapis.com/meridian.v1.ResourceMissing").has_value());
  EXPECT_EQ(ContainerResourceName("acme", "photos"), "tenants/acme/containers/photos");
  EXPECT_EQ(AccessKeyResourceName("acme", "k"), "tenants/acme/accessKeys/k");
}

}  // namespace
}  // namespace meridian::tenancy
