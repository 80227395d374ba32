// What every implementation of the KV seam (storage/kv.h) does. Instantiate the suite with a
// Subject, default constructible:
//
//   struct Subject {
//     void Apply(const KvBatch& batch);
//     std::unique_ptr<KvReader> NewView();
//   };
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "gtest/gtest.h"
#include "storage/kv.h"

namespace meridian::storage {

template <typename Subject>
class KvConformance : public testing::Test {
 protected:
  using Rows = std::vector<std::pair<std::string, std::string>>;

  void Put(std::string key, std::string value) {
    KvBatch batch;
    batch.Put(std::move(key), std::move(value));
    subject_.Apply(batch);
  }
  static std::optional<std::string> Get(const KvReader& view, std::string_view key) {
    auto value = view.Get(key);
    EXPECT_TRUE(value.ok()) << value.status();
    return value.ok() ? *value : std::nullopt;
  }
  static Rows Scan(const KvReader& view, std::string_view lower, std::string_view upper,
                   std::string_view from = "") {
    Rows rows;
    const std::unique_ptr<KvIterator> it = view.NewIterator(lower, upper);
    for (it->Seek(from); it->Valid(); it->Next()) rows.emplace_back(it->key(), it->value());
    EXPECT_TRUE(it->status().ok()) << it->status();
    return rows;
  }

  Subject subject_;
};

TYPED_TEST_SUITE_P(KvConformance);

TYPED_TEST_P(KvConformance, TellsAbsenceFromAnEmptyValue) {
  this->Put("empty", "");
  const auto view = this->subject_.NewView();
  EXPECT_EQ(this->Get(*view, "empty"), "");
  EXPECT_EQ(this->Get(*view, "absent"), std::nullopt);
}

TYPED_TEST_P(KvConformance, AppliesChangesInTheOrderAdded) {
  KvBatch batch;
  batch.Put("a", "1");
  batch.Put("a", "2");
  batch.Put("b", "1");
  batch.DeleteRange("b", "d");
  batch.Put("c", "3");
  batch.Delete("a");
  this->subject_.Apply(batch);
  EXPECT_EQ(this->Scan(*this->subject_.NewView(), "", "z"),
            (typename TestFixture::Rows{{"c", "3"}}));
}

TYPED_TEST_P(KvConformance, AnEmptyRangeDeletesNothing) {
  this->Put("a", "1");
  KvBatch batch;
  batch.DeleteRange("a", "a");
  this->subject_.Apply(batch);
  EXPECT_EQ(this->Get(*this->subject_.NewView(), "a"), "1");
}

TYPED_TEST_P(KvConformance, IteratesBytesInUnsignedOrderAndWithNul) {
  const std::string nul("a\0b", 3);
  for (const std::string& key :
       {std::string("a"), nul, std::string("a\xff"), std::string("\x7f")}) {
    this->Put(key, "v");
  }
  EXPECT_EQ(this->Scan(*this->subject_.NewView(), "", "\xff"),
            (typename TestFixture::Rows{{"a", "v"}, {nul, "v"}, {"a\xff", "v"}, {"\x7f", "v"}}));
}

TYPED_TEST_P(KvConformance, ASeekBelowTheLowerBoundBeginsAtIt) {
  for (const char* key : {"a", "b", "c", "d"}) this->Put(key, "v");
  const auto view = this->subject_.NewView();
  EXPECT_EQ(this->Scan(*view, "b", "d", "a"), (typename TestFixture::Rows{{"b", "v"}, {"c", "v"}}));
  EXPECT_TRUE(this->Scan(*view, "b", "d", "d").empty());
  EXPECT_TRUE(this->Scan(*view, "c", "c").empty());
}

TYPED_TEST_P(KvConformance, IteratesTheRowsOfOneName) {
  const auto row = [](const std::string& name, const std::string& rest) {
    return name + '\0' + rest;
  };
  for (const std::string& key :
       {row("a", "1"), row("a", "2"), row("a\xc3\xa9", "1"), row("ab", "1"), row("b", "\xff")}) {
    this->Put(key, "v");
  }
  const auto view = this->subject_.NewView();
  const auto count = [&](const std::string& name, const std::string& from) {
    int rows = 0;
    const auto it = view->NewNameIterator(row(name, ""));
    for (it->Seek(row(name, from)); it->Valid(); it->Next()) ++rows;
    EXPECT_TRUE(it->status().ok());
    return rows;
  };
  EXPECT_EQ(count("a", ""), 2);
  EXPECT_EQ(count("a", "2"), 1);
  EXPECT_EQ(count("a", "3"), 0);
  EXPECT_EQ(count("a\xc3\xa9", ""), 1);
  EXPECT_EQ(count("b", ""), 1);
  EXPECT_EQ(count("aa", ""), 0);
  EXPECT_EQ(count("c", ""), 0);
}

TYPED_TEST_P(KvConformance, ViewsAndTheirIteratorsStandStill) {
  this->Put("a", "old");
  auto view = this->subject_.NewView();
  const auto it = view->NewIterator("", "z");
  KvBatch batch;
  batch.Put("a", "new");
  batch.Put("b", "new");
  this->subject_.Apply(batch);
  EXPECT_EQ(this->Get(*view, "a"), "old");
  EXPECT_EQ(this->Get(*view, "b"), std::nullopt);
  view.reset();
  it->Seek("");
  ASSERT_TRUE(it->Valid());
  EXPECT_EQ(it->value(), "old");
  it->Next();
  EXPECT_FALSE(it->Valid());
  EXPECT_TRUE(it->status().ok());
}

TYPED_TEST_P(KvConformance, EqualsAModelUnderRandomBatches) {
  SeededRandom random(5);
  std::map<std::string, std::string> model;
  for (int round = 0; round < 100; ++round) {
    KvBatch batch;
    for (uint64_t n = random.Uniform(8); n > 0; --n) {
      std::string key = absl::StrCat("k", random.Uniform(40));
      std::string end = absl::StrCat("k", random.Uniform(40));
      switch (random.Uniform(4)) {
        case 0:
          if (end < key) std::swap(key, end);
          batch.DeleteRange(key, end);
          model.erase(model.lower_bound(key), model.lower_bound(end));
          break;
        case 1:
          batch.Delete(key);
          model.erase(key);
          break;
        default:
          batch.Put(key, absl::StrCat(round));
          model[key] = absl::StrCat(round);
      }
    }
    this->subject_.Apply(batch);
    const typename TestFixture::Rows expected(model.begin(), model.end());
    ASSERT_EQ(this->Scan(*this->subject_.NewView(), "", "z"), expected) << "round " << round;
  }
}

REGISTER_TYPED_TEST_SUITE_P(KvConformance, TellsAbsenceFromAnEmptyValue,
                            AppliesChangesInTheOrderAdded, AnEmptyRangeDeletesNothing,
                            IteratesBytesInUnsignedOrderAndWithNul,
                            ASeekBelowTheLowerBoundBeginsAtIt, IteratesTheRowsOfOneName,
                            ViewsAndTheirIteratorsStandStill, EqualsAModelUnderRandomBatches);

}  // namespace meridian::storage
