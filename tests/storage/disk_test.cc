// One conformance test for the two disks, and what only the faulty one does.
#include "storage/disk.h"

#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "storage/aligned_buffer.h"
#include "storage/posix_disk.h"
#include "tests/fakes/fault_disk.h"

namespace meridian::storage {
namespace {

std::string ReadAll(const File& file, uint64_t offset, size_t size) {
  std::string bytes(size, '\0');
  const auto read = file.Read(offset, bytes);
  if (!read.ok()) return read.status().ToString();
  bytes.resize(*read);
  return bytes;
}

struct DiskMaker {
  std::string name;
  // Every call attaches to the same disk.
  std::function<std::unique_ptr<Disk>()> attach;
};

DiskMaker PosixMaker(const std::string& root) {
  return {"Posix", [root] {
            auto disk = OpenPosixDisk(root);
            EXPECT_TRUE(disk.ok()) << disk.status();
            return *std::move(disk);
          }};
}

class DiskConformance : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    // Under the runner's temporary folder; /dev/shm is a tmpfs, which has refused O_DIRECT.
    std::string root = testing::TempDir();
    if (GetParam() == "Tmpfs") root = "/dev/shm";
    root_ = root + "/meridian-disk-test-" + std::to_string(::getpid()) + GetParam();
    std::filesystem::remove_all(root_);
    fault_ = std::make_unique<FaultDisk>(1);
    disk_ = Attach();
  }
  void TearDown() override { std::filesystem::remove_all(root_); }

  std::unique_ptr<Disk> Attach() {
    return GetParam() == "Fault" ? fault_->Attach() : PosixMaker(root_).attach();
  }
  std::unique_ptr<File> Create(const std::string& path, OpenOptions options = {}) {
    options.create = true;
    auto file = disk_->Open(path, options);
    EXPECT_TRUE(file.ok()) << file.status();
    return *std::move(file);
  }

  std::string root_;
  std::unique_ptr<FaultDisk> fault_;
  std::unique_ptr<Disk> disk_;
};

TEST_P(DiskConformance, ReadsBackWhatWasWritten) {
  const auto file = Create("a");
  ASSERT_TRUE(file->Write(0, "hello").ok());
  ASSERT_TRUE(file->Write(3, "p me").ok());
  ASSERT_TRUE(file->Sync().ok());
  EXPECT_EQ(ReadAll(*file, 0, 100), "help me");
  EXPECT_EQ(ReadAll(*file, 5, 2), "me");
  EXPECT_EQ(ReadAll(*file, 50, 10), "");
  EXPECT_EQ(*file->Size(), 7u);
}

TEST_P(DiskConformance, ReadsZerosWhereNothingWasWritten) {
  const auto file = Create("a");
  ASSERT_TRUE(file->Write(3, "x").ok());
  EXPECT_EQ(ReadAll(*file, 0, 10), std::string("\0\0\0x", 4));
}

TEST_P(DiskConformance, PreallocatesWithoutTouchingWhatIsThere) {
  for (const bool fill : {false, true}) {
    const auto file = Create(fill ? "filled" : "reserved");
    ASSERT_TRUE(file->Write(0, "abc").ok());
    ASSERT_TRUE(file->Preallocate(10000, fill).ok());
    EXPECT_EQ(*file->Size(), 10000u);
    EXPECT_EQ(ReadAll(*file, 0, 5), std::string("abc\0\0", 5));
    ASSERT_TRUE(file->Preallocate(5000, fill).ok());
    EXPECT_EQ(*file->Size(), 10000u);
  }
}

TEST_P(DiskConformance, WritesDirectAndDurable) {
  const auto file = Create("d", {.direct = true, .durable = true});
  ASSERT_TRUE(file->Preallocate(3 * kDirectUnitBytes, true).ok());
  AlignedBuffer buffer(kDirectUnitBytes);
  buffer.span()[7] = 'x';
  ASSERT_TRUE(file->Write(kDirectUnitBytes, buffer.view(0, buffer.size())).ok());
  EXPECT_EQ(ReadAll(*file, kDirectUnitBytes + 7, 1), "x");
  EXPECT_EQ(*file->Size(), 3 * kDirectUnitBytes);
}

TEST_P(DiskConformance, AMissingFileIsNotFound) {
  EXPECT_TRUE(absl::IsNotFound(disk_->Open("no", {}).status()));
  EXPECT_TRUE(absl::IsNotFound(disk_->Open("no/file", {.create = true}).status()));
  EXPECT_TRUE(absl::IsNotFound(disk_->Remove("no")));
  EXPECT_TRUE(absl::IsNotFound(disk_->Rename("no", "other")));
  EXPECT_TRUE(absl::IsNotFound(disk_->List("no").status()));
  EXPECT_TRUE(disk_->health().ok());
}

TEST_P(DiskConformance, ListsRenamesAndRemoves) {
  ASSERT_TRUE(disk_->CreateDir("dir").ok());
  ASSERT_TRUE(disk_->CreateDir("dir").ok());
  ASSERT_TRUE(Create("dir/b")->Write(0, "b").ok());
  ASSERT_TRUE(Create("dir/a")->Write(0, "a").ok());
  EXPECT_EQ(*disk_->List("dir"), (std::vector<std::string>{"a", "b"}));
  ASSERT_TRUE(disk_->Rename("dir/a", "dir/b").ok());
  ASSERT_TRUE(disk_->SyncDir("dir").ok());
  EXPECT_EQ(*disk_->List("dir"), (std::vector<std::string>{"b"}));
  EXPECT_EQ(*ReadWholeFile(*disk_, "dir/b", 10), "a");
  ASSERT_TRUE(disk_->Remove("dir/b").ok());
  EXPECT_TRUE(disk_->List("dir")->empty());
}

TEST_P(DiskConformance, ReplacesASmallFileAsAWhole) {
  ASSERT_TRUE(WriteWholeFile(*disk_, "f", "one").ok());
  ASSERT_TRUE(WriteWholeFile(*disk_, "f", "two!").ok());
  EXPECT_EQ(*ReadWholeFile(*disk_, "f", 10), "two!");
  EXPECT_TRUE(absl::IsOutOfRange(ReadWholeFile(*disk_, "f", 3).status()));
  EXPECT_EQ(*disk_->List(""), (std::vector<std::string>{"f"}));
}

TEST_P(DiskConformance, ASecondOwnerOfTheFolderIsRefused) {
  auto first = disk_->Lock("LOCK");
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second_disk = Attach();
  EXPECT_TRUE(absl::IsFailedPrecondition(second_disk->Lock("LOCK").status()));
  first->reset();
  EXPECT_TRUE(second_disk->Lock("LOCK").ok());
}

TEST_P(DiskConformance, TheFirstFailureIsKept) {
  const auto file = Create("a");
  EXPECT_EQ(disk_->Fail(absl::UnavailableError("one")), absl::UnavailableError("one"));
  EXPECT_EQ(disk_->Fail(absl::UnavailableError("two")), absl::UnavailableError("one"));
  EXPECT_EQ(file->Write(0, "x"), absl::UnavailableError("one"));
  EXPECT_EQ(file->Sync(), absl::UnavailableError("one"));
  EXPECT_EQ(disk_->SyncDir(""), absl::UnavailableError("one"));
  EXPECT_TRUE(ReadAll(*file, 0, 1).empty());
}

TEST_P(DiskConformance, TellsItsFreeSpace) { EXPECT_GT(*disk_->FreeBytes(), 0u); }

INSTANTIATE_TEST_SUITE_P(Disks, DiskConformance, testing::Values("Posix", "Tmpfs", "Fault"),
                         [](const auto& info) { return info.param; });

TEST(PosixDisk, AFileInPlaceOfTheFolderIsAnError) {
  const std::string path = testing::TempDir() + "/meridian-not-a-folder";
  { std::ofstream(path) << "x"; }
  EXPECT_FALSE(OpenPosixDisk(path).ok());
  std::filesystem::remove(path);
}

TEST(FaultDisk, APowerCutLosesAPartOfWhatWasNotSynced) {
  bool lost = false;
  bool kept = false;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FaultDisk fault(seed);
    {
      const auto disk = fault.Attach();
      const auto file = *disk->Open("f", {.create = true});
      ASSERT_TRUE(disk->SyncDir("").ok());
      ASSERT_TRUE(file->Write(0, std::string(8192, 'o')).ok());
      ASSERT_TRUE(file->Sync().ok());
      ASSERT_TRUE(file->Write(0, std::string(4096, 'n')).ok());
      fault.CutPower();
      EXPECT_TRUE(absl::IsUnavailable(file->Sync()));
    }
    const auto disk = fault.Attach();
    const std::string bytes = fault.Contents("f");
    ASSERT_EQ(bytes.size(), 8192u);
    for (size_t s = 0; s < bytes.size(); s += 512) {
      const std::string sector = bytes.substr(s, 512);
      EXPECT_TRUE(sector == std::string(512, 'o') || sector == std::string(512, 'n'));
      if (s < 4096) (sector[0] == 'o' ? lost : kept) = true;
    }
    EXPECT_EQ(bytes.substr(4096), std::string(4096, 'o'));
  }
  EXPECT_TRUE(lost && kept);
}

TEST(FaultDisk, APowerCutUndoesSomeNamesThatWereNotSynced) {
  int synced = 0;
  int unsynced = 0;
  for (uint64_t seed = 0; seed < 40; ++seed) {
    FaultDisk fault(seed);
    const auto before = fault.Attach();
    ASSERT_TRUE((*before->Open("kept", {.create = true}))->Sync().ok());
    ASSERT_TRUE(before->SyncDir("").ok());
    ASSERT_TRUE((*before->Open("new", {.create = true}))->Sync().ok());
    ASSERT_TRUE(before->Rename("new", "renamed").ok());
    fault.CutPower();
    const auto after = fault.Attach();
    synced += after->Open("kept", {}).ok();
    const bool is_new = after->Open("new", {}).ok();
    const bool is_renamed = after->Open("renamed", {}).ok();
    EXPECT_FALSE(is_new && is_renamed);
    unsynced += is_new || is_renamed;
  }
  EXPECT_EQ(synced, 40);
  EXPECT_GT(unsynced, 0);
  EXPECT_LT(unsynced, 40);
}

TEST(FaultDisk, CutsThePowerWithinTheChosenOperation) {
  FaultDisk fault(3);
  const auto disk = fault.Attach();
  const auto file = *disk->Open("f", {.create = true});
  fault.CutPowerAfter(2);
  EXPECT_TRUE(file->Write(0, "a").ok());
  EXPECT_FALSE(fault.power_is_off());
  EXPECT_TRUE(absl::IsUnavailable(file->Write(0, "b")));
  EXPECT_TRUE(fault.power_is_off());
  EXPECT_TRUE(absl::IsUnavailable(disk->List("").status()));
}

TEST(FaultDisk, AfterAFailedSyncTheBytesAreGoneThoughLaterSyncsSucceed) {
  FaultDisk fault(4);
  {
    const auto disk = fault.Attach();
    const auto file = *disk->Open("f", {.create = true});
    ASSERT_TRUE(disk->SyncDir("").ok());
    ASSERT_TRUE(file->Write(0, "abc").ok());
    fault.FailOnce(FaultDisk::Op::kSync, "f");
    EXPECT_FALSE(file->Sync().ok());
    EXPECT_FALSE(file->Sync().ok()) << "the failure is kept";
    // Another process, which knows nothing of it.
    const auto second = fault.Attach();
    EXPECT_TRUE((*second->Open("f", {}))->Sync().ok());
    fault.CutPower();
  }
  const auto disk = fault.Attach();
  const std::string bytes = fault.Contents("f");
  EXPECT_EQ(bytes.find("abc"), std::string::npos);
}

TEST(FaultDisk, ALyingDiskLosesWhatItSaidWasSynced) {
  int lost = 0;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    FaultDisk fault(seed);
    const auto disk = fault.Attach();
    fault.set_syncs_work(false);
    ASSERT_TRUE(WriteWholeFile(*disk, "f", "bytes").ok());
    fault.CutPower();
    fault.Attach();
    lost += fault.Contents("f") != "bytes";
  }
  EXPECT_GT(lost, 0);
}

TEST(FaultDisk, AFullDiskRefusesWithoutBreaking) {
  FaultDisk fault(5);
  const auto disk = fault.Attach();
  fault.set_capacity_bytes(1000);
  const auto file = *disk->Open("f", {.create = true});
  EXPECT_TRUE(absl::IsResourceExhausted(file->Preallocate(2000, true)));
  EXPECT_TRUE(absl::IsResourceExhausted(file->Write(0, std::string(2000, 'x'))));
  EXPECT_TRUE(file->Write(0, std::string(1000, 'x')).ok());
  EXPECT_EQ(*disk->FreeBytes(), 0u);
  EXPECT_TRUE(disk->health().ok());
}

}  // namespace
}  // namespace meridian::storage
