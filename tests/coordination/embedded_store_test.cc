#include "coordination/embedded/embedded_store.h"

#include <atomic>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <memory>
#include <string>

#include "coordination/embedded/row_format.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "rocksdb/env.h"
#include "storage/rocks/encrypted_env.h"
#include "tests/coordination/blocking_store.h"
#include "tests/fakes/space_quota.h"
#include "tests/storage/rocks/keystream_ciphers.h"

namespace meridian::coordination {
namespace {

class EmbeddedStore : public testing::Test {
 protected:
  EmbeddedStore()
      : folder_(std::filesystem::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~EmbeddedStore() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return folder_ / "store"; }
  absl::StatusOr<std::unique_ptr<CoordinationStore>> Open() {
    return OpenEmbeddedStore(path(), ciphers_);
  }
  // Changes a row behind the store's back.
  void Overwrite(std::string_view row_key, const std::string& value) {
    const auto env = storage::NewEncryptedEnv(rocksdb::Env::Default(), ciphers_);
    rocksdb::Options options;
    options.env = env.get();
    rocksdb::DB* raw = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(options, path(), &raw).ok());
    const std::unique_ptr<rocksdb::DB> db(raw);
    ASSERT_TRUE(
        db->Put(rocksdb::WriteOptions(), rocksdb::Slice(row_key.data(), row_key.size()), value)
            .ok());
  }

  storage::KeystreamCiphers ciphers_;

 private:
  const std::filesystem::path folder_;
};

TEST_F(EmbeddedStore, KeepsRowsAndRevisionsAcrossReopening) {
  int64_t revision = 0;
  {
    auto store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    ASSERT_TRUE(BlockingCommit(**store, {.writes = {{"a", "1"}, {"gone", "1"}}}).ok());
    revision = BlockingCommit(**store, {.writes = {{"a", "2"}, {"gone", std::nullopt}}})->revision;
  }
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  const auto row = BlockingGet(**store, "a");
  ASSERT_TRUE(row.ok() && row->has_value());
  EXPECT_EQ((*row)->value, "2");
  EXPECT_EQ((*row)->mod_revision, revision);
  EXPECT_FALSE(BlockingGet(**store, "gone")->has_value());
  EXPECT_GT(BlockingCommit(**store, {.writes = {{"b", "1"}}})->revision, revision);
}

TEST_F(EmbeddedStore, WhatAnEarlierProcessAnnouncedIsGone) {
  std::filesystem::path copy = path() + "-as-it-was";
  int64_t revision = 0;
  {
    auto store = Open();
    ASSERT_TRUE(store.ok()) << store.status();
    const auto presence = (*store)->Announce("node/a", "endpoint", absl::Seconds(10));
    revision = AwaitRow(**store, "node/a").mod_revision;
    std::filesystem::copy(path(), copy, std::filesystem::copy_options::recursive);  // a crash
  }
  for (const std::string& folder : {path(), copy.string()}) {
    auto store = OpenEmbeddedStore(folder, ciphers_);
    ASSERT_TRUE(store.ok()) << store.status();
    EXPECT_FALSE(BlockingGet(**store, "node/a")->has_value());
    EXPECT_GT(BlockingCommit(**store, {.writes = {{"b", "1"}}})->revision, revision);
  }
}

TEST_F(EmbeddedStore, RefusesASecondOpeningOfItsFolder) {
  auto first = Open();
  ASSERT_TRUE(first.ok()) << first.status();
  const auto second = Open();
  EXPECT_EQ(second.status().code(), absl::StatusCode::kFailedPrecondition) << second.status();
  EXPECT_NE(second.status().message().find("open already"), absl::string_view::npos);
  EXPECT_NE(second.status().message().find(path()), absl::string_view::npos);
  EXPECT_TRUE(BlockingCommit(**first, {.writes = {{"a", "1"}}}).ok());
}

TEST_F(EmbeddedStore, RefusesAnotherFormatVersion) {
  ASSERT_TRUE(Open().ok());
  Overwrite(kFormatRowKey, std::string("\x02\0\0\0", 4));
  const auto refused = Open();
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_NE(refused.status().message().find("version 2"), absl::string_view::npos);
}

TEST_F(EmbeddedStore, RefusesADamagedRevisionRow) {
  ASSERT_TRUE(Open().ok());
  Overwrite(kRevisionRowKey, "short");
  EXPECT_EQ(Open().status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EmbeddedStore, ReportsADamagedDataRowInsteadOfAbsence) {
  ASSERT_TRUE(Open().ok());
  Overwrite(DataRowKey("a"), "short");
  auto store = Open();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ(BlockingGet(**store, "a").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(BlockingList(**store, "").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(EmbeddedStore, RefusesAFolderWhoseParentIsMissing) {
  EXPECT_FALSE(OpenEmbeddedStore(path() + "/no/such", ciphers_).ok());
}

TEST_F(EmbeddedStore, LeavesNothingReadableOnTheDisk) {  // I9
  const std::string key = "group/of some tenant", value = "the endpoints of its members";
  ASSERT_TRUE(BlockingCommit(**Open(), {.writes = {{key, value}}}).ok());
  ASSERT_TRUE(Open().ok());  // the log becomes a table
  size_t files = 0;
  for (const auto& file : std::filesystem::directory_iterator(path())) {
    std::ifstream in(file.path(), std::ios::binary);
    const std::string bytes((std::istreambuf_iterator<char>(in)), std::istreambuf_iterator<char>());
    for (const std::string& plain : {key, value, std::string("rocksdb")}) {
      EXPECT_EQ(bytes.find(plain), std::string::npos) << file.path() << " holds " << plain;
    }
    ++files;
  }
  EXPECT_GT(files, 3u);
}

TEST_F(EmbeddedStore, RefusesAFolderThatOtherKeysWrote) {
  ASSERT_TRUE(Open().ok());
  storage::KeystreamCiphers others(2);
  const auto refused = OpenEmbeddedStore(path(), others);
  EXPECT_EQ(refused.status().code(), absl::StatusCode::kFailedPrecondition) << refused.status();
  EXPECT_NE(refused.status().message().find(path()), absl::string_view::npos);
  EXPECT_TRUE(Open().ok());
}

class FullCoordinationDisk : public EmbeddedStore {
 protected:
  absl::StatusOr<std::unique_ptr<CoordinationStore>> OpenSmall() {
    return OpenEmbeddedStore(path(), ciphers_, env_.get());
  }
  static constexpr uint64_t kRoom = 64 << 20;
  storage::SpaceQuota quota_{kRoom};
  const std::unique_ptr<rocksdb::Env> env_ = storage::NewQuotaEnv(quota_);
};

TEST_F(FullCoordinationDisk, ReadsGoOnAndWritesComeBackByThemselves) {
  auto store = OpenSmall();
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(BlockingCommit(**store, {.writes = {{"a", "1"}}}).ok());
  quota_.set_capacity_bytes(0);
  for (int i = 0; i < 3; ++i) {
    const auto refused = BlockingCommit(**store, {.writes = {{"a", "2"}}});
    EXPECT_EQ(refused.status().code(), absl::StatusCode::kResourceExhausted) << refused.status();
    EXPECT_EQ((*BlockingGet(**store, "a"))->value, "1");
    EXPECT_EQ(BlockingList(**store, "")->size(), 1u);
  }
  quota_.set_capacity_bytes(kRoom);
  EXPECT_TRUE(BlockingCommit(**store, {.writes = {{"a", "3"}}}).ok());
  EXPECT_EQ((*BlockingGet(**store, "a"))->value, "3");
}

TEST_F(FullCoordinationDisk, AnAnnouncementIsMadeOnceThereIsSpace) {
  auto store = OpenSmall();
  ASSERT_TRUE(store.ok()) << store.status();
  quota_.set_capacity_bytes(0);
  const auto presence = (*store)->Announce("node/a", "endpoint", absl::Seconds(10));
  EXPECT_FALSE(BlockingGet(**store, "node/a")->has_value());
  quota_.set_capacity_bytes(kRoom);
  EXPECT_EQ(AwaitRow(**store, "node/a").value, "endpoint");
}

// Another program takes the last space between the question for it and the write.
TEST_F(FullCoordinationDisk, AWriteThatFindsNoSpaceIsOfUnknownOutcomeAndSpoilsNothing) {
  auto store = OpenSmall();
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(BlockingCommit(**store, {.writes = {{"a", "1"}}}).ok());
  // Larger than all that is left, which is enough for any other.
  const std::string large(kRoom, 'x');
  const auto unknown = BlockingCommit(**store, {.writes = {{"large", large}}});
  EXPECT_EQ(unknown.status().code(), absl::StatusCode::kUnavailable) << unknown.status();
  EXPECT_EQ((*BlockingGet(**store, "a"))->value, "1");
  quota_.set_capacity_bytes(2 * kRoom);
  const auto next = BlockingCommit(**store, {.writes = {{"b", "2"}}});
  ASSERT_TRUE(next.ok()) << next.status();
  store->reset();
  store = OpenSmall();
  ASSERT_TRUE(store.ok()) << store.status();
  EXPECT_EQ((*BlockingGet(**store, "a"))->value, "1");
  EXPECT_EQ((*BlockingGet(**store, "b"))->value, "2");
  EXPECT_FALSE(BlockingGet(**store, "large")->has_value());
}

// Makes no file while the test says so, as on a disk that has become full again.
class NoNewFiles : public rocksdb::EnvWrapper {
 public:
  explicit NoNewFiles(rocksdb::Env* base) : rocksdb::EnvWrapper(base) {}
  const char* Name() const override { return "NoNewFiles"; }
  rocksdb::Status NewWritableFile(const std::string& name,
                                  std::unique_ptr<rocksdb::WritableFile>* file,
                                  const rocksdb::EnvOptions& options) override {
    if (refuse) return rocksdb::Status::NoSpace();
    return EnvWrapper::NewWritableFile(name, file, options);
  }
  std::atomic<bool> refuse = false;
};

TEST_F(FullCoordinationDisk, AStoreThatCannotBeOpenedAgainForWantOfSpaceIsOnceThereIsSome) {
  NoNewFiles env(env_.get());
  auto store = OpenEmbeddedStore(path(), ciphers_, &env);
  ASSERT_TRUE(store.ok()) << store.status();
  ASSERT_TRUE(BlockingCommit(**store, {.writes = {{"a", "1"}}}).ok());
  ASSERT_FALSE(BlockingCommit(**store, {.writes = {{"large", std::string(kRoom, 'x')}}}).ok());
  quota_.set_capacity_bytes(2 * kRoom);
  env.refuse = true;
  for (int i = 0; i < 2; ++i) {
    EXPECT_FALSE(BlockingCommit(**store, {.writes = {{"b", "2"}}}).ok());
    EXPECT_EQ(BlockingGet(**store, "a").status().code(), absl::StatusCode::kUnavailable);
  }
  env.refuse = false;
  const auto read = BlockingGet(**store, "a");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ((*read)->value, "1");
  EXPECT_TRUE(BlockingCommit(**store, {.writes = {{"b", "2"}}}).ok());
  store->reset();
}

// The bytes on disk of format version 1.
TEST(RowFormat, Golden) {
  EXPECT_EQ(EncodeFormatRow(), std::string("\x01\0\0\0", 4));
  EXPECT_EQ(EncodeRevisionRow(0x0102030405060708), "\x08\x07\x06\x05\x04\x03\x02\x01");
  EXPECT_EQ(DataRowKey("group/1"), "kgroup/1");
  EXPECT_EQ(EncodeDataRow(258, "value"), std::string("\x02\x01\0\0\0\0\0\0value", 13));
}

TEST(RowFormat, DecodesWhatItEncoded) {
  const auto row = DecodeDataRow(DataRowKey("key"), EncodeDataRow(7, "value"));
  ASSERT_TRUE(row.ok());
  EXPECT_EQ(row->key, "key");
  EXPECT_EQ(row->value, "value");
  EXPECT_EQ(row->mod_revision, 7);
  EXPECT_EQ(DecodeRevisionRow(EncodeRevisionRow(9)).value(), 9);
}

TEST(RowFormat, RefusesBytesThatItDidNotWrite) {
  EXPECT_EQ(DecodeDataRow("k", EncodeDataRow(7, "v")).status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeDataRow("xkey", EncodeDataRow(7, "v")).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(DecodeDataRow("kkey", "1234567").status().code(), absl::StatusCode::kDataLoss);
  EXPECT_EQ(CheckFormatRow("").code(), absl::StatusCode::kDataLoss);
}

}  // namespace
}  // namespace meridian::coordination
