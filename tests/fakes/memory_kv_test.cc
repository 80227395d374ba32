#include "tests/fakes/memory_kv.h"

#include "gtest/gtest.h"

namespace meridian::storage {
namespace {

std::vector<std::string> Keys(const KvReader& view, std::string_view lower,
                              std::string_view upper) {
  std::vector<std::string> keys;
  const auto row = view.NewIterator(lower, upper);
  for (row->Seek(lower); row->Valid(); row->Next()) keys.emplace_back(row->key());
  return keys;
}

TEST(MemoryKv, AppliesABatchInTheOrderAdded) {
  MemoryKv kv;
  KvBatch batch;
  batch.Put("a", "1");
  batch.DeleteRange("a", "c");
  batch.Put("b", "2");
  batch.Put("b", "3");
  kv.Apply(batch);
  const auto view = kv.NewView();
  EXPECT_EQ(view->Get("a").value(), std::nullopt);
  EXPECT_EQ(view->Get("b").value(), "3");
}

TEST(MemoryKv, AViewKeepsItsStateWhateverIsWrittenAfter) {
  MemoryKv kv;
  KvBatch first;
  first.Put("a", "1");
  first.Put("b", "1");
  kv.Apply(first);
  const auto old_view = kv.NewView();
  for (int round = 0; round < 3; ++round) {
    KvBatch next;
    next.Put("a", "2");
    next.Delete("b");
    next.Put("c", "2");
    kv.Apply(next);
  }
  EXPECT_EQ(Keys(*old_view, "a", "z"), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(old_view->Get("a").value(), "1");
  EXPECT_EQ(Keys(*kv.NewView(), "a", "z"), (std::vector<std::string>{"a", "c"}));
}

TEST(MemoryKv, AViewOutlivesTheStore) {
  std::unique_ptr<KvReader> view;
  {
    MemoryKv kv;
    KvBatch batch;
    batch.Put("a", "1");
    kv.Apply(batch);
    view = kv.NewView();
  }
  EXPECT_EQ(view->Get("a").value(), "1");
}

TEST(MemoryKv, IteratesWithinItsBoundsOnly) {
  MemoryKv kv;
  KvBatch batch;
  for (const char* key : {"a", "b", "c", "d"}) batch.Put(key, "v");
  kv.Apply(batch);
  const auto view = kv.NewView();
  const auto row = view->NewIterator("b", "d");
  row->Seek("");
  ASSERT_TRUE(row->Valid());
  EXPECT_EQ(row->key(), "b");
  row->Seek("d");
  EXPECT_FALSE(row->Valid());
  EXPECT_TRUE(row->status().ok());
}

TEST(MemoryKv, ListsTheNewestRows) {
  MemoryKv kv;
  KvBatch batch;
  batch.Put("a", "1");
  batch.Put("b", "1");
  batch.Delete("a");
  kv.Apply(batch);
  EXPECT_EQ(kv.Rows(), (std::vector<std::pair<std::string, std::string>>{{"b", "1"}}));
}

}  // namespace
}  // namespace meridian::storage
