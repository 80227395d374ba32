// The bytes on disk, fixed: a change here is a change of format and needs a new version.
#include "storage/extents/format.h"

#include <string>

#include "absl/strings/escaping.h"
#include "base/crc32c.h"
#include "base/random.h"
#include "base/status.h"
#include "crypto/node_key.h"
#include "gtest/gtest.h"
#include "storage/journal/format.h"
#include "storage/journal/group_builder.h"
#include "storage/node_record_sealers.h"

namespace meridian::storage {
namespace {

std::string Hex(std::string_view bytes) { return absl::BytesToHexString(ToAbsl(bytes)); }

template <typename Id>
Id IdOf(char c) {
  return *Id::FromBytes(std::string(16, c));
}

journal_format::SegmentHeader ASegmentHeader() {
  return {.segment = 3,
          .disk_id = IdOf<DiskId>('d'),
          .life = 0x1122334455667788,
          .previous_life = 5,
          .first_group = 6,
          .previous_digest = 7,
          .segment_bytes = 1 << 20,
          .oldest_life = 4,
          .written_blocks = 9,
          .salt = std::string(32, 's')};
}

TEST(JournalFormat, SegmentHeaderIsFixed) {
  const std::string block = journal_format::EncodeSegmentHeader(ASegmentHeader());
  ASSERT_EQ(block.size(), 512u);
  EXPECT_EQ(Hex(block.substr(0, 112)),
            "8e18222c4d4a53470100000003000000646464646464646464646464646464648877665544332211"
            "05000000000000000600000000000000070000000000100004000000000000000900000000000000"
            "7373737373737373737373737373737373737373737373737373737373737373");
  EXPECT_EQ(block.substr(112), std::string(400, '\0'));
  EXPECT_EQ(*journal_format::DecodeSegmentHeader(block), ASegmentHeader());
}

TEST(JournalFormat, RefusesADamagedOrLaterSegmentHeader) {
  const std::string block = journal_format::EncodeSegmentHeader(ASegmentHeader());
  for (size_t i = 0; i < block.size(); ++i) {
    std::string damaged = block;
    damaged[i] ^= 4;
    EXPECT_TRUE(absl::IsDataLoss(journal_format::DecodeSegmentHeader(damaged).status()));
  }
  EXPECT_TRUE(absl::IsDataLoss(journal_format::DecodeSegmentHeader(block.substr(1)).status()));
  std::string later = block;
  later[8] = 2;
  const uint32_t crc32c = Crc32c(std::string_view(later).substr(4));
  later.replace(0, 4, reinterpret_cast<const char*>(&crc32c), 4);
  EXPECT_TRUE(absl::IsFailedPrecondition(journal_format::DecodeSegmentHeader(later).status()));
}

TEST(JournalFormat, GroupIsFixed) {
  const crypto::NodeKey key(*crypto::SecretKey::FromBytes(std::string(32, 'k')));
  const NodeRecordSealers sealers(key);
  const auto sealer = *sealers.NewSealer(IdOf<DiskId>('d'), std::string(32, 's'));
  const journal_format::BlockFormat format(IdOf<DiskId>('d'), 3);
  GroupBuilder builder(format, 16, 2 * journal_format::kRecordOverheadBytes + 505);
  EXPECT_EQ(builder.Add({.type = 7,
                         .owner = IdOf<ReplicaId>('o'),
                         .payload = {Buffer::FromString("he"), Buffer::FromString("llo")}},
                        1, *sealer),
            8u * 488 + 32);
  EXPECT_EQ(
      builder.Add({.type = 8, .owner = {}, .payload = {Buffer::FromString(std::string(500, 'x'))}},
                  2, *sealer),
      8u * 488 + 32 + 53);
  EXPECT_EQ(builder.Finish({.life = 9, .number = 10, .previous_digest = 11}), 3096479210u);
  const std::string image(builder.image());
  ASSERT_EQ(image.size(), 4096u);
  EXPECT_EQ(Hex(image.substr(0, 112)),
            "fbf57edc1000000009000000000000000a000000000000004d4a4752010000000800000059020000"
            "020000000b0000000900000000000000070100000500000001000000000000006f6f6f6f6f6f6f6f"
            "6f6f6f6f6f6f6f6f09dd90b47f022b84b99fcbec9e0c0af7b39fff9092080100");
  EXPECT_EQ(Hex(image.substr(512, 32)),
            "4d2e9be51100000009000000000000000a0000000000000050f3a2c3d0c1a67c");
  EXPECT_EQ(Crc32c(image), 17179336u);
}

TEST(JournalFormat, ABlockVerifiesOnlyInItsPlace) {
  const journal_format::BlockFormat format(IdOf<DiskId>('d'), 3);
  std::string block(512, 'x');
  format.Finish(20, 5, 6, block.data());
  const auto info = format.Check(20, block);
  ASSERT_TRUE(info.has_value());
  EXPECT_EQ(info->life, 5u);
  EXPECT_EQ(info->group, 6u);
  EXPECT_FALSE(format.Check(21, block).has_value());
  EXPECT_FALSE(journal_format::BlockFormat(IdOf<DiskId>('d'), 4).Check(20, block).has_value());
  EXPECT_FALSE(journal_format::BlockFormat(IdOf<DiskId>('e'), 3).Check(20, block).has_value());
}

extent_format::RecordHeader ARecordHeader() {
  return {.identity = {.container = IdOf<ContainerId>('c'),
                       .chunk = {.run = IdOf<RunId>('r'), .number = 0x01020304},
                       .crc32c = 0xa1b2c3d4},
          .location = {.extent = 5, .generation = 6, .offset = 8192, .length = 1000}};
}

TEST(ExtentFormat, FileHeaderIsFixed) {
  const extent_format::FileHeader header{
      .extent = 5, .disk_id = IdOf<DiskId>('d'), .generation = 6, .size_bytes = 64 << 20};
  const std::string bytes = extent_format::EncodeFileHeader(header);
  EXPECT_EQ(Hex(bytes.substr(0, 48)),
            "e383da874d4558460100000005000000646464646464646464646464646464640600000000000000"
            "0000000400000000");
  EXPECT_EQ(bytes.substr(48), std::string(464, '\0'));
  EXPECT_EQ(*extent_format::DecodeFileHeader(bytes), header);
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(extent_format::DecodeFileHeader(damaged).status()));
  }
}

TEST(ExtentFormat, RecordHeaderIsFixed) {
  std::string bytes(extent_format::kRecordHeaderBytes, '\0');
  extent_format::EncodeRecordHeader(IdOf<DiskId>('d'), ARecordHeader(), bytes.data());
  EXPECT_EQ(Hex(bytes),
            "655ca0254d4558520100000005000000060000000000000000200000000000006363636363636363"
            "63636363636363637272727272727272727272727272727204030201e8030000d4c3b2a100000000");
  EXPECT_EQ(*extent_format::DecodeRecordHeader(IdOf<DiskId>('d'), bytes), ARecordHeader());
  EXPECT_TRUE(
      absl::IsDataLoss(extent_format::DecodeRecordHeader(IdOf<DiskId>('e'), bytes).status()));
  for (size_t i = 0; i < bytes.size(); ++i) {
    std::string damaged = bytes;
    damaged[i] ^= 1;
    EXPECT_TRUE(
        absl::IsDataLoss(extent_format::DecodeRecordHeader(IdOf<DiskId>('d'), damaged).status()));
  }
}

}  // namespace
}  // namespace meridian::storage
