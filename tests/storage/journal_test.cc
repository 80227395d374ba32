#include "storage/journal/journal.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

#include "absl/synchronization/blocking_counter.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "tests/storage/journal_harness.h"

namespace meridian::storage {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::string Text(int i) { return "record " + std::to_string(i); }

TEST(Journal, ReplaysWhatWasAppendedInOrder) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  EXPECT_THAT(h.replayed, IsEmpty());
  const auto first = h.Append("one", 7);
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(h.Append(std::string(5000, 'x'), 8).ok());
  ASSERT_TRUE(h.Append("", 9).ok());
  EXPECT_EQ(h.journal->durable_group(), 3u);
  ASSERT_TRUE(h.Open().ok());
  EXPECT_THAT(h.ReplayedPayloads(), ElementsAre("one", std::string(5000, 'x'), ""));
  EXPECT_EQ(h.replayed[0].type, 7);
  EXPECT_EQ(h.replayed[0].location, first->location);
  EXPECT_EQ(h.replayed[0].group, first->group);
  EXPECT_EQ(h.replayed[2].group, 3u);
}

TEST(Journal, KeepsTheOwnerAndJoinsThePiecesOfAPayload) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const ReplicaId owner = ReplicaId::Draw(h.random());
  absl::Notification done;
  RecordLocation location;
  h.journal->Append({.type = 1,
                     .owner = owner,
                     .payload = {Buffer::FromString("to"), Buffer(), Buffer::FromString("gether")}},
                    [&](const absl::StatusOr<Journal::Appended>& appended) {
                      location = appended->location;
                      done.Notify();
                    });
  done.WaitForNotification();
  EXPECT_EQ(h.journal->Read(location)->view(), "together");
  EXPECT_EQ(location.length, 8u);
}

TEST(Journal, ReadsRecordsBackByTheirLocation) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  std::vector<RecordLocation> locations;
  for (int i = 0; i < 20; ++i) {
    locations.push_back(h.Append(std::string(100 * i, static_cast<char>('a' + i)))->location);
  }
  ASSERT_TRUE(h.Open().ok());
  for (int i = 0; i < 20; ++i) {
    const auto read = h.journal->Read(locations[i]);
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->view(), std::string(100 * i, static_cast<char>('a' + i)));
  }
}

TEST(Journal, ReplaysFromAGroupOnAndStillReadsEarlierOnes) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  std::vector<Journal::Appended> appended;
  for (int i = 0; i < 20; ++i) appended.push_back(*h.Append(std::string(8000, 'a' + i)));
  ASSERT_GT(h.journal->SegmentsInUse().size(), 2u);
  h.options.replay_from = appended[17].group;
  ASSERT_TRUE(h.Open().ok());
  EXPECT_THAT(h.ReplayedPayloads(),
              ElementsAre(std::string(8000, 'r'), std::string(8000, 's'), std::string(8000, 't')));
  EXPECT_EQ(h.journal->Read(appended[0].location)->view(), std::string(8000, 'a'));
}

TEST(Journal, AJournalThatEndsBeforeWhatWasFlushedIsDataLoss) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Append("one").ok());
  h.options.replay_from = 2;
  EXPECT_TRUE(h.Open().ok());
  h.options.replay_from = 3;
  EXPECT_TRUE(absl::IsDataLoss(h.Open()));
}

TEST(Journal, AppendsThatWaitShareOneSync) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  absl::Notification first_is_done;
  absl::Notification go_on;
  h.journal->Append({.type = 1, .owner = {}, .payload = {}},
                    [&](const absl::StatusOr<Journal::Appended>&) {
                      first_is_done.Notify();
                      go_on.WaitForNotification();
                    });
  first_is_done.WaitForNotification();
  const uint64_t before = h.fault().operations();
  absl::BlockingCounter rest(100);
  std::vector<int> order;
  for (int i = 0; i < 100; ++i) {
    h.journal->Append({.type = 1, .owner = {}, .payload = {Buffer::FromString(Text(i))}},
                      [&, i](const absl::StatusOr<Journal::Appended>& appended) {
                        EXPECT_TRUE(appended.ok());
                        EXPECT_EQ(appended->group, 2u);
                        order.push_back(i);
                        rest.DecrementCount();
                      });
  }
  EXPECT_EQ(h.fault().operations(), before) << "nothing is written by the caller";
  go_on.Notify();
  rest.Wait();
  EXPECT_EQ(h.fault().operations(), before + 1);
  EXPECT_TRUE(std::is_sorted(order.begin(), order.end()));
}

// I1: done means that the sync which covers the record has returned.
TEST(Journal, WhatIsDoneIsThereAfterAPowerCutAtThatMoment) {
  for (const bool syncs_work : {true, false}) {
    int lost = 0;
    for (uint64_t seed = 1; seed <= 20; ++seed) {
      JournalHarness h(seed);
      ASSERT_TRUE(h.Open().ok());
      h.fault().set_syncs_work(syncs_work);
      std::atomic<int> done = 0;
      absl::BlockingCounter all(30);
      for (int i = 0; i < 30; ++i) {
        h.journal->Append({.type = 1, .owner = {}, .payload = {Buffer::FromString(Text(i))}},
                          [&](const absl::StatusOr<Journal::Appended>& appended) {
                            if (appended.ok() && ++done == 15) h.fault().CutPower();
                            all.DecrementCount();
                          });
      }
      all.Wait();
      h.Close();
      const absl::Status opened = h.Open();
      const bool all_there = opened.ok() && h.replayed.size() >= static_cast<size_t>(done.load());
      lost += !all_there;
      for (size_t i = 0; i < h.replayed.size(); ++i) {
        EXPECT_EQ(h.replayed[i].payload, Text(static_cast<int>(i)));
      }
    }
    if (syncs_work) {
      EXPECT_EQ(lost, 0);
    } else {
      EXPECT_GT(lost, 0) << "this test does not see a disk that lies";
    }
  }
}

TEST(Journal, RefusesARecordThatIsTooLongAndGoesOn) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  EXPECT_TRUE(h.Append(std::string(h.options.max_record_bytes, 'x')).ok());
  EXPECT_TRUE(
      absl::IsInvalidArgument(h.Append(std::string(h.options.max_record_bytes + 1, 'x')).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(h.Append("x", 0).status()));
  EXPECT_TRUE(h.Append("fine").ok());
  EXPECT_TRUE(h.journal->health().ok());
}

TEST(Journal, RefusesOptionsUnderWhichARecordCannotFit) {
  JournalHarness h;
  h.options.segment_bytes = 16 << 10;
  EXPECT_TRUE(absl::IsInvalidArgument(h.Open()));
  h.options = SmallJournal();
  h.options.min_segments = 2;
  EXPECT_TRUE(absl::IsInvalidArgument(h.Open()));
}

TEST(Journal, RefusesWhatWouldWaitBeyondTheBound) {
  JournalHarness h;
  h.options.max_queued_bytes = 10000;
  ASSERT_TRUE(h.Open().ok());
  absl::Notification started;
  absl::Notification go_on;
  h.journal->Append({.type = 1, .owner = {}, .payload = {}},
                    [&](const absl::StatusOr<Journal::Appended>&) {
                      started.Notify();
                      go_on.WaitForNotification();
                    });
  started.WaitForNotification();
  absl::BlockingCounter all(3);
  std::vector<absl::StatusCode> codes;
  for (int i = 0; i < 3; ++i) {
    h.journal->Append(
        {.type = 1, .owner = {}, .payload = {Buffer::FromString(std::string(4900, 'x'))}},
        [&](const absl::StatusOr<Journal::Appended>& appended) {
          codes.push_back(appended.status().code());
          all.DecrementCount();
        });
  }
  go_on.Notify();
  all.Wait();
  EXPECT_THAT(codes, ElementsAre(absl::StatusCode::kOk, absl::StatusCode::kOk,
                                 absl::StatusCode::kResourceExhausted));
  EXPECT_TRUE(h.Append("again").ok());
}

TEST(Journal, CancelsWhatWaitsWhenItIsClosed) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  absl::Notification started;
  absl::Notification go_on;
  h.journal->Append({.type = 1, .owner = {}, .payload = {}},
                    [&](const absl::StatusOr<Journal::Appended>&) {
                      started.Notify();
                      go_on.WaitForNotification();
                    });
  started.WaitForNotification();
  absl::Status status;
  h.journal->Append({.type = 1, .owner = {}, .payload = {}},
                    [&](const absl::StatusOr<Journal::Appended>& a) { status = a.status(); });
  std::thread closing([&] { h.journal.reset(); });
  // The destructor waits for this completion, then cancels or writes the other one.
  go_on.Notify();
  closing.join();
  EXPECT_TRUE(status.ok() || absl::IsCancelled(status)) << status;
}

TEST(Journal, AFailedWriteTakesTheDiskOutOfServiceForGood) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const auto before = h.Append("before");
  h.fault().FailOnce(FaultDisk::Op::kWrite, "journal/");
  const absl::Status failed = h.Append("failed").status();
  EXPECT_TRUE(absl::IsUnavailable(failed)) << failed;
  EXPECT_EQ(h.Append("after").status(), failed);
  EXPECT_EQ(h.journal->health(), failed);
  EXPECT_EQ(h.disk().health(), failed);
  EXPECT_EQ(h.journal->Read(before->location)->view(), "before");
  // A failure in the middle of a group leaves a torn tail: nothing of it was acknowledged.
  ASSERT_TRUE(h.Open().ok());
  EXPECT_EQ(h.replayed.front().payload, "before");
  EXPECT_LE(h.replayed.size(), 2u);
}

TEST(Journal, AReadErrorIsNotAbsenceNorTheEndOfTheDisk) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const auto appended = h.Append("text");
  h.fault().FailOnce(FaultDisk::Op::kRead, "journal/");
  EXPECT_TRUE(absl::IsUnavailable(h.journal->Read(appended->location).status()));
  EXPECT_EQ(h.journal->Read(appended->location)->view(), "text");
  EXPECT_TRUE(h.Append("more").ok());
  h.Close();
  h.fault().BreakSectors(h.PathOf(appended->location), 4096, 512);
  EXPECT_TRUE(absl::IsUnavailable(h.Open()));
}

TEST(Journal, RecyclesReleasedSegmentsAndNeverReadsTheirOldLives) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  std::vector<Journal::Appended> appended;
  for (int i = 0; i < 100; ++i) {
    appended.push_back(*h.Append(std::string(8000, static_cast<char>('a' + i % 26))));
    h.journal->ReleaseBefore(appended.back().location.life);
  }
  EXPECT_EQ(h.journal->SegmentsInUse().size(), 1u);
  EXPECT_EQ(h.disk().List("journal")->size(), 3u);
  EXPECT_TRUE(absl::IsNotFound(h.journal->Read(appended[0].location).status()));
  const uint64_t life = appended.back().location.life;
  h.options.replay_from = h.journal->SegmentsInUse()[0].first_group;
  ASSERT_TRUE(h.Open().ok());
  for (const auto& record : h.replayed) EXPECT_GE(record.location.life, life);
  EXPECT_EQ(h.replayed.back().location, appended.back().location);
  EXPECT_TRUE(absl::IsNotFound(h.journal->Read(appended[0].location).status()));
  h.options.replay_from = 1;
  EXPECT_TRUE(absl::IsDataLoss(h.Open())) << "what is recycled cannot be replayed";
}

TEST(Journal, ALocationThatNeverWasIsDataLoss) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const RecordLocation good = h.Append("text")->location;
  for (const auto& change : std::vector<std::function<void(RecordLocation&)>>{
           [](auto& l) { l.life += 5; }, [](auto& l) { l.segment += 1; },
           [](auto& l) { l.offset += 4; }, [](auto& l) { l.length += 1; },
           [](auto& l) { l.offset = uint64_t{1} << 60; }, [](auto& l) { l.length = 1u << 31; }}) {
    RecordLocation bad = good;
    change(bad);
    EXPECT_TRUE(absl::IsDataLoss(h.journal->Read(bad).status())) << h.journal->Read(bad).status();
  }
}

TEST(Journal, WaitsForAReleaseWhenAllSegmentsAreInUseAndTellsIt) {
  JournalHarness h;
  std::atomic<int> pressure = 0;
  absl::Notification stalled;
  h.options.on_pressure = [&] {
    // Segments 3, 4 and 5 tell; the one kept back is not to be had: the fourth time it waits.
    if (++pressure == 4) stalled.Notify();
  };
  ASSERT_TRUE(h.Open().ok());
  absl::BlockingCounter all(60);
  std::atomic<int> done = 0;
  std::atomic<uint64_t> last_life = 0;
  for (int i = 0; i < 60; ++i) {
    h.journal->Append(
        {.type = 1, .owner = {}, .payload = {Buffer::FromString(std::string(8000, 'x'))}},
        [&](const absl::StatusOr<Journal::Appended>& appended) {
          EXPECT_TRUE(appended.ok()) << appended.status();
          last_life = appended->location.life;
          ++done;
          all.DecrementCount();
        });
  }
  stalled.WaitForNotification();
  EXPECT_LT(done, 60);
  EXPECT_EQ(h.journal->SegmentsInUse().size(), 5u);
  while (done < 60) h.journal->ReleaseBefore(last_life);
  all.Wait();
}

TEST(Journal, AFullDiskStillTakesRecordsFromTheReserve) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  h.fault().set_capacity_bytes(0);
  for (int i = 0; i < 100; ++i) {
    const auto appended = h.Append(std::string(8000, 'x'));
    ASSERT_TRUE(appended.ok()) << appended.status();
    h.journal->ReleaseBefore(appended->location.life);
  }
  EXPECT_TRUE(h.journal->health().ok());
  h.options.replay_from = h.journal->durable_group() + 1;
  EXPECT_TRUE(h.Open().ok()) << "and a restart finds the segment kept back for it";
}

TEST(Journal, ACrashLoopDoesNotUseUpTheSegments) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  for (int i = 0; i < 12; ++i) ASSERT_TRUE(h.Append(std::string(8000, 'x')).ok());
  for (int i = 0; i < 50; ++i) {
    h.CutPower();
    ASSERT_TRUE(h.Open().ok());
    EXPECT_EQ(h.replayed.size(), 12u);
  }
  EXPECT_LE(h.disk().List("journal")->size(), 4u);
}

// P20: no life is shared by two processes.
TEST(Journal, EachProcessBeginsALifeOfItsOwn) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const auto first = h.Append("one")->location;
  ASSERT_TRUE(h.Open().ok());
  const auto second = h.Append("two")->location;
  EXPECT_GT(second.life, first.life);
  const std::string first_header = h.fault().Contents(h.PathOf(first)).substr(0, 512);
  const std::string second_header = h.fault().Contents(h.PathOf(second)).substr(0, 512);
  EXPECT_NE(journal_format::DecodeSegmentHeader(first_header)->salt,
            journal_format::DecodeSegmentHeader(second_header)->salt);
}

// I9
TEST(Journal, LeavesNoPlaintextOnTheDisk) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  const auto appended = h.Append("a-name-nobody-may-see");
  EXPECT_EQ(h.fault().Contents(h.PathOf(appended->location)).find("nobody"), std::string::npos);
}

TEST(Journal, TheVisitorsErrorStopsTheOpening) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Append("one").ok());
  h.Close();
  const auto disk = h.fault().Attach();
  const crypto::NodeKey key(*crypto::SecretKey::FromBytes(std::string(32, 'k')));
  const NodeRecordSealers sealers(key);
  EXPECT_EQ(Journal::Open(*disk, sealers, h.random(), h.options,
                          [](const ReplayedRecord&) { return absl::InternalError("no"); })
                .status(),
            absl::InternalError("no"));
}

TEST(Journal, RefusesAnotherDisksJournalAndAnotherKey) {
  JournalHarness h;
  ASSERT_TRUE(h.Open().ok());
  ASSERT_TRUE(h.Append("one").ok());
  h.Close();
  const auto disk = h.fault().Attach();
  const crypto::NodeKey key(*crypto::SecretKey::FromBytes(std::string(32, '?')));
  const NodeRecordSealers sealers(key);
  const auto visitor = [](const ReplayedRecord&) { return absl::OkStatus(); };
  EXPECT_TRUE(
      absl::IsDataLoss(Journal::Open(*disk, sealers, h.random(), h.options, visitor).status()));
  h.options.disk_id = DiskId::Draw(h.random());
  EXPECT_TRUE(absl::IsFailedPrecondition(h.Open()));
}

}  // namespace
}  // namespace meridian::storage
