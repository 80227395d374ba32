// What the journal makes of damage (P9): a torn tail is dropped, all else is DATA_LOSS.
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/storage/journal_harness.h"

namespace meridian::storage {
namespace {

using testing::ElementsAre;

constexpr size_t kBlock = journal_format::kBlockBytes;
constexpr size_t kFirstGroup = journal_format::kFirstGroupBlock * kBlock;

// A journal of three groups in one segment; damaged and opened again and again. The last group is
// long, so that it can be torn in many ways.
class DamagedJournal : public testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(h_.Open().ok());
    // Recycled: what a write tears is then not blank but of an earlier life.
    if (GetParam()) {
      for (int i = 0; i < 40; ++i) {
        h_.journal->ReleaseBefore(h_.Append(std::string(8000, 'o'))->location.life);
      }
      // From the start of a segment on, so that all groups to come are in one.
      uint64_t life = h_.journal->SegmentsInUse().back().life;
      while (h_.Append(std::string(8000, 'o'))->location.life == life) continue;
      h_.journal->ReleaseBefore(life + 1);
      h_.options.replay_from = h_.journal->durable_group() + 1;
    }
    ASSERT_TRUE(h_.Append("first").ok());
    const auto second = h_.Append("second");
    path_ = h_.PathOf(second->location);
    second_at_ = BlockAt(second->location);
    before_ = h_.fault().Contents(path_);
    const auto third = h_.Append(std::string(9000, '3'));
    ASSERT_EQ(h_.PathOf(third->location), path_);
    third_at_ = BlockAt(third->location);
    after_ = h_.fault().Contents(path_);
    end_ = third_at_ +
           kBlock * journal_format::BlocksOfGroup(9000 + journal_format::kRecordOverheadBytes);
    h_.Close();
    const auto disk = h_.fault().Attach();
    const std::vector<std::string> names = *disk->List("journal");
    for (const std::string& name : names) {
      pristine_["journal/" + name] = h_.fault().Contents("journal/" + name);
    }
  }

  static size_t BlockAt(const RecordLocation& location) {
    return kBlock * journal_format::BlockOfStreamOffset(location.offset);
  }
  // Opens the journal as it was, but for these bytes in the segment.
  absl::Status OpenWith(const std::string& bytes) {
    h_.Close();
    const auto disk = h_.fault().Attach();
    const std::vector<std::string> names = *disk->List("journal");
    for (const std::string& name : names) {
      const std::string path = "journal/" + name;
      if (pristine_.count(path) == 0) {
        EXPECT_TRUE(disk->Remove(path).ok());
      } else {
        h_.fault().Overwrite(path, 0, pristine_[path]);
      }
    }
    h_.fault().Overwrite(path_, 0, bytes);
    return h_.Open();
  }

  JournalHarness h_;
  std::string path_;
  std::string before_;  // the segment before the third group was written
  std::string after_;
  size_t second_at_ = 0;
  size_t third_at_ = 0;
  size_t end_ = 0;
  std::map<std::string, std::string> pristine_;  // every segment's bytes
};

TEST_P(DamagedJournal, IsWholeWithoutDamage) {
  ASSERT_TRUE(OpenWith(after_).ok());
  EXPECT_THAT(h_.ReplayedPayloads(), ElementsAre("first", "second", std::string(9000, '3')));
}

TEST_P(DamagedJournal, DropsALastGroupOfWhichAnySubsetOfBlocksIsMissing) {
  SeededRandom random(5);
  for (int round = 0; round < 200; ++round) {
    std::string torn = after_;
    bool missing = false;
    for (size_t at = third_at_; at < end_; at += kBlock) {
      if (random.Uniform(1 + round % 8) != 0) continue;
      torn.replace(at, kBlock, before_, at, kBlock);
      missing = true;
    }
    const absl::Status opened = OpenWith(torn);
    ASSERT_TRUE(opened.ok()) << opened;
    EXPECT_EQ(h_.replayed.size(), missing ? 2u : 3u);
    EXPECT_TRUE(h_.Append("goes on").ok());
    const size_t before = h_.replayed.size();
    ASSERT_TRUE(h_.Open().ok());
    EXPECT_EQ(h_.replayed.size(), before + 1);
  }
}

TEST_P(DamagedJournal, ABitFlippedInAnyBlockIsDataLoss) {
  SeededRandom random(6);
  for (size_t at = 0; at < after_.size(); at += kBlock) {
    // Of the header unit, only the header block says anything.
    if (at > 0 && at < kFirstGroup) continue;
    std::string flipped = after_;
    flipped[at + random.Uniform(kBlock)] ^= static_cast<char>(1 << random.Uniform(8));
    EXPECT_TRUE(absl::IsDataLoss(OpenWith(flipped))) << "block at " << at;
  }
}

TEST_P(DamagedJournal, AMiddleGroupThatIsGoneIsDataLoss) {
  // As it was before it was written: every block is valid-old, and yet this is no tail.
  std::string lost = after_;
  for (size_t at = second_at_; at < third_at_; ++at) lost[at] = 0;
  EXPECT_TRUE(absl::IsDataLoss(OpenWith(lost)));
}

TEST_P(DamagedJournal, AGroupMisplacedByABlockIsDataLoss) {
  std::string misplaced = after_;
  misplaced.replace(third_at_, 8 * kBlock, after_, second_at_, 8 * kBlock);
  EXPECT_TRUE(absl::IsDataLoss(OpenWith(misplaced)));
}

TEST_P(DamagedJournal, AZeroedBlockOfTheTailIsDataLossWhereABlankOneCannotBe) {
  std::string zeroed = after_;
  zeroed.replace(third_at_ + kBlock, kBlock, kBlock, '\0');
  const absl::Status opened = OpenWith(zeroed);
  if (GetParam()) {
    EXPECT_TRUE(absl::IsDataLoss(opened));
  } else {
    // In the file's first life, zeros are what was there before.
    EXPECT_TRUE(opened.ok());
  }
}

TEST_P(DamagedJournal, AFileCutShortIsDataLoss) {
  const auto disk = h_.fault().Attach();
  for (const size_t size : {size_t{0}, size_t{100}, kFirstGroup, third_at_ + kBlock}) {
    ASSERT_TRUE(disk->Remove(path_).ok());
    const auto file = disk->Open(path_, {.create = true});
    ASSERT_TRUE((*file)->Write(0, after_.substr(0, size)).ok());
    EXPECT_TRUE(absl::IsDataLoss(h_.Open())) << size;
  }
}

INSTANTIATE_TEST_SUITE_P(FirstAndLaterLife, DamagedJournal, testing::Bool(),
                         [](const auto& info) { return info.param ? "Recycled" : "New"; });

TEST(JournalRecovery, AMissingSegmentIsDataLoss) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  std::vector<RecordLocation> locations;
  for (int i = 0; i < 20; ++i) locations.push_back(h.Append(std::string(8000, 'x'))->location);
  ASSERT_LT(locations.front().life + 1, locations.back().life);
  h.Close();
  const auto disk = h.fault().Attach();
  ASSERT_TRUE(disk->Remove(h.PathOf(locations.front())).ok());
  EXPECT_TRUE(absl::IsDataLoss(h.Open()));
}

TEST(JournalRecovery, ADamagedGroupInAnEarlierSegmentIsDataLossAndNoTail) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  std::vector<RecordLocation> locations;
  for (int i = 0; i < 20; ++i) locations.push_back(h.Append(std::string(8000, 'x'))->location);
  h.Close();
  // The last group of the first segment, as if it had never been written.
  const RecordLocation* last = nullptr;
  for (const auto& location : locations) {
    if (location.life == locations.front().life) last = &location;
  }
  const size_t at = kBlock * journal_format::BlockOfStreamOffset(last->offset);
  h.fault().Overwrite(h.PathOf(*last), at, std::string(8192, '\0'));
  EXPECT_TRUE(absl::IsDataLoss(h.Open()));
}

TEST(JournalRecovery, RefusesAGroupOfAnOlderSegmentLife) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const RecordLocation old = h.Append(std::string(3000, 'o'))->location;
  const std::string old_bytes = h.fault().Contents(h.PathOf(old));
  RecordLocation now = old;
  // Until the file is in use again.
  while (now.segment != old.segment || now.life == old.life) {
    now = h.Append(std::string(3000, 'n'))->location;
    h.journal->ReleaseBefore(now.life);
  }
  h.options.replay_from = h.journal->durable_group();
  ASSERT_TRUE(h.Append(std::string(3000, 'n')).ok());
  h.Close();
  // Stale blocks of the older life, at the place where they once were valid.
  const size_t at = kBlock * journal_format::BlockOfStreamOffset(old.offset);
  h.fault().Overwrite(h.PathOf(old), at, old_bytes.substr(at, 4096));
  EXPECT_TRUE(absl::IsDataLoss(h.Open()));
}

TEST(JournalRecovery, AWriteThatLandedElsewhereIsDataLossOnceAnotherFollowed) {
  for (const int64_t delta : {int64_t{0}, int64_t{4096}}) {
    JournalHarness h;
    ASSERT_TRUE(h.Open().ok());
    ASSERT_TRUE(h.Append("one").ok());
    h.fault().MisdirectNextWrite("journal/", delta);
    ASSERT_TRUE(h.Append("two").ok());
    ASSERT_TRUE(h.Append("three").ok());
    EXPECT_TRUE(absl::IsDataLoss(h.Open()));
  }
}

// Kill points: appends, releases and restarts on one disk, with the power cut within a random
// operation each time. Every acknowledged record that was not released is there, in order, and
// nothing is there that was not appended.
struct CrashRun {
  explicit CrashRun(uint64_t seed) : h(seed), random(seed * 7919) {
    h.options.max_segments = 1000;  // releases are by chance: an append must not wait for one
  }

  // False: acknowledged records are missing, or the journal does not open.
  bool Round() {
    if (const absl::Status opened = h.Open(); !opened.ok()) {
      if (h.fault().power_is_off()) return true;  // cut while it opened
      failure = opened.ToString();
      return false;
    }
    if (!CheckReplay()) return false;
    h.fault().CutPowerAfter(1 + random.Uniform(25));
    while (!h.fault().power_is_off()) {
      const std::string payload = std::to_string(++last) + std::string(random.Uniform(9000), 'x');
      appended[last] = payload;
      const auto result = h.Append(payload);
      if (!result.ok()) break;
      acknowledged[last] = *result;
      if (random.Uniform(12) == 0) Release(result->location.life);
    }
    h.Close();
    return true;
  }

  // As a user that has flushed all before that life.
  void Release(uint64_t life) {
    for (const SegmentInfo& segment : h.journal->SegmentsInUse()) {
      if (segment.life == life) h.options.replay_from = segment.first_group;
    }
    h.journal->ReleaseBefore(life);
    std::erase_if(acknowledged, [&](const auto& a) { return a.second.location.life < life; });
  }

  bool CheckReplay() {
    uint64_t previous = 0;
    std::set<uint64_t> found;
    for (const auto& record : h.replayed) {
      const uint64_t number = std::stoull(record.payload);
      if (number <= previous || appended[number] != record.payload) {
        failure = "a record that was not appended, or out of order";
        return false;
      }
      previous = number;
      found.insert(number);
    }
    for (const auto& [number, at] : acknowledged) {
      const auto read = h.journal->Read(at.location);
      if (found.count(number) == 0 || !read.ok() || read->view() != appended[number]) {
        failure = "record " + std::to_string(number) + " is lost";
        return false;
      }
    }
    return true;
  }

  JournalHarness h;
  SeededRandom random;
  uint64_t last = 0;
  std::map<uint64_t, std::string> appended;
  std::map<uint64_t, Journal::Appended> acknowledged;
  std::string failure;
};

TEST(JournalRecovery, KeepsWhatItAcknowledgedThroughPowerCuts) {
  for (uint64_t seed = 1; seed <= 60; ++seed) {
    CrashRun run(seed);
    for (int round = 0; round < 12; ++round) {
      ASSERT_TRUE(run.Round()) << "seed " << seed << " round " << round << ": " << run.failure;
    }
  }
}

TEST(JournalRecovery, ThePowerCutTestSeesADiskThatLies) {
  int detected = 0;
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    CrashRun run(seed);
    ASSERT_TRUE(run.Round());
    run.h.fault().set_syncs_work(false);
    bool fine = true;
    for (int round = 0; round < 5 && fine; ++round) fine = run.Round();
    detected += !fine;
  }
  EXPECT_GT(detected, 10);
}

}  // namespace
}  // namespace meridian::storage
