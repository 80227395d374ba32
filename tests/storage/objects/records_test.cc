#include "storage/objects/records.h"

#include <gtest/gtest.h>

#include <string>

namespace meridian::objects {
namespace {

std::string Bytes(std::initializer_list<int> bytes) {
  return std::string(bytes.begin(), bytes.end());
}

// The stored form of version 2: later versions must read it.
TEST(Records, HaveTheGoldenBytes) {
  pb::Command command;
  command.set_keep_versions(true);
  command.set_versioning_generation(3);
  command.mutable_maintain();
  EXPECT_EQ(EncodeRecord(command), Bytes({0x08, 2, 0x20, 1, 0x30, 3, 0x9a, 1, 0}));
  pb::PartitionMeta meta;
  meta.set_keep_versions(true);
  meta.set_versioning_generation(3);
  EXPECT_EQ(EncodeRecord(meta), Bytes({0x08, 3, 0x38, 1, 0x40, 3}));
  pb::UploadRecord upload;
  upload.set_mac("m");
  upload.set_progress_mac("p");
  EXPECT_EQ(EncodeRecord(upload), Bytes({0x08, 2, 0x7a, 1, 'm', 0x82, 1, 1, 'p'}));
  pb::Manifest manifest;
  manifest.set_size_bytes(5);
  EXPECT_EQ(EncodeRecord(manifest), Bytes({0x08, 1, 0x10, 5}));
}

TEST(Records, OfEarlierFormatsAreRead) {
  const auto command = DecodeRecord<pb::Command>(Bytes({0x08, 1, 0x20, 1, 0x9a, 1, 0}));
  ASSERT_TRUE(command.ok()) << command.status();
  EXPECT_TRUE(command->keep_versions());
  EXPECT_EQ(command->versioning_generation(), 0u);
  EXPECT_TRUE(DecodeRecord<pb::PartitionMeta>(Bytes({0x08, 1})).ok());
  EXPECT_TRUE(DecodeRecord<pb::UploadRecord>(Bytes({0x08, 1})).ok());
}

TEST(Records, OfUnknownFormatsAreRefused) {
  for (const int version : {0, 3, 4}) {
    EXPECT_TRUE(absl::IsDataLoss(DecodeRecord<pb::Command>(Bytes({0x08, version})).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord<pb::Manifest>(Bytes({0x08, 2})).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord<pb::Manifest>("").status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeRecord<pb::Manifest>("garbage").status()));
}

}  // namespace
}  // namespace meridian::objects
