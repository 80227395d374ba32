// Golden bytes: what a released version has written must stay readable.
#include "absl/strings/escaping.h"
#include "base/status.h"
#include "gtest/gtest.h"
#include "storage/store/identity.h"
#include "storage/store/records.h"
#include "storage/store/rows.h"
#include "storage/store/scrub_state.h"

namespace meridian::storage {
namespace {

std::string Hex(std::string_view bytes) { return absl::BytesToHexString(ToAbsl(bytes)); }

template <typename T>
T IdOf(char c) {
  return *T::FromBytes(std::string(16, c));
}

const DiskIdentity kIdentity = {.cluster = IdOf<ClusterId>('c'),
                                .node = "east-1a",
                                .disk = IdOf<DiskId>('d'),
                                .opening = IdOf<OpeningId>('o'),
                                .incarnation = 3,
                                .next_opening = IdOf<OpeningId>('n'),
                                .initialised = true};

LogEntry MakeEntry() {
  LogEntry entry;
  entry.epoch = Epoch(3);
  entry.index = LogIndex(7);
  entry.timestamp = Timestamp(1000);
  entry.kind = LogEntry::Kind::kCommand;
  entry.command = "cmd";
  entry.inline_body = Buffer::FromString("body");
  entry.inline_run = IdOf<RunId>('r');
  entry.inline_crc32c = 0x01020304;
  entry.chunks = {{.run = IdOf<RunId>('s'), .first = 2, .count = 5}};
  return entry;
}

const ChunkLocation kPlace = {.extent = 1, .generation = 2, .offset = 4096, .length = 9};
const RecordLocation kRecord = {.segment = 1, .life = 2, .offset = 3, .length = 4};

TEST(Identity, MatchesTheGoldenBytes) {
  EXPECT_EQ(Hex(EncodeIdentity(kIdentity)),
            "4d52444e4449534b0300000063636363636363636363636363636363646464646464646464646464646464"
            "6403000000000000006f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6f6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e6e0107"
            "656173742d3161cc0b1644");
  EXPECT_EQ(*DecodeIdentity(EncodeIdentity(kIdentity)), kIdentity);
}

// Of a disk whose openings nobody recorded.
TEST(Identity, OfVersion2IsRead) {
  const std::string bytes = absl::HexStringToBytes(
      "4d52444e4449534b0200000063636363636363636363636363636363646464646464646464646464646464"
      "6403000000000000000107656173742d3161a56436fc");
  DiskIdentity identity = kIdentity;
  identity.opening = identity.next_opening = OpeningId();
  identity.incarnation = 0;
  EXPECT_EQ(*DecodeIdentity(bytes), identity);
}

TEST(Identity, EveryFlippedOrMissingByteIsFound) {
  const std::string good = EncodeIdentity(kIdentity);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(DecodeIdentity(bad).status())) << i;
    EXPECT_TRUE(absl::IsDataLoss(DecodeIdentity(good.substr(0, i)).status())) << i;
  }
}

const ScrubState kScrub = {.phase = ScrubState::Phase::kChunks,
                           .table = 1,
                           .table_limit = 2,
                           .chunk = "key",
                           .pass_begin_us = 3,
                           .last_pass_end_us = 4,
                           .verified_bytes = 5,
                           .total_bytes = 6,
                           .corrupt = 7,
                           .corrupt_before = 8};

TEST(ScrubState, MatchesTheGoldenBytes) {
  const std::string bytes = EncodeScrubState(kScrub);
  EXPECT_EQ(Hex(bytes.substr(0, bytes.size() - 4)),
            "4d52444e53435242"
            "01000000"
            "03"
            "0100000000000000"
            "0200000000000000"
            "036b6579"
            "0300000000000000"
            "0400000000000000"
            "0500000000000000"
            "0600000000000000"
            "0700000000000000"
            "0800000000000000");
  EXPECT_EQ(*DecodeScrubState(bytes), kScrub);
}

TEST(ScrubState, EveryFlippedOrMissingByteIsFound) {
  const std::string good = EncodeScrubState(kScrub);
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    EXPECT_TRUE(absl::IsDataLoss(DecodeScrubState(bad).status())) << i;
    EXPECT_TRUE(absl::IsDataLoss(DecodeScrubState(good.substr(0, i)).status())) << i;
  }
}

TEST(Records, MatchTheGoldenBytes) {
  EXPECT_EQ(Hex(EncodeHardState(Epoch(5))),
            "01"
            "0500000000000000");
  EXPECT_EQ(Hex(EncodeTruncate(LogIndex(6))),
            "01"
            "0600000000000000");
  EXPECT_EQ(Hex(EncodeEntryHead(MakeEntry())),
            "01"
            "0300000000000000"
            "0700000000000000"
            "e803000000000000"
            "01"
            "72727272727272727272727272727272"
            "04030201"
            "03000000"
            "04000000"
            "01000000"
            "73737373737373737373737373737373"
            "02000000"
            "05000000"
            "636d64");
  EXPECT_EQ(Hex(EncodeChunkPlaced({.chunk = {.run = IdOf<RunId>('r'), .number = 3},
                                   .replaces = true,
                                   .first_written = Timestamp(1000),
                                   .crc32c = 0x01020304,
                                   .location = kPlace})),
            "01"
            "72727272727272727272727272727272"
            "03000000"
            "01"
            "e803000000000000"
            "04030201"
            "01000000"
            "0200000000000000"
            "0010000000000000"
            "09000000");
  EXPECT_EQ(Hex(EncodeReplicaCreated(
                {.partition = IdOf<PartitionId>('p'), .container = IdOf<ContainerId>('c')})),
            "01"
            "70707070707070707070707070707070"
            "63636363636363636363636363636363");
  EXPECT_EQ(Hex(EncodeEmpty()), "01");
}

TEST(Records, AnEntryRoundTripsWithAndWithoutItsBody) {
  const LogEntry entry = MakeEntry();
  const std::string head = EncodeEntryHead(entry);
  const Buffer payload = Buffer::FromString(head + "body");
  const auto whole = DecodeEntry(payload);
  ASSERT_TRUE(whole.ok()) << whole.status();
  EXPECT_EQ(whole->command, "cmd");
  EXPECT_EQ(whole->inline_body.view(), "body");
  EXPECT_EQ(whole->inline_run, entry.inline_run);
  EXPECT_EQ(whole->chunks, entry.chunks);
  EXPECT_TRUE(DecodeEntry(Buffer::FromString(head))->inline_body.empty());
  const auto header = DecodeEntryHeader(head);
  ASSERT_TRUE(header.ok());
  EXPECT_EQ(header->body_offset, head.size());
  EXPECT_EQ(header->inline_size, 4u);
}

TEST(Records, AShortOrLongPayloadIsDamage) {
  const std::string entry = EncodeEntryHead(MakeEntry()) + "body";
  for (size_t size = 0; size < entry.size(); ++size) {
    const auto decoded = DecodeEntry(Buffer::FromString(entry.substr(0, size)));
    if (size == entry.size() - 4) continue;  // its head alone
    EXPECT_TRUE(absl::IsDataLoss(decoded.status())) << size;
  }
  EXPECT_TRUE(absl::IsDataLoss(DecodeEntry(Buffer::FromString(entry + "x")).status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeHardState("\1short").status()));
  EXPECT_TRUE(absl::IsDataLoss(DecodeChunkPlaced("").status()));
}

TEST(Records, ANewerVersionIsNotMistakenForDamage) {
  std::string record = EncodeHardState(Epoch(5));
  record[0] = 2;
  EXPECT_TRUE(absl::IsFailedPrecondition(DecodeHardState(record).status()));
}

TEST(Rows, MatchTheGoldenBytes) {
  const ReplicaOnDisk replica = {.replica = IdOf<ReplicaId>('r'),
                                 .partition = IdOf<PartitionId>('p'),
                                 .container = IdOf<ContainerId>('c')};
  EXPECT_EQ(Hex(EncodePosition({.group = 5, .records = 2})),
            "02"
            "0500000000000000"
            "02000000");
  EXPECT_EQ(RangeKey(replica), "c" + std::string(16, 'c') + std::string(16, 'p'));
  EXPECT_EQ(Hex(EncodeRange(replica)),
            "02"
            "72727272727272727272727272727272");
  EXPECT_EQ(*DecodeRange(RangeKey(replica), EncodeRange(replica)), replica);
  EXPECT_EQ(StatePrefix(replica), std::string(16, 'c') + std::string(16, 'p'));
  EXPECT_EQ(Hex(EncodeBase({.index = LogIndex(4), .epoch = Epoch(2)})),
            "02"
            "0400000000000000"
            "0200000000000000");
  EXPECT_EQ(Hex(EncodeApplied({.index = LogIndex(4), .timestamp = Timestamp(9)})),
            "02"
            "0400000000000000"
            "0900000000000000");
  EXPECT_EQ(LogKey(replica, LogIndex(258)),
            std::string(16, 'c') + std::string(16, 'p') + std::string("\0\0\0\0\0\0\1\2", 8));
  EXPECT_EQ(ChunkKey(replica.container, {.run = IdOf<RunId>('r'), .number = 258}),
            std::string(16, 'c') + std::string(16, 'r') + std::string("\0\0\1\2", 4));
}

TEST(Rows, ARowOfAnotherVersionIsNotMistakenForDamage) {
  for (const char version : {1, 3}) {
    std::string row = EncodePosition({.group = 5, .records = 2});
    row[0] = version;
    EXPECT_TRUE(absl::IsFailedPrecondition(DecodePosition(row).status()));
  }
}

TEST(Rows, LogRowsMatchTheGoldenBytesAndRoundTrip) {
  LogRow row = {.place = EntryPlace::kJournal,
                .epoch = Epoch(3),
                .timestamp = Timestamp(1000),
                .inline_run = IdOf<RunId>('r'),
                .record = kRecord,
                .head = {}};
  EXPECT_EQ(Hex(EncodeLogRow(row)),
            "02"
            "01"
            "0300000000000000"
            "e803000000000000"
            "72727272727272727272727272727272"
            "01000000"
            "0200000000000000"
            "0300000000000000"
            "04000000");
  EXPECT_EQ(*DecodeLogRow(EncodeLogRow(row)), row);
  row.place = EntryPlace::kRow;
  row.record = {};
  row.head = "head";
  EXPECT_EQ(*DecodeLogRow(EncodeLogRow(row)), row);
}

TEST(Rows, ChunkRowsMatchTheGoldenBytesAndRoundTrip) {
  ChunkRow row = {.place = ChunkPlace::kJournal,
                  .size_bytes = 9,
                  .crc32c = 0x01020304,
                  .first_written = Timestamp(1000),
                  .partition = IdOf<PartitionId>('p'),
                  .record = kRecord,
                  .body_offset = 77,
                  .extent = {}};
  EXPECT_EQ(Hex(EncodeChunkRow(row)),
            "02"
            "01"
            "09000000"
            "04030201"
            "e803000000000000"
            "70707070707070707070707070707070"
            "01000000"
            "0200000000000000"
            "0300000000000000"
            "04000000"
            "4d000000");
  EXPECT_EQ(*DecodeChunkRow(EncodeChunkRow(row)), row);
  row.place = ChunkPlace::kExtent;
  row.record = {};
  row.body_offset = 0;
  row.extent = kPlace;
  EXPECT_EQ(Hex(EncodeChunkRow(row)),
            "02"
            "02"
            "09000000"
            "04030201"
            "e803000000000000"
            "70707070707070707070707070707070"
            "01000000"
            "0200000000000000"
            "0010000000000000"
            "09000000");
  EXPECT_EQ(*DecodeChunkRow(EncodeChunkRow(row)), row);
  EXPECT_TRUE(absl::IsDataLoss(DecodeChunkRow(EncodeChunkRow(row) + "x").status()));
}

}  // namespace
}  // namespace meridian::storage
