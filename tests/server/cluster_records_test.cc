#include "server/cluster_records.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace meridian::server {
namespace {

TEST(ClusterRecords, AreReadAsWritten) {
  SeededRandom random(1);
  const NodeRecord node{"127.0.0.1:1", "127.0.0.1:2", {DiskId::Draw(random), DiskId::Draw(random)}};
  EXPECT_EQ(*DecodeNodeRecord(EncodeNodeRecord(node)), node);
  NodeRecord next = node;
  next.newest_format = ClusterFormat(2);
  EXPECT_EQ(*DecodeNodeRecord(EncodeNodeRecord(next)), next);
  const PartitionRecord partition{TenantId::Draw(random), ContainerId::Draw(random), "east"};
  EXPECT_EQ(*DecodePartitionRecord(EncodePartitionRecord(partition)), partition);
}

// The record of version 1, as every later version must read it.
TEST(ClusterRecords, ADisksIsAsTheGoldenBytes) {
  DiskRecord record{"n", 300, *OpeningId::FromBytes("oooooooooooooooo"), /*removed=*/true};
  const std::string golden = "\x08\x01\x12\x01n\x18\xac\x02\x22\x10oooooooooooooooo\x28\x01";
  EXPECT_EQ(EncodeDiskRecord(record), golden);
  EXPECT_EQ(*DecodeDiskRecord(golden), record);
  record.removed = false;
  EXPECT_EQ(*DecodeDiskRecord(EncodeDiskRecord(record)), record);
  EXPECT_EQ(DecodeDiskRecord("\x08\x01").status().code(), absl::StatusCode::kDataLoss);
}

TEST(ClusterRecords, RefuseGarbageAndOtherVersions) {
  EXPECT_EQ(DecodeNodeRecord("\xff\xff").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeNodeRecord("").status().code(), absl::StatusCode::kFailedPrecondition);
  // Version 1, but without ids.
  EXPECT_EQ(DecodePartitionRecord(std::string("\x08\x01", 2)).status().code(),
            absl::StatusCode::kDataLoss);
}

// Written back, the field would be gone.
TEST(ClusterRecords, AFieldThatIsNotKnownHereIsRefused) {
  SeededRandom random(1);
  const std::string field("\xa2\x06\x01x", 4);  // 100: "x"
  EXPECT_EQ(DecodeNodeRecord(EncodeNodeRecord({}) + field).status().code(),
            absl::StatusCode::kFailedPrecondition);
  const PartitionRecord partition{TenantId::Draw(random), ContainerId::Draw(random), "east"};
  EXPECT_EQ(DecodePartitionRecord(EncodePartitionRecord(partition) + field).status().code(),
            absl::StatusCode::kFailedPrecondition);
}

TEST(ClusterRecords, KeysNameTheirPartition) {
  SeededRandom random(1);
  const PartitionId partition = PartitionId::Draw(random);
  EXPECT_EQ(PartitionOfKey(kPartitionKeyPrefix, PartitionKeyOf(partition)), partition);
  EXPECT_EQ(PartitionOfKey(kRemovedKeyPrefix, PartitionKeyOf(partition)), std::nullopt);
  EXPECT_EQ(PartitionOfKey(kPartitionKeyPrefix, "partition/12"), std::nullopt);
}

}  // namespace
}  // namespace meridian::server
