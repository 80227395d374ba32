// P11: a copy of a disk's past is told from the disk.
#include "server/disk_registry.h"

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "base/random.h"
#include "server/cluster_records.h"
#include "tests/tenancy/testing.h"

namespace meridian::server {
namespace {

// Answers an error to what is read, or to what is written.
class FailingStore final : public coordination::CoordinationStore {
 public:
  FailingStore(coordination::CoordinationStore& store, absl::Status error, bool on_commit)
      : store_(store), error_(std::move(error)), on_commit_(on_commit) {}

  void Get(
      std::string key,
      std::function<void(absl::StatusOr<std::optional<coordination::KeyValue>>)> done) override {
    if (!on_commit_) return done(error_);
    store_.Get(std::move(key), std::move(done));
  }
  void List(
      std::string prefix,
      std::function<void(absl::StatusOr<std::vector<coordination::KeyValue>>)> done) override {
    store_.List(std::move(prefix), std::move(done));
  }
  void Commit(coordination::Transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)> done) override {
    done(error_);
  }
  std::unique_ptr<WatchHandle> Watch(std::string prefix, std::function<void()> changed) override {
    return store_.Watch(std::move(prefix), std::move(changed));
  }
  std::unique_ptr<Presence> Announce(std::string key, std::string value,
                                     absl::Duration ttl) override {
    return store_.Announce(std::move(key), std::move(value), ttl);
  }

 private:
  coordination::CoordinationStore& store_;
  const absl::Status error_;
  const bool on_commit_;
};

class DiskRegistryTest : public testing::Test {
 protected:
  // As a DiskStore goes on once it is recorded.
  absl::Status Open(storage::DiskOpening& folder) {
    if (folder.next.is_nil()) folder.next = OpeningId::Draw(random_);
    const absl::Status recorded = RecordDiskOpening(store_, "n", folder);
    if (!recorded.ok()) return recorded;
    folder.last = folder.next;
    folder.next = OpeningId();
    ++folder.incarnation;
    return recorded;
  }
  storage::DiskOpening NewDisk() { return {DiskId::Draw(random_), {}, 0, {}}; }
  DiskRecord RecordOf(const storage::DiskOpening& folder) {
    for (const coordination::KeyValue& row : store_.Rows()) {
      if (row.key == DiskKeyOf(folder.disk)) return *DecodeDiskRecord(row.value);
    }
    return {};
  }
  void Overwrite(const storage::DiskOpening& folder, const DiskRecord& record) {
    store_.Overwrite(DiskKeyOf(folder.disk), EncodeDiskRecord(record));
  }

  SystemRandom random_;
  tenancy::TestStore store_;
};

TEST_F(DiskRegistryTest, EveryOpeningIsRecorded) {
  storage::DiskOpening folder = NewDisk();
  for (uint64_t i = 1; i <= 3; ++i) {
    ASSERT_TRUE(Open(folder).ok());
    EXPECT_EQ(RecordOf(folder), (DiskRecord{"n", i, folder.last}));
  }
  storage::DiskOpening other = NewDisk();
  EXPECT_TRUE(Open(other).ok());
}

TEST_F(DiskRegistryTest, ACopyFromThePastIsRefusedHoweverOftenItTries) {
  storage::DiskOpening disk = NewDisk();
  ASSERT_TRUE(Open(disk).ok());
  storage::DiskOpening copy = disk;
  ASSERT_TRUE(Open(disk).ok());
  const DiskRecord recorded = RecordOf(disk);
  for (int i = 0; i < 5; ++i) {
    const absl::Status refused = Open(copy);
    EXPECT_TRUE(absl::IsFailedPrecondition(refused)) << refused;
    EXPECT_TRUE(absl::StrContains(refused.message(), "copy of disk " + disk.disk.ToHex()));
  }
  EXPECT_EQ(RecordOf(disk), recorded);
  EXPECT_TRUE(Open(disk).ok()) << "the disk itself";
}

TEST_F(DiskRegistryTest, OfTwoFoldersWithTheSameDiskOnlyTheFirstThatOpensGoesOn) {
  storage::DiskOpening a = NewDisk();
  ASSERT_TRUE(Open(a).ok());
  storage::DiskOpening b = a;
  // At once: b looks before a is recorded, and commits after it.
  store_.before_commit = [&] { EXPECT_TRUE(Open(a).ok()); };
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(absl::IsFailedPrecondition(Open(b)));
  EXPECT_TRUE(Open(a).ok());
}

TEST_F(DiskRegistryTest, AnOpeningOfWhichTheOutcomeWasUnknownIsRecognised) {
  storage::DiskOpening folder = NewDisk();
  ASSERT_TRUE(Open(folder).ok());
  // Recorded, but the answer was lost.
  folder.next = OpeningId::Draw(random_);
  Overwrite(folder, {"n", folder.incarnation + 1, folder.next});
  EXPECT_TRUE(Open(folder).ok());
  // Not recorded yet: the commit of before arrives late.
  folder.next = OpeningId::Draw(random_);
  store_.before_commit = [&] { Overwrite(folder, {"n", folder.incarnation + 1, folder.next}); };
  EXPECT_TRUE(Open(folder).ok());
  EXPECT_EQ(RecordOf(folder), (DiskRecord{"n", 3, folder.last}));
}

TEST_F(DiskRegistryTest, ADiskThatWasTakenOutDoesNotComeBack) {
  storage::DiskOpening folder = NewDisk();
  ASSERT_TRUE(Open(folder).ok());
  Overwrite(folder, {"n", folder.incarnation, folder.last, /*removed=*/true});
  EXPECT_TRUE(absl::IsNotFound(Open(folder)));
  EXPECT_TRUE(absl::IsNotFound(Open(folder))) << "its opening is not recorded meanwhile";
}

// Restored from a backup, that is: it is no reason to give all disks up.
TEST_F(DiskRegistryTest, AStoreThatIsOfThePastItselfRefusesNoDisk) {
  storage::DiskOpening folder = NewDisk();
  ASSERT_TRUE(Open(folder).ok());
  const DiskRecord before = RecordOf(folder);
  ASSERT_TRUE(Open(folder).ok());
  Overwrite(folder, before);
  EXPECT_TRUE(Open(folder).ok());
  EXPECT_EQ(RecordOf(folder), (DiskRecord{"n", 3, folder.last}));
}

TEST_F(DiskRegistryTest, AStoreThatDoesNotAnswerSaysNothingAboutTheDisk) {
  store_.reachable = false;
  storage::DiskOpening folder = NewDisk();
  EXPECT_TRUE(absl::IsUnavailable(Open(folder)));
  store_.reachable = true;
  EXPECT_TRUE(Open(folder).ok());
}

// FAILED_PRECONDITION and NOT_FOUND would take the disk out of service for good.
TEST_F(DiskRegistryTest, NoErrorOfTheStoreIsAVerdictOnTheDisk) {
  storage::DiskOpening folder = NewDisk();
  ASSERT_TRUE(Open(folder).ok());
  for (const auto code : {absl::StatusCode::kFailedPrecondition, absl::StatusCode::kNotFound,
                          absl::StatusCode::kInternal, absl::StatusCode::kInvalidArgument}) {
    for (const bool on_commit : {false, true}) {
      FailingStore store(store_, absl::Status(code, "lease"), on_commit);
      folder.next = OpeningId::Draw(random_);
      EXPECT_TRUE(absl::IsUnavailable(RecordDiskOpening(store, "n", folder))) << code;
    }
  }
  FailingStore full(store_, absl::ResourceExhaustedError("mvcc"), /*on_commit=*/true);
  EXPECT_TRUE(absl::IsResourceExhausted(RecordDiskOpening(full, "n", folder)));
}

TEST_F(DiskRegistryTest, ARecordOfANewerProgramIsNoVerdictOnTheDisk) {
  storage::DiskOpening folder = NewDisk();
  ASSERT_TRUE(Open(folder).ok());
  const std::string field("\xa2\x06\x01x", 4);  // 100: "x"
  store_.Overwrite(DiskKeyOf(folder.disk), EncodeDiskRecord(RecordOf(folder)) + field);
  EXPECT_TRUE(absl::IsUnavailable(Open(folder)));
}

TEST_F(DiskRegistryTest, ARecordThatIsNoneIsNotOverwritten) {
  storage::DiskOpening folder = NewDisk();
  store_.Overwrite(DiskKeyOf(folder.disk), "\xff");
  EXPECT_TRUE(absl::IsDataLoss(Open(folder)));
}

}  // namespace
}  // namespace meridian::server
