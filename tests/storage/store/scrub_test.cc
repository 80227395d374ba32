// The disk verified in the background, in the strand's time: it jumps to what is waited for.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/fakes/fault_disk.h"
#include "tests/storage/store/disk_store_harness.h"

namespace meridian::storage {
namespace {

constexpr size_t kKib = 1 << 10;

class Scrub : public testing::Test {
 protected:
  Scrub() {
    harness_.UseFaultDisk(&disk_);
    harness_.options().on_out_of_service = [this](const absl::Status&) {
      out_of_service_ = true;
      harness_.strand().Post([] {});  // for RunUntil to look
    };
    harness_.Open();
  }

  // From the next opening on.
  void ScrubAt(uint64_t bytes_per_second) {
    harness_.options().scrub.bytes_per_second = bytes_per_second;
  }
  ScrubStatus status() { return harness_.store().scrub(); }
  void RunUntil(const std::function<bool(const ScrubStatus&)>& holds) {
    harness_.strand().RunUntil([&] { return holds(status()); });
  }
  // Until a pass has ended that began after this call.
  void RunPass() {
    const uint64_t from = passes_ended();
    harness_.strand().RunUntil([&] { return passes_ended() >= from + 2; });
  }
  uint64_t passes_ended() {
    const absl::Time end = status().last_pass_end;
    if (end != last_end_) ++ended_;
    last_end_ = end;
    return ended_;
  }
  std::vector<std::string> Names(const std::string& dir) {
    return harness_.disk().List(dir).value();
  }
  std::string RandomBytes(size_t size) {
    std::vector<uint8_t> bytes(size);
    harness_.random().Fill(bytes);
    return std::string(bytes.begin(), bytes.end());
  }
  ChunkId WriteChunk(const std::string& bytes) {
    const ChunkId chunk{.run = RunId::Draw(harness_.random()), .number = 0};
    const absl::Status written = harness_.WriteChunk(chunk, bytes);
    EXPECT_TRUE(written.ok()) << written;
    return chunk;
  }
  void FlipBitOf(const std::string& bytes) {
    for (const std::string& name : Names("extents")) {
      const std::string path = absl::StrCat("extents/", name);
      const size_t at = disk_.Contents(path).find(bytes);
      if (at != std::string::npos) return disk_.FlipBit(path, at + bytes.size() / 2, 3);
    }
    ADD_FAILURE() << "the bytes are nowhere";
  }
  uint64_t corrupt() { return harness_.store().Stats()->corrupt_reads; }

  FaultDisk disk_{1};
  std::atomic<bool> out_of_service_{false};
  uint64_t ended_ = 0;
  absl::Time last_end_ = absl::InfinitePast();
  DiskStoreHarness harness_;
};

TEST_F(Scrub, AFlippedBitInAChunkThatNobodyReadsIsFoundAndRepaired) {
  ScrubAt(1 << 20);
  harness_.Crash();
  std::vector<std::string> bytes;
  std::vector<ChunkId> chunks;
  for (int i = 0; i < 5; ++i) {
    bytes.push_back(RandomBytes(100 * kKib));
    chunks.push_back(WriteChunk(bytes.back()));
  }
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  FlipBitOf(bytes[3].substr(0, 64));
  const uint64_t live_before = harness_.store().Stats()->chunk_live_bytes;
  RunPass();
  EXPECT_EQ(corrupt(), 1u);
  EXPECT_EQ(harness_.store().Stats()->lost_chunks, 1u);
  EXPECT_EQ(harness_.storage().ListLost(std::nullopt, 10), std::vector<ChunkId>{chunks[3]});
  EXPECT_TRUE(absl::IsDataLoss(harness_.storage().ReadChunk(chunks[3], 0, 1).status()));
  RunPass();
  EXPECT_EQ(corrupt(), 1u);  // once

  ASSERT_TRUE(harness_.RepairChunk(chunks[3], bytes[3]).ok());
  RunPass();
  EXPECT_EQ(corrupt(), 1u);
  EXPECT_EQ(harness_.store().Stats()->lost_chunks, 0u);
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(harness_.storage().ReadChunk(chunks[i], 0, bytes[i].size())->view(), bytes[i]);
  }
  // Its first place was given back.
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  EXPECT_EQ(harness_.store().Stats()->chunk_live_bytes, live_before);
}

TEST_F(Scrub, ASectorThatCannotBeReadIsAsGoodAsDamagedAndOneThatFailsOnceIsNot) {
  ScrubAt(1 << 20);
  harness_.Crash();
  const std::string bytes = RandomBytes(100 * kKib);
  const ChunkId chunk = WriteChunk(bytes);
  disk_.FailOnce(FaultDisk::Op::kRead, "extents");
  RunPass();
  EXPECT_EQ(corrupt(), 0u);
  for (const std::string& name : Names("extents")) {
    disk_.BreakSectors(absl::StrCat("extents/", name), 8 * kKib, kKib);
  }
  RunPass();
  EXPECT_EQ(corrupt(), 1u);
  EXPECT_EQ(harness_.storage().ListLost(std::nullopt, 10), std::vector<ChunkId>{chunk});
  EXPECT_TRUE(harness_.store().health().ok());
}

TEST_F(Scrub, ReadsNoFasterThanItsRate) {
  for (int i = 0; i < 10; ++i) WriteChunk(RandomBytes(200 * kKib));
  ScrubAt(100 * kKib);
  const absl::Duration begin = harness_.strand().MonotonicNow();
  harness_.Crash();
  // The first one is read at once. (After the last one, time jumps to the next pass.)
  RunUntil([](const ScrubStatus& s) { return s.verified_bytes >= 1800 * kKib; });
  EXPECT_GE(harness_.strand().MonotonicNow() - begin, absl::Seconds(16));
  EXPECT_LE(harness_.strand().MonotonicNow() - begin, absl::Seconds(25));
}

TEST_F(Scrub, ARestartGoesOnWithThePassAndShowsIt) {
  for (int i = 0; i < 10; ++i) WriteChunk(RandomBytes(200 * kKib));
  ScrubAt(10 * kKib);  // 20 s a chunk
  harness_.Crash();
  RunUntil([](const ScrubStatus& s) { return s.verified_bytes >= 1200 * kKib; });
  const ScrubStatus before = status();
  EXPECT_TRUE(before.running);
  EXPECT_NEAR(before.progress, 0.6, 0.15);
  harness_.Crash();
  const ScrubStatus after = status();
  EXPECT_TRUE(after.running);
  EXPECT_EQ(after.pass_begin, before.pass_begin);
  // No more than a minute of it is verified again.
  EXPECT_GE(after.verified_bytes + 800 * kKib, before.verified_bytes);
  EXPECT_EQ(after.last_pass_end, absl::InfinitePast());
  RunUntil([](const ScrubStatus& s) { return s.last_pass_end != absl::InfinitePast(); });
  harness_.Crash();
  EXPECT_GE(status().last_pass_end, before.pass_begin);
}

TEST_F(Scrub, ADamagedStateOfTheScrubOnlyBeginsThePassAnew) {
  ScrubAt(1 << 20);
  harness_.Crash();
  RunPass();
  disk_.FlipBit("scrub", 20, 1);
  harness_.Crash();
  RunPass();
  EXPECT_TRUE(harness_.store().health().ok());
}

// I10: neither the log's entry nor its body is kept as if it were whole.
TEST_F(Scrub, DamageInTheJournalIsFoundAndTheLogGoesOnBehindIt) {
  ScrubAt(1 << 20);
  harness_.Crash();
  std::vector<std::string> before;
  const std::vector<std::string> names = Names("journal");
  for (const std::string& name : names) before.push_back(disk_.Contents("journal/" + name));
  const RunId run = RunId::Draw(harness_.random());
  const std::string body(60000, 'b');
  PersistRequest request;
  request.entries.push_back(DiskStoreHarness::WithBody(DiskStoreHarness::Entry(1, 1), run, body));
  ASSERT_TRUE(harness_.Persist(std::move(request)).ok());
  ASSERT_TRUE(
      harness_.Persist({.hard_state = {}, .entries = {DiskStoreHarness::Entry(1, 2)}}).ok());
  for (size_t i = 0; i < names.size(); ++i) {
    const std::string after = disk_.Contents("journal/" + names[i]);
    if (after == before[i]) continue;
    const auto first = std::mismatch(after.begin(), after.end(), before[i].begin()).first;
    disk_.FlipBit("journal/" + names[i],
                  static_cast<uint64_t>(first - after.begin()) + body.size() / 2, 4);
  }
  // Not applied: it is needed here, and who applies it tells.
  RunPass();
  EXPECT_EQ(harness_.storage().base_index(), LogIndex(0));
  EXPECT_EQ(harness_.store().Stats()->lost_chunks, 1u);
  ASSERT_TRUE(harness_.storage().Apply(KvBatch(), LogIndex(2), Timestamp(1002)).ok());
  RunPass();
  EXPECT_EQ(harness_.storage().base_index(), LogIndex(1));
  EXPECT_EQ(corrupt(), 2u);  // the entry, and its body
  EXPECT_EQ(harness_.storage().ReadLog(LogIndex(2), LogIndex(2), 1)->size(), 1u);
  ASSERT_TRUE(harness_.WriteChunk({.run = run, .number = 0}, body).ok());
  EXPECT_EQ(harness_.store().Stats()->lost_chunks, 0u);
}

// Rows cannot be mended one by one: the disk's replicas are made anew elsewhere.
TEST_F(Scrub, AFlippedBitInARocksDbFileTakesTheDiskOutOfService) {
  KvBatch rows;
  for (int i = 0; i < 2000; ++i) rows.Put(absl::StrCat("o", i), RandomBytes(100));
  ASSERT_TRUE(
      harness_.Persist({.hard_state = {}, .entries = {DiskStoreHarness::Entry(1, 1)}}).ok());
  ASSERT_TRUE(harness_.storage().Apply(rows, LogIndex(1), Timestamp(1001)).ok());
  ASSERT_TRUE(harness_.store().Checkpoint().ok());
  ScrubAt(1 << 20);
  harness_.Crash();
  RunPass();
  ASSERT_TRUE(harness_.store().health().ok());
  std::filesystem::path largest;
  for (const auto& file : std::filesystem::directory_iterator(harness_.options().rocks_folder)) {
    if (file.path().extension() != ".sst") continue;
    if (largest.empty() || file.file_size() > std::filesystem::file_size(largest)) largest = file;
  }
  ASSERT_GT(std::filesystem::file_size(largest), 200'000u);
  {
    std::fstream file(largest, std::ios::in | std::ios::out | std::ios::binary);
    file.seekg(100'000);
    const char byte = static_cast<char>(file.get() ^ 4);
    file.seekp(100'000);
    file.put(byte);
  }
  harness_.strand().RunUntil([&] { return out_of_service_.load(); });
  EXPECT_TRUE(out_of_service_);
  EXPECT_NE(harness_.store().health().ToString().find(largest.filename()), std::string::npos)
      << harness_.store().health();
  EXPECT_EQ(status().corrupt, 1u);
}

}  // namespace
}  // namespace meridian::storage
