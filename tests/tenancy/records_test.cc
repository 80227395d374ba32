#include "tenancy/records.h"

#include <gtest/gtest.h>

#include "tests/crypto/testing.h"

namespace meridian::tenancy {
namespace {

ContainerRecord Container() {
  ContainerRecord record;
  record.tenant = IdOf<TenantId>(1);
  record.id = IdOf<ContainerId>(2);
  record.name = "photos";
  record.redundancy = Redundancy::kZrs;
  record.home_region = "east";
  record.versioning = true;
  record.create_time = absl::FromUnixMicros(1234567);
  record.keks = {{1, "kek"}};
  record.wrapped_name_key = "name key";
  record.partitions = {{IdOf<PartitionId>(3), "", ""}};
  record.partition_generation = 1;
  record.create_request_id = Counting(16);
  return record;
}

TenantRecord Tenant() {
  TenantRecord record;
  record.id = IdOf<TenantId>(1);
  record.name = "acme";
  record.display_name = "Acme";
  record.create_time = absl::FromUnixMicros(1234567);
  record.wrapped_kek = "kek";
  record.container_count = 2;
  record.access_keys = {IdOf<AccessKeyId>(4)};
  record.generation = 5;
  return record;
}

AccessKeyRecord AccessKey() {
  AccessKeyRecord record;
  record.id = IdOf<AccessKeyId>(4);
  record.tenant = IdOf<TenantId>(1);
  record.secret_hash = "hash";
  record.display_name = "backup";
  record.create_time = absl::FromUnixMicros(1234567);
  return record;
}

// The stored form of version 1: later versions must read it.
TEST(CatalogRecords, HaveTheGoldenBytes) {
  EXPECT_EQ(Hex(Encode(Tenant())),
            "08011210010101010101010101010101010101011a0461636d65220441636d652887ad4b32036b65"
            "6b38024210040404040404040404040404040404044805");
  EXPECT_EQ(Hex(Encode(AccessKey())),
            "08011210040404040404040404040404040404041a10010101010101010101010101010101012204"
            "686173682a066261636b75703087ad4b");
  EXPECT_EQ(Hex(Encode(Container())),
            "08011210010101010101010101010101010101011a10020202020202020202020202020202022206"
            "70686f746f73280232046561737438014087ad4b48015207080112036b656b5a086e616d65206b65"
            "7962120a100303030303030303030303030303030368017210000102030405060708090a0b0c0d0e"
            "0f");
  ContainerRecord changed = Container();
  changed.versioning_generation = 2;
  EXPECT_EQ(Encode(changed), Encode(Container()) + "\x78\x02");
  EXPECT_EQ(DecodeContainerRecord(Encode(changed))->versioning_generation, 2u);
  // A record from before conversions, and one with.
  ContainerRecord converting = Container();
  converting.conversion =
      Conversion{Conversion::State::kPaused, Redundancy::kLrs, absl::FromUnixMicros(7)};
  converting.conversion_request_id = Counting(16);
  EXPECT_EQ(Hex(Encode(converting).substr(Encode(Container()).size())),
            "8201060802100118078a0110000102030405060708090a0b0c0d0e0f");
  EXPECT_EQ(DecodeContainerRecord(Encode(converting))->conversion, converting.conversion);
  EXPECT_EQ(DecodeContainerRecord(Encode(converting))->conversion_request_id, Counting(16));
  EXPECT_EQ(DecodeContainerRecord(Encode(Container()))->conversion, std::nullopt);
  const ConversionProgress progress{1, 3, 100, 400, absl::FromUnixMicros(77), "slow"};
  EXPECT_EQ(Hex(Encode(progress)),
            "08011001180320642890033"
            "04d3a04736c6f77");
  EXPECT_EQ(*DecodeConversionProgress(Encode(progress)), progress);
  Removals removals;
  removals.Add(IdOf<AccessKeyId>(4));
  removals.Add(IdOf<TenantId>(1));
  EXPECT_EQ(Hex(Encode(removals)),
            "080110021a120a10040404040404040404040404040404041a12121001010101010101010101010101"
            "010101");
  EXPECT_EQ(DecodeRemovals(Encode(removals))->latest, removals.latest);
  EXPECT_EQ(Hex(EncodeNameRecord(IdOf<TenantId>(1).bytes())),
            "0801121001010101010101010101010101010101");
}

TEST(CatalogRecords, ComeBackAsTheyWere) {
  const TenantRecord tenant = *DecodeTenantRecord(Encode(Tenant()));
  EXPECT_EQ(tenant.name, "acme");
  EXPECT_EQ(tenant.container_count, 2u);
  EXPECT_EQ(tenant.access_keys, Tenant().access_keys);
  EXPECT_EQ(tenant.create_time, Tenant().create_time);
  EXPECT_EQ(Encode(tenant), Encode(Tenant()));
  EXPECT_EQ(Encode(*DecodeAccessKeyRecord(Encode(AccessKey()))), Encode(AccessKey()));
  const ContainerRecord container = *DecodeContainerRecord(Encode(Container()));
  EXPECT_EQ(container.redundancy, Redundancy::kZrs);
  EXPECT_EQ(container.partitions, Container().partitions);
  EXPECT_EQ(Encode(container), Encode(Container()));
  AccessKeyRecord administrator = AccessKey();
  administrator.tenant = TenantId();
  EXPECT_TRUE(DecodeAccessKeyRecord(Encode(administrator))->tenant.is_nil());
}

TEST(CatalogRecords, DamageIsNeverTakenForAbsenceOrDefaults) {
  for (const std::string& bytes : {std::string(), std::string("\x08"), std::string("nonsense"),
                                   Encode(Tenant()).substr(0, 30)}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeTenantRecord(bytes).status()));
    EXPECT_TRUE(absl::IsDataLoss(DecodeAccessKeyRecord(bytes).status()));
    EXPECT_TRUE(absl::IsDataLoss(DecodeContainerRecord(bytes).status()));
    EXPECT_TRUE(absl::IsDataLoss(DecodeRemovals(bytes).status()));
    EXPECT_TRUE(absl::IsDataLoss(DecodeConversionProgress(bytes).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(
      DecodeContainerRecord(Encode(Container()) + std::string("\x82\x01\x02\x10\x01", 5)).status()))
      << "a conversion without a state";
}

TEST(CatalogRecords, ANewerVersionIsRefusedAsSuch) {
  std::string newer = Encode(Tenant());
  newer[1] = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeTenantRecord(newer).status()));
}

// Written back, the field would be gone.
TEST(CatalogRecords, AFieldThatIsNotKnownHereIsRefused) {
  const std::string field("\xa2\x06\x01x", 4);  // 100: "x"
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeTenantRecord(Encode(Tenant()) + field).status()));
  // Inside another one: field 12 is a partition's range.
  EXPECT_TRUE(absl::IsFailedPrecondition(
      DecodeContainerRecord(Encode(Container()) + "\x62\x04" + field).status()));
}

TEST(CatalogRecords, PartitionsMustCoverAllNamesInOrder) {
  const PartitionId a = IdOf<PartitionId>(1), b = IdOf<PartitionId>(2);
  const auto accepted = [](std::vector<PartitionRange> partitions) {
    ContainerRecord record = Container();
    record.partitions = std::move(partitions);
    return DecodeContainerRecord(Encode(record)).ok();
  };
  EXPECT_TRUE(accepted({{a, "", "m"}, {b, "m", ""}}));
  EXPECT_FALSE(accepted({}));
  EXPECT_FALSE(accepted({{a, "", "m"}}));
  EXPECT_FALSE(accepted({{a, "m", ""}}));
  EXPECT_FALSE(accepted({{a, "", "k"}, {b, "m", ""}})) << "a gap";
  EXPECT_FALSE(accepted({{a, "", "m"}, {b, "k", ""}})) << "an overlap";
  EXPECT_FALSE(accepted({{a, "", ""}, {b, "", ""}}));
}

TEST(CatalogRecords, ANameBelongsToThePartitionThatHoldsIt) {
  ContainerRecord record = Container();
  record.partitions = {{IdOf<PartitionId>(1), "", "m"}, {IdOf<PartitionId>(2), "m", ""}};
  EXPECT_EQ(record.PartitionOf("a").partition, IdOf<PartitionId>(1));
  EXPECT_EQ(record.PartitionOf("lzzz").partition, IdOf<PartitionId>(1));
  EXPECT_EQ(record.PartitionOf("m").partition, IdOf<PartitionId>(2));
  EXPECT_EQ(record.PartitionOf("\xff").partition, IdOf<PartitionId>(2));
}

TEST(CatalogRecords, KeysAreFoundByTheirVersion) {
  EXPECT_EQ(Container().KeysOf(1)->wrapped_kek, "kek");
  EXPECT_EQ(Container().KeysOf(1)->wrapped_name_key, "name key");
  EXPECT_TRUE(absl::IsNotFound(Container().KeysOf(2).status()));
}

}  // namespace
}  // namespace meridian::tenancy
