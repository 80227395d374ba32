#include "storage/rocks/rocks_kv.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/notification.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "tests/fakes/space_quota.h"
#include "tests/storage/rocks/keystream_ciphers.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian::storage {
namespace {

namespace fs = std::filesystem;

std::string ReadFile(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

class RocksKvTest : public testing::Test {
 protected:
  std::unique_ptr<RocksKv> Open() {
    absl::StatusOr<std::unique_ptr<RocksKv>> kv = TryOpen();
    EXPECT_TRUE(kv.ok()) << kv.status();
    return *std::move(kv);
  }
  absl::StatusOr<std::unique_ptr<RocksKv>> TryOpen(size_t state_prefix_bytes = 0) {
    return RocksKv::Open(
        {.folder = folder_.path(), .ciphers = &ciphers_, .state_prefix_bytes = state_prefix_bytes});
  }

  static void Put(RocksKv& kv, Family family, std::string_view key, std::string_view value) {
    RocksBatch batch;
    batch.Put(family, key, value);
    ASSERT_TRUE(kv.Write(batch).ok());
  }
  static std::optional<std::string> Get(RocksKv& kv, Family family, std::string_view key) {
    auto value = kv.Get(family, key);
    EXPECT_TRUE(value.ok()) << value.status();
    return *value;
  }
  std::vector<fs::path> Tables() const {
    std::vector<fs::path> tables;
    for (const auto& file : fs::directory_iterator(folder_.path())) {
      if (file.path().extension() == ".sst") tables.push_back(file.path());
    }
    return tables;
  }

  TempFolder folder_;
  KeystreamCiphers ciphers_;
};

// I10: whichever byte of a file it is, and though nobody reads it.
TEST_F(RocksKvTest, VerifyingAFileFindsAFlippedBitAnywhereInIt) {
  auto kv = Open();
  for (int i = 0; i < 500; ++i) {
    Put(*kv, Family::kState, "key" + std::to_string(i), std::string(100, static_cast<char>(i)));
  }
  ASSERT_TRUE(kv->Flush().ok());
  ASSERT_EQ(kv->TableFiles().size(), 1u);
  const RocksKv::TableFile table = kv->TableFiles()[0];
  uint64_t asked = 0;
  const auto count = [&asked](uint64_t bytes) {
    asked += bytes;
    return absl::OkStatus();
  };
  const absl::Status whole = kv->VerifyTable(table, count);
  EXPECT_TRUE(whole.ok()) << whole;
  EXPECT_GE(asked, table.size_bytes);
  EXPECT_TRUE(absl::IsCancelled(
      kv->VerifyTable(table, [](uint64_t) { return absl::CancelledError("enough"); })));

  const fs::path path = Tables().at(0);
  const std::string good = ReadFile(path);
  // RocksDB's footer is 53 bytes: where its index lies, padding that means nothing, a magic number.
  const size_t footer = good.size() - 53;
  std::vector<size_t> places = {footer + 1, footer + 3, good.size() - 1};
  for (size_t at = 10; at < footer; at += good.size() / 200) places.push_back(at);
  for (const size_t at : places) {
    std::string bad = good;
    bad[at] ^= 16;
    std::ofstream(path, std::ios::binary | std::ios::trunc) << bad;
    const absl::Status found = kv->VerifyTable(table, count);
    EXPECT_FALSE(found.ok()) << at << " of " << good.size();
  }
  std::ofstream(path, std::ios::binary | std::ios::trunc) << good;
  EXPECT_TRUE(kv->VerifyTable(table, count).ok());
}

// Deletes and promises are rows.
TEST_F(RocksKvTest, OnAFullDiskRowsAreTakenAndKeptUntilThereIsSpace) {
  SpaceQuota quota(64 << 20);
  const auto env = NewQuotaEnv(quota);
  const auto open = [&] {
    return RocksKv::Open({.folder = folder_.path(), .ciphers = &ciphers_, .base_env = env.get()});
  };
  auto kv = open();
  ASSERT_TRUE(kv.ok()) << kv.status();
  quota.set_capacity_bytes(0);
  for (int i = 0; i < 20; ++i) {
    Put(**kv, Family::kState, std::to_string(i), "row");
    const absl::Status full = (*kv)->Flush();
    EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
  }
  quota.set_capacity_bytes(64 << 20);
  ASSERT_TRUE((*kv)->Flush().ok());
  kv->reset();
  kv = open();
  ASSERT_TRUE(kv.ok()) << kv.status();
  EXPECT_EQ(Get(**kv, Family::kState, "19"), "row");
}

// RocksDB's own flushes and compactions begin while there is space, and find none.
TEST_F(RocksKvTest, WhatRunsInTheBackgroundWaitsForSpaceAndNobodyWaitsForIt) {
  SpaceQuota quota(64 << 20);
  const auto env = NewQuotaEnv(quota);
  std::atomic<int> calls = 0;
  RocksOptions options = {.folder = folder_.path(), .ciphers = &ciphers_, .base_env = env.get()};
  options.memtable_bytes = 64 << 10;
  options.no_space = [&calls] { ++calls; };
  auto kv = RocksKv::Open(options);
  ASSERT_TRUE(kv.ok()) << kv.status();
  const std::string row(4 << 10, 'r');
  const auto write = [&](int i) {
    RocksBatch batch;
    batch.Put(Family::kState, std::to_string(i), row);
    return (*kv)->Write(batch);
  };
  int written = 0;
  for (int round = 0; round < 3; ++round) {
    quota.TakeRest();
    absl::Status full;
    while ((full = write(written)).ok()) ++written;
    EXPECT_TRUE(absl::IsResourceExhausted(full)) << full;
    EXPECT_TRUE((*kv)->waits_for_space());
    EXPECT_TRUE(absl::IsResourceExhausted((*kv)->Flush()));
    EXPECT_TRUE(Until([&] { return calls > round; }));
    quota.set_capacity_bytes(64 << 20);
    ASSERT_TRUE(Until([&] { return write(written).ok(); }));
    ++written;
    const absl::Status flushed = (*kv)->Flush();
    ASSERT_TRUE(flushed.ok()) << flushed;
  }
  EXPECT_GT(written, 3 * 16) << "as many as have room in memory";
  kv->reset();
  kv = RocksKv::Open(options);
  ASSERT_TRUE(kv.ok()) << kv.status();
  for (int i = 0; i < written; ++i) {
    ASSERT_EQ(Get(**kv, Family::kState, std::to_string(i)), row) << i;
  }
}

// What a compaction has written wins no space until it has ended; a flush does.
TEST_F(RocksKvTest, ACompactionWaitsWhileFlushesStillHaveRoom) {
  SpaceQuota quota(64 << 20);
  const auto env = NewQuotaEnv(quota);
  std::atomic<int> calls = 0;
  RocksOptions options = {.folder = folder_.path(), .ciphers = &ciphers_, .base_env = env.get()};
  options.memtable_bytes = 256 << 10;  // so that 2 MiB are kept for flushes
  options.no_space = [&calls] { ++calls; };
  auto kv = RocksKv::Open(options);
  ASSERT_TRUE(kv.ok()) << kv.status();
  const std::string row(4 << 10, 'r');
  const auto flush_some = [&](const std::string& from) {
    for (int i = 0; i < 40; ++i) {
      Put(**kv, Family::kState, std::to_string(i) + from, row);
    }
    return (*kv)->Flush();
  };
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(flush_some(std::to_string(i)).ok());
  const uint64_t used = (64 << 20) - quota.free_bytes();
  quota.set_capacity_bytes(used + (1900 << 10));
  ASSERT_TRUE(flush_some("fourth").ok());  // begins a compaction
  ASSERT_TRUE(Until([&] { return (*kv)->waits_for_space(); }));
  Put(**kv, Family::kState, "small", "row");
  const absl::Status flushed = (*kv)->Flush();
  EXPECT_TRUE(flushed.ok()) << flushed;
  EXPECT_TRUE((*kv)->waits_for_space());
  EXPECT_EQ(calls, 0);
  quota.set_capacity_bytes(64 << 20);
  EXPECT_TRUE(Until([&] { return !(*kv)->waits_for_space(); }));
}

TEST_F(RocksKvTest, IsClosedWhileAFlushWaitsForSpace) {
  SpaceQuota quota(64 << 20);
  const auto env = NewQuotaEnv(quota);
  RocksOptions options = {.folder = folder_.path(), .ciphers = &ciphers_, .base_env = env.get()};
  absl::Notification waits;
  // It is asked for room, has enough, and then it is gone.
  options.no_space = [&] {
    if (!waits.HasBeenNotified()) waits.Notify();
  };
  auto kv = RocksKv::Open(options);
  ASSERT_TRUE(kv.ok()) << kv.status();
  for (int i = 0; i < 2'000; ++i) Put(**kv, Family::kState, std::to_string(i), "row");
  quota.set_reported_free_bytes(64 << 20);
  quota.TakeRest();
  absl::Status flushed;
  std::thread flusher([&] { flushed = (*kv)->Flush(); });
  waits.WaitForNotification();
  (*kv)->StopWaiting();
  flusher.join();
  EXPECT_TRUE(absl::IsResourceExhausted(flushed)) << flushed;
  EXPECT_TRUE(absl::IsCancelled((*kv)->Flush()));
}

TEST_F(RocksKvTest, KeepsFamiliesApart) {
  auto kv = Open();
  Put(*kv, Family::kState, "k", "state");
  Put(*kv, Family::kChunk, "k", "chunk");
  EXPECT_EQ(Get(*kv, Family::kState, "k"), "state");
  EXPECT_EQ(Get(*kv, Family::kChunk, "k"), "chunk");
  EXPECT_EQ(Get(*kv, Family::kLog, "k"), std::nullopt);
}

// P2: what closing leaves behind is what a crash leaves, in all families alike.
TEST_F(RocksKvTest, ClosingLosesAllFamiliesBackToTheLastFlush) {
  auto kv = Open();
  Put(*kv, Family::kMeta, "position", "1");
  Put(*kv, Family::kState, "a", "1");
  ASSERT_TRUE(kv->Flush().ok());
  Put(*kv, Family::kMeta, "position", "2");
  Put(*kv, Family::kState, "a", "2");
  Put(*kv, Family::kLog, "b", "2");
  kv.reset();
  kv = Open();
  EXPECT_EQ(Get(*kv, Family::kMeta, "position"), "1");
  EXPECT_EQ(Get(*kv, Family::kState, "a"), "1");
  EXPECT_EQ(Get(*kv, Family::kLog, "b"), std::nullopt);
}

TEST_F(RocksKvTest, AppliesABatchInItsOrder) {
  auto kv = Open();
  KvBatch inner;
  inner.Put("a", "1");
  inner.DeleteRange("a", "c");
  inner.Put("b", "2");
  RocksBatch batch;
  batch.Append(Family::kState, "prefix/", inner);
  ASSERT_TRUE(kv->Write(batch).ok());
  EXPECT_EQ(Get(*kv, Family::kState, "prefix/a"), std::nullopt);
  EXPECT_EQ(Get(*kv, Family::kState, "prefix/b"), "2");
}

TEST_F(RocksKvTest, AViewStandsStillAndOutlivesItsStore) {
  auto kv = Open();
  Put(*kv, Family::kState, "p/a", "old");
  std::unique_ptr<KvReader> view = kv->NewView(Family::kState, "p/");
  Put(*kv, Family::kState, "p/a", "new");
  kv.reset();
  EXPECT_EQ(*view->Get("a"), "old");
  auto rows = view->NewIterator("", "z");
  view.reset();
  rows->Seek("");
  ASSERT_TRUE(rows->Valid());
  EXPECT_EQ(rows->key(), "a");
  EXPECT_EQ(rows->value(), "old");
}

TEST_F(RocksKvTest, AnIteratorStaysWithinItsBounds) {
  auto kv = Open();
  for (const char* key : {"o/z", "p/a", "p/b", "p/c", "q/a"}) Put(*kv, Family::kState, key, key);
  auto rows = kv->NewIterator(Family::kState, "p/", PrefixEnd("p/"));
  std::vector<std::string> keys;
  for (rows->Seek(""); rows->Valid(); rows->Next()) keys.emplace_back(rows->key());
  ASSERT_TRUE(rows->status().ok());
  EXPECT_EQ(keys, (std::vector<std::string>{"p/a", "p/b", "p/c"}));
}

// The rows of all names, against a model: some in memory, some in files of several generations,
// with filters in many parts, some deleted, also by range; files from before there was a prefix.
TEST_F(RocksKvTest, ANamesRowsAreFoundWhereverTheyAre) {
  constexpr size_t kPrefixBytes = 4;
  constexpr int kNames = 3000;
  // Not a name's end: a NUL in what comes before names.
  const std::string place("a\0b\0", kPrefixBytes);
  SeededRandom random(11);
  std::map<std::string, std::string> model;
  const auto name_of = [](uint64_t i) { return absl::StrCat("o\xc3\xa9", i % 7, "/", i) + '\0'; };
  const auto change = [&](RocksKv& kv, int changes) {
    for (int i = 0; i < changes; ++i) {
      KvBatch batch;
      const std::string name = name_of(random.Uniform(kNames));
      const std::string key = name + std::to_string(random.Uniform(9));
      if (random.Uniform(4) == 0) {
        batch.Delete(key);
        model.erase(key);
      } else if (random.Uniform(500) == 0) {
        const std::string end = KvReader::EndOfName(name);
        batch.DeleteRange(name, end);
        model.erase(model.lower_bound(name), model.lower_bound(end));
      } else {
        model[key] = std::to_string(i) + std::string(64, 'v');
        batch.Put(key, model[key]);
      }
      RocksBatch rows;
      rows.Append(Family::kState, place, batch);
      ASSERT_TRUE(kv.Write(rows).ok());
    }
  };
  size_t found = 0;
  const auto expect_model = [&](RocksKv& kv) {
    const std::unique_ptr<KvReader> view = kv.NewView(Family::kState, place);
    for (uint64_t i = 0; i < kNames + 100; ++i) {
      const std::string name = name_of(i);
      const auto end = model.lower_bound(KvReader::EndOfName(name));
      const std::string from = name + std::to_string(random.Uniform(9));
      for (const std::string& begin : {name, from}) {
        auto expected = model.lower_bound(begin);
        const auto rows = view->NewNameIterator(name);
        for (rows->Seek(begin); rows->Valid(); rows->Next(), ++expected, ++found) {
          ASSERT_NE(expected, end) << rows->key();
          ASSERT_EQ(rows->key(), expected->first);
          ASSERT_EQ(rows->value(), expected->second);
        }
        ASSERT_TRUE(rows->status().ok());
        ASSERT_EQ(expected, end) << "lost: " << expected->first;
      }
    }
    // All of them, past the filters.
    auto expected = model.begin();
    const auto all = view->NewIterator("", "z");
    for (all->Seek(""); all->Valid(); all->Next(), ++expected) {
      ASSERT_NE(expected, model.end());
      ASSERT_EQ(all->key(), expected->first);
    }
    ASSERT_EQ(expected, model.end());
  };
  {
    auto kv = *TryOpen();
    ASSERT_NO_FATAL_FAILURE(change(*kv, 5000));
    ASSERT_TRUE(kv->Flush().ok());
  }
  auto kv = *TryOpen(kPrefixBytes);
  for (int round = 0; round < 6; ++round) {
    ASSERT_NO_FATAL_FAILURE(change(*kv, 10'000));
    ASSERT_NO_FATAL_FAILURE(expect_model(*kv));
    ASSERT_TRUE(kv->Flush().ok());
    ASSERT_NO_FATAL_FAILURE(change(*kv, 100));
    ASSERT_NO_FATAL_FAILURE(expect_model(*kv));
  }
  EXPECT_GT(found, 50'000u);
}

// I9.
TEST_F(RocksKvTest, NoFileHoldsAKeyOrValueReadably) {
  const std::string marker = "a-marker-of-thirty-two-characters";
  auto kv = Open();
  Put(*kv, Family::kState, "key-" + marker, "value-" + marker);
  ASSERT_TRUE(kv->Flush().ok());
  size_t files = 0;
  for (const auto& file : fs::recursive_directory_iterator(folder_.path())) {
    ++files;
    EXPECT_EQ(ReadFile(file.path()).find("marker-of-thirty"), std::string::npos) << file.path();
    EXPECT_NE(file.path().filename().string().substr(0, 3), "LOG") << "an info log";
  }
  EXPECT_FALSE(Tables().empty());
  EXPECT_GE(files, 5u);
  kv.reset();
  EXPECT_EQ(Get(*Open(), Family::kState, "key-" + marker), "value-" + marker);
}

// I10.
TEST_F(RocksKvTest, DamageIsReportedAndNeverAbsence) {
  auto kv = Open();
  Put(*kv, Family::kState, "k", std::string(2000, 'v'));
  ASSERT_TRUE(kv->Flush().ok());
  kv.reset();
  ASSERT_EQ(Tables().size(), 1u);
  {
    std::fstream file(Tables()[0], std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(4096 + 1000);
    file.put('#');
  }
  kv = Open();
  EXPECT_TRUE(absl::IsDataLoss(kv->Get(Family::kState, "k").status()));
}

TEST_F(RocksKvTest, AnotherNodesKeyDoesNotOpenIt) {
  Open().reset();
  ciphers_.~KeystreamCiphers();
  new (&ciphers_) KeystreamCiphers(2);
  const absl::Status status = TryOpen().status();
  EXPECT_TRUE(absl::IsFailedPrecondition(status)) << status;
  EXPECT_NE(status.message().find("another node key"), absl::string_view::npos) << status;
}

TEST_F(RocksKvTest, ASecondOpeningIsRefused) {
  auto kv = Open();
  EXPECT_FALSE(TryOpen().ok());
}

TEST_F(RocksKvTest, RemovesFilesThatACrashLeftUnnamed) {
  Open().reset();
  const fs::path leftover = fs::path(folder_.path()) / "000099.sst.unnamed";
  std::ofstream(leftover) << "half a prefix";
  Open().reset();
  EXPECT_FALSE(fs::exists(leftover));
}

TEST(PrefixEnd, IsTheFirstKeyBeyondThePrefix) {
  EXPECT_EQ(PrefixEnd("ab"), "ac");
  EXPECT_EQ(PrefixEnd("a\xff"), "b");
  EXPECT_EQ(PrefixEnd("\xff\xff"), "");
}

}  // namespace
}  // namespace meridian::storage
