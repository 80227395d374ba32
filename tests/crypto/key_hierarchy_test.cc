#include "crypto/key_hierarchy.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "crypto/cluster_key.h"
#include "crypto/kms.h"
#include "crypto/node_key.h"
#include "crypto/sealing_key.h"
#include "crypto/segment_sealer.h"
#include "tests/crypto/memory_kms.h"
#include "tests/crypto/testing.h"

namespace meridian::crypto {
namespace {

const TenantId kTenant = IdOf<TenantId>(1);
const ContainerId kContainer = IdOf<ContainerId>(2);

class KeyHierarchyTest : public ::testing::Test {
 protected:
  KeyHierarchy NewHierarchy() {
    return KeyHierarchy(kms_, clock_, random_, {.lifetime = absl::Minutes(5), .max_entries = 8});
  }

  SystemRandom random_;
  ManualClock clock_;
  MemoryKms kms_{random_};
};

TEST_F(KeyHierarchyTest, AContainersKeysAreTheSameOnEveryNode) {
  KeyHierarchy one = NewHierarchy(), other = NewHierarchy();
  const std::string tenant_kek = *one.CreateTenantKek(kTenant);
  const WrappedContainerKeys wrapped = *one.CreateContainerKeys(kTenant, tenant_kek, kContainer);
  const auto writer = *one.OpenContainer(kTenant, tenant_kek, kContainer, wrapped);
  const auto reader = *other.OpenContainer(kTenant, tenant_kek, kContainer, wrapped);
  EXPECT_EQ(reader->UnwrapDek(writer->WrapDek(CountingKey(), random_))->bytes(), Counting(32));
  EXPECT_EQ(writer->ObjectIdOf("a/name"), reader->ObjectIdOf("a/name"));
}

TEST_F(KeyHierarchyTest, KeysOpenOnlyForTheirTenantAndContainer) {
  KeyHierarchy keys = NewHierarchy();
  const std::string tenant_kek = *keys.CreateTenantKek(kTenant);
  const WrappedContainerKeys wrapped = *keys.CreateContainerKeys(kTenant, tenant_kek, kContainer);
  const TenantId other_tenant = IdOf<TenantId>(7);
  const std::string other_kek = *keys.CreateTenantKek(other_tenant);
  const auto open = [&](TenantId tenant, const std::string& kek, ContainerId container) {
    return keys.OpenContainer(tenant, kek, container, wrapped).status();
  };
  EXPECT_TRUE(open(kTenant, tenant_kek, kContainer).ok());
  EXPECT_TRUE(absl::IsDataLoss(open(kTenant, tenant_kek, IdOf<ContainerId>(9))));
  EXPECT_TRUE(absl::IsDataLoss(open(other_tenant, other_kek, kContainer)));
  EXPECT_TRUE(absl::IsDataLoss(open(other_tenant, tenant_kek, kContainer)));
  WrappedContainerKeys wrong_version = wrapped;
  wrong_version.kek_version = 2;
  EXPECT_TRUE(absl::IsDataLoss(
      keys.OpenContainer(kTenant, tenant_kek, kContainer, wrong_version).status()));
}

TEST_F(KeyHierarchyTest, TheCacheIsAskedBeforeTheKms) {
  KeyHierarchy keys = NewHierarchy();
  const std::string tenant_kek = *keys.CreateTenantKek(kTenant);
  const WrappedContainerKeys wrapped = *keys.CreateContainerKeys(kTenant, tenant_kek, kContainer);
  for (int i = 0; i < 10; ++i) {
    ASSERT_TRUE(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).ok());
  }
  EXPECT_EQ(kms_.unwraps(), 1);
}

// FAULTS, KMS down: serve within the lifetime, then fail closed; never plaintext.
TEST_F(KeyHierarchyTest, WithoutTheKmsKeysAreServedForTheirLifetimeOnly) {
  KeyHierarchy keys = NewHierarchy();
  const std::string tenant_kek = *keys.CreateTenantKek(kTenant);
  const WrappedContainerKeys wrapped = *keys.CreateContainerKeys(kTenant, tenant_kek, kContainer);
  kms_.set_reachable(false);
  clock_.Advance(absl::Minutes(4));
  // First opened when the tenant's key is 4 minutes old: the container's keys live 1 minute, not 5.
  EXPECT_TRUE(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).ok());
  clock_.Advance(absl::Minutes(1));
  EXPECT_TRUE(
      absl::IsUnavailable(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).status()));
  EXPECT_TRUE(absl::IsUnavailable(
      keys.CreateContainerKeys(kTenant, tenant_kek, IdOf<ContainerId>(3)).status()));
  kms_.set_reachable(true);
  EXPECT_TRUE(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).ok());
}

// I11.
TEST_F(KeyHierarchyTest, ADestroyedTenantKeyOpensNothingAnyMore) {
  KeyHierarchy keys = NewHierarchy();
  const std::string tenant_kek = *keys.CreateTenantKek(kTenant);
  const WrappedContainerKeys wrapped = *keys.CreateContainerKeys(kTenant, tenant_kek, kContainer);
  ASSERT_TRUE(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).ok());
  ASSERT_TRUE(keys.DestroyTenantKey(kTenant).ok());
  EXPECT_TRUE(
      absl::IsNotFound(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).status()));
  EXPECT_FALSE(keys.CreateTenantKek(kTenant).ok()) << "ids are never used again";
}

// I11: also by a call that was under way when its tenant was forgotten.
TEST_F(KeyHierarchyTest, NothingIsCachedOfATenantThatWasForgottenMeanwhile) {
  KeyHierarchy maker = NewHierarchy(), keys = NewHierarchy();
  const std::string tenant_kek = *maker.CreateTenantKek(kTenant);
  const WrappedContainerKeys wrapped = *maker.CreateContainerKeys(kTenant, tenant_kek, kContainer);
  kms_.during_unwrap = [&keys] { keys.ForgetTenant(kTenant); };
  ASSERT_TRUE(keys.OpenContainer(kTenant, tenant_kek, kContainer, wrapped).ok());
  EXPECT_TRUE(keys.CachedTenants().empty());
}

TEST(ContainerKeys, GiveTheGoldenVectors) {
  CountingRandom random;
  const ContainerKeys keys(kTenant, kContainer, 1, CountingKey(), CountingKey(32));
  EXPECT_EQ(keys.ObjectIdOf("a/name").ToHex(), "e67f69cd62a198add48513292eb144f7");
  const std::string_view parts[] = {"a/name", "manifest"};
  EXPECT_EQ(Hex(keys.RecordMac(parts)),
            "747a995f7cb84ac62861f931b87d473ffb172df72c64c30b485372326258088c");
  EXPECT_EQ(Hex(keys.WrapDek(CountingKey(), random)),
            "01000102030405060708090a0b0c0d0e0f10111213141516174d091291b31165c8cfb9bb1a5426d109f403"
            "9870e61f466edfcb138d09f895b32711b1eee803e54e6da56e641e295339");
}

TEST(ContainerKeys, ObjectIdsOutliveARotation) {
  const ContainerKeys old_keys(kTenant, kContainer, 1, CountingKey(), CountingKey(32));
  const ContainerKeys new_keys(kTenant, kContainer, 2, CountingKey(64), CountingKey(32));
  EXPECT_EQ(old_keys.ObjectIdOf("name"), new_keys.ObjectIdOf("name"));
  EXPECT_NE(old_keys.ObjectIdOf("name"), old_keys.ObjectIdOf("nam"));
  const std::string_view parts[] = {"name"};
  EXPECT_NE(old_keys.RecordMac(parts), new_keys.RecordMac(parts));
}

TEST(ContainerKeys, EqualNamesInTwoContainersHaveUnrelatedIds) {
  const ContainerKeys a(kTenant, IdOf<ContainerId>(2), 1, CountingKey(), CountingKey(32));
  const ContainerKeys b(kTenant, IdOf<ContainerId>(3), 1, CountingKey(), CountingKey(32));
  EXPECT_NE(a.ObjectIdOf("name"), b.ObjectIdOf("name"));
}

// P20.
TEST(ContainerKeys, ARecordsMacBindsEachPartInItsPlace) {
  const ContainerKeys keys(kTenant, kContainer, 1, CountingKey(), CountingKey(32));
  const std::string_view parts[] = {"name", "manifest"};
  const std::string mac = keys.RecordMac(parts);
  EXPECT_TRUE(keys.VerifyRecordMac(parts, mac));
  const std::string_view shifted[] = {"namem", "anifest"};
  const std::string_view swapped[] = {"manifest", "name"};
  const std::string_view joined[] = {"namemanifest"};
  const std::string_view longer[] = {"name", "manifest", ""};
  EXPECT_FALSE(keys.VerifyRecordMac(shifted, mac));
  EXPECT_FALSE(keys.VerifyRecordMac(swapped, mac));
  EXPECT_FALSE(keys.VerifyRecordMac(joined, mac));
  EXPECT_FALSE(keys.VerifyRecordMac(longer, mac));
  EXPECT_FALSE(keys.VerifyRecordMac(parts, Flipped(mac, 0)));
  EXPECT_FALSE(keys.VerifyRecordMac(parts, ""));
}

TEST(ContainerKeys, MetadataOpensOnlyForTheVersionThatItWasSealedFor) {
  SystemRandom random;
  const ContainerKeys keys(kTenant, kContainer, 1, CountingKey(), CountingKey(32));
  const std::string sealed = keys.SealMetadata("object 1, version 1", "color=red", random);
  EXPECT_EQ(sealed.find("color"), std::string::npos);
  EXPECT_EQ(*keys.OpenMetadata("object 1, version 1", sealed), "color=red");
  EXPECT_TRUE(absl::IsDataLoss(keys.OpenMetadata("object 1, version 2", sealed).status()));
}

TEST(ClusterKey, GivesTheGoldenVector) {
  EXPECT_EQ(ClusterKey(CountingKey()).HashName("tenant", "acme"),
            "9f71ec56b067c61c23e1934ae55ec9499e9189b86326229a030d99abf965037d");
}

TEST(ClusterKey, NamesOfTwoScopesHaveUnrelatedHashes) {
  const ClusterKey key(CountingKey());
  EXPECT_NE(key.HashName("tenant", "acme"), key.HashName("container", "acme"));
  EXPECT_NE(key.HashName("ab", "c"), key.HashName("a", "bc"));
}

TEST(ClusterKey, AValueCannotBeMovedToAnotherKeyOfTheStore) {
  SystemRandom random;
  const ClusterKey key(CountingKey());
  const std::string sealed = key.Seal("tenancy/a", "name", random);
  EXPECT_EQ(*key.Open("tenancy/a", sealed), "name");
  EXPECT_TRUE(absl::IsDataLoss(key.Open("tenancy/b", sealed).status()));
}

TEST(ClusterKey, IsUnwrappedOnlyForItsCluster) {
  SystemRandom random;
  MemoryKms kms(random);
  const ClusterId cluster = IdOf<ClusterId>(1);
  const std::string wrapped = *ClusterKey::CreateWrapped(kms, cluster, random);
  EXPECT_TRUE(ClusterKey::Unwrap(kms, cluster, wrapped).ok());
  EXPECT_TRUE(absl::IsDataLoss(ClusterKey::Unwrap(kms, IdOf<ClusterId>(2), wrapped).status()));
  EXPECT_TRUE(ClusterKey::CreateWrapped(kms, IdOf<ClusterId>(2), random).ok())
      << "the root is made once and shared";
}

TEST(NodeKey, GivesTheGoldenVectors) {
  EXPECT_EQ(Hex(NodeKey(CountingKey()).SegmentKey(IdOf<DiskId>(5), Counting(32)).bytes()),
            "54b5832264257871073c79493ba5608abf525105713a71431b96aee88ee8ef4a");
  const std::string_view payload[] = {"rec", "ord"};
  std::string sealed(6 + SegmentSealer::kOverheadBytes, '\0');
  SegmentSealer(CountingKey()).Seal(258, "aad", payload, sealed.data());
  EXPECT_EQ(Hex(sealed), "7f4d73f916f8d45f8db636bfc8c3608fe03bf37d2e4c");
}

// P20.
TEST(NodeKey, EachDiskAndEachLifeOfASegmentHasItsOwnKey) {
  const NodeKey key(CountingKey());
  const auto segment = [&](char disk, int salt) {
    return std::string(key.SegmentKey(IdOf<DiskId>(disk), Counting(32, salt)).bytes());
  };
  EXPECT_EQ(segment(1, 0), segment(1, 0));
  EXPECT_NE(segment(1, 0), segment(1, 1));
  EXPECT_NE(segment(1, 0), segment(2, 0));
}

TEST(NodeKey, IsUnwrappedOnlyForItsNode) {
  SystemRandom random;
  MemoryKms kms(random);
  const std::string wrapped = *NodeKey::CreateWrapped(kms, "east-1a", random);
  EXPECT_TRUE(NodeKey::Unwrap(kms, "east-1a", wrapped).ok());
  EXPECT_TRUE(absl::IsDataLoss(NodeKey::Unwrap(kms, "east-1b", wrapped).status()));
}

TEST(NodeKey, UnwrapsOnlyItsOwnFileKeys) {
  SystemRandom random;
  const NodeKey key(CountingKey());
  const std::string wrapped = key.WrapFileKey(CountingKey(9), random);
  EXPECT_EQ(wrapped.size(), NodeKey::kWrappedFileKeyBytes);
  EXPECT_EQ(key.UnwrapFileKey(wrapped)->bytes(), Counting(32, 9));
  EXPECT_TRUE(absl::IsDataLoss(NodeKey(CountingKey(1)).UnwrapFileKey(wrapped).status()));
  EXPECT_TRUE(absl::IsDataLoss(key.UnwrapFileKey(Flipped(wrapped, 40)).status()));
}

TEST(SegmentSealer, OpensARecordOnlyInItsPlace) {
  const SegmentSealer sealer(CountingKey());
  const std::string_view payload[] = {"record"};
  std::string sealed(6 + SegmentSealer::kOverheadBytes, '\0'), out(6, '\0');
  sealer.Seal(7, "aad", payload, sealed.data());
  ASSERT_TRUE(sealer.Open(7, "aad", sealed, out.data()).ok());
  EXPECT_EQ(out, "record");
  EXPECT_TRUE(absl::IsDataLoss(sealer.Open(8, "aad", sealed, out.data())));
  EXPECT_TRUE(absl::IsDataLoss(sealer.Open(7, "aae", sealed, out.data())));
  EXPECT_TRUE(absl::IsDataLoss(SegmentSealer(CountingKey(1)).Open(7, "aad", sealed, out.data())));
  EXPECT_EQ(out, std::string(6, '\0'));
}

// P20.
TEST(SegmentSealerDeathTest, ANonceUsedTwiceIsABrokenInvariant) {
  const SegmentSealer sealer(CountingKey());
  const std::string_view payload[] = {"record"};
  std::string sealed(6 + SegmentSealer::kOverheadBytes, '\0');
  sealer.Seal(7, "", payload, sealed.data());
  EXPECT_DEATH(sealer.Seal(7, "", payload, sealed.data()), "P20");
  EXPECT_DEATH(sealer.Seal(6, "", payload, sealed.data()), "P20");
  sealer.Seal(8, "", payload, sealed.data());
}

}  // namespace
}  // namespace meridian::crypto
