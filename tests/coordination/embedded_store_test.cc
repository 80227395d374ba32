#include "coordination/embedded/embedded_store.h"

#include <filesystem>
#include <memory>
#include <string>

#include "coordination/embedded/row_format.h"
#include "gtest/gtest.h"
#include "rocksdb/db.h"
#include "tests/coordination/blocking_store.h"

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
    return OpenEmbeddedStore(path(), nullptr);
  }
  // Changes a row behind the store's back.
  void Overwrite(std::string_view row_key, const std::string& value) {
    rocksdb::DB* raw = nullptr;
    ASSERT_TRUE(rocksdb::DB::Open(rocksdb::Options(), path(), &raw).ok());
    const std::unique_ptr<rocksdb::DB> db(raw);
    ASSERT_TRUE(
        db->Put(rocksdb::WriteOptions(), rocksdb::Slice(row_key.data(), row_key.size()), value)
            .ok());
  }

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
  EXPECT_FALSE(OpenEmbeddedStore(path() + "/no/such", nullptr).ok());
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
