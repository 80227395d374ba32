#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/random.h"
#include "tests/storage/objects/partition.h"

namespace meridian::objects {
namespace {

struct Listed {
  std::vector<std::string> names;
  std::vector<std::string> prefixes;
  int pages = 0;
};

// All pages.
Listed List(const Partition& partition, ListObjectsOptions options) {
  Listed listed;
  const auto view = partition.NewView();
  do {
    const absl::StatusOr<ListObjectsPage> page = ObjectReader(*view).ListObjects(options);
    EXPECT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->objects.size() + page->prefixes.size(), options.limit);
    for (const VersionRow& row : page->objects) listed.names.push_back(row.name);
    listed.prefixes.insert(listed.prefixes.end(), page->prefixes.begin(), page->prefixes.end());
    options.resume = page->next;
    ++listed.pages;
  } while (options.resume.has_value());
  return listed;
}

class WithObjects : public Partition {
 public:
  explicit WithObjects(const std::vector<std::string>& names) {
    keep_versions = true;
    for (const std::string& name : names) ApplyPut(name);
  }
};

TEST(ListObjects, IsInByteOrderOfNames) {
  const WithObjects partition({"b", "ä", "a/b", "a", "a0", "B"});
  EXPECT_EQ(List(partition, {}).names, (std::vector<std::string>{"B", "a", "a/b", "a0", "b", "ä"}));
}

TEST(ListObjects, ShowsEachNameOnceAndNoDeletedOne) {
  WithObjects partition({"a", "a", "a", "a", "a", "a", "b", "c"});
  partition.Apply(partition.Delete("b"));
  EXPECT_EQ(List(partition, {}).names, (std::vector<std::string>{"a", "c"}));
}

TEST(ListObjects, FoldsNamesAtTheDelimiter) {
  const WithObjects partition({"a/1", "a/2/x", "a/2/y", "a/3", "a0", "b/1", "c", "a"});
  const Listed top = List(partition, {.delimiter = "/"});
  EXPECT_EQ(top.names, (std::vector<std::string>{"a", "a0", "c"}));
  EXPECT_EQ(top.prefixes, (std::vector<std::string>{"a/", "b/"}));
  const Listed inner = List(partition, {.prefix = "a/", .delimiter = "/"});
  EXPECT_EQ(inner.names, (std::vector<std::string>{"a/1", "a/3"}));
  EXPECT_EQ(inner.prefixes, (std::vector<std::string>{"a/2/"}));
}

TEST(ListObjects, ShowsACommonPrefixOnlyIfAnObjectIsLeftUnderIt) {
  WithObjects partition({"a/1", "a/2", "b/1", "b/2"});
  partition.Apply(partition.Delete("a/1"));
  partition.Apply(partition.Delete("a/2"));
  partition.Apply(partition.Delete("b/1"));
  EXPECT_EQ(List(partition, {.delimiter = "/"}).prefixes, std::vector<std::string>{"b/"});
}

TEST(ListObjects, StartsAfterANameOrPrefix) {
  const WithObjects partition({"a", "b/1", "b/2", "c"});
  EXPECT_EQ(List(partition, {.start_after = "a"}).names,
            (std::vector<std::string>{"b/1", "b/2", "c"}));
  const Listed after_prefix = List(partition, {.delimiter = "/", .start_after = "b/"});
  EXPECT_TRUE(after_prefix.prefixes.empty());
  EXPECT_EQ(after_prefix.names, std::vector<std::string>{"c"});
  // The prefix is not after a name within it.
  EXPECT_TRUE(List(partition, {.delimiter = "/", .start_after = "b/1"}).prefixes.empty());
  EXPECT_EQ(List(partition, {.delimiter = "/", .start_after = "b"}).prefixes.size(), 1u);
}

TEST(ListObjects, NeverShowsAPrefixOnTwoPages) {
  const WithObjects partition({"a/1", "a/2", "b/1", "c/1", "d"});
  const Listed listed = List(partition, {.delimiter = "/", .limit = 1});
  EXPECT_EQ(listed.prefixes, (std::vector<std::string>{"a/", "b/", "c/"}));
  EXPECT_EQ(listed.names, std::vector<std::string>{"d"});
}

TEST(ListObjects, EndsAPageAtTheBoundOfRowsAndLosesNothing) {
  WithObjects partition({"a/1", "a/2", "a/3", "a/4", "b"});
  for (const char* name : {"a/1", "a/2", "a/3"}) partition.Apply(partition.Delete(name));
  const Listed listed = List(partition, {.delimiter = "/", .max_rows = 1});
  EXPECT_EQ(listed.prefixes, std::vector<std::string>{"a/"});
  EXPECT_EQ(listed.names, std::vector<std::string>{"b"});
  EXPECT_GE(listed.pages, 4);
}

// Against a list made from a set of names, for random names over a small alphabet.
TEST(ListObjects, AgreesWithAModelForRandomNamesAndPages) {
  SeededRandom random(11);
  Partition partition;
  std::set<std::string> model;
  for (int i = 0; i < 300; ++i) {
    std::string name;
    for (uint64_t n = 1 + random.Uniform(6); n > 0; --n) name.push_back("/-0a"[random.Uniform(4)]);
    if (random.Uniform(4) == 0 && model.count(name) > 0) {
      partition.Apply(partition.Delete(name));
      model.erase(name);
    } else {
      partition.ApplyPut(name);
      model.insert(name);
    }
  }
  const std::vector<std::string> starts = {"", "/", "a", "a/", "0-a/", "/a0"};
  for (const std::string prefix : {"", "a", "a/", "/0"}) {
    for (const std::string delimiter : {"", "/", "-0"}) {
      for (const std::string& start_after : starts) {
        std::vector<std::string> names;
        std::set<std::string> prefixes;
        for (const std::string& name : model) {
          if (name.compare(0, prefix.size(), prefix) != 0) continue;
          const size_t at =
              delimiter.empty() ? std::string::npos : name.find(delimiter, prefix.size());
          const std::string shown =
              at == std::string::npos ? name : name.substr(0, at + delimiter.size());
          if (shown <= start_after) continue;
          if (at == std::string::npos) {
            names.push_back(name);
          } else {
            prefixes.insert(shown);
          }
        }
        const Listed listed = List(partition, {.prefix = prefix,
                                               .delimiter = delimiter,
                                               .start_after = start_after,
                                               .limit = 1 + random.Uniform(20),
                                               .max_rows = 1 + random.Uniform(50)});
        EXPECT_EQ(listed.names, names) << prefix << " " << delimiter << " " << start_after;
        EXPECT_EQ(std::set<std::string>(listed.prefixes.begin(), listed.prefixes.end()), prefixes);
        EXPECT_EQ(listed.prefixes.size(), prefixes.size());
        EXPECT_TRUE(std::is_sorted(listed.prefixes.begin(), listed.prefixes.end()));
      }
    }
  }
}

TEST(ListVersions, AreByNameThenNewestFirstAndMarkTheLatestAcrossPages) {
  WithObjects partition({"a", "a", "b", "a"});
  partition.Apply(partition.Delete("a"));
  const auto view = partition.NewView();
  std::vector<std::pair<std::string, bool>> seen;
  std::vector<std::string> ids;
  ListVersionsOptions options;
  options.limit = 2;
  do {
    const auto page = ObjectReader(*view).ListVersions(options);
    ASSERT_TRUE(page.ok());
    for (const auto& item : page->versions) {
      seen.emplace_back(item.row.name, item.latest);
      if (item.row.name == "a") ids.push_back(item.row.record.version_id());
    }
    options.resume = page->next;
  } while (options.resume.has_value());
  EXPECT_EQ(seen, (std::vector<std::pair<std::string, bool>>{
                      {"a", true}, {"a", false}, {"a", false}, {"a", false}, {"b", true}}));
  EXPECT_EQ(ids, partition.VersionIdsOf("a"));
}

TEST(ListVersions, RefusesAPositionThatIsNone) {
  const WithObjects partition({"a"});
  EXPECT_FALSE(
      ObjectReader(*partition.NewView()).ListVersions({.resume = std::string("a\0b", 3)}).ok());
}

TEST(ListVersions, CanBeginAndEndAtNames) {
  const WithObjects partition({"a", "b", "b", "c"});
  const auto page =
      ObjectReader(*partition.NewView()).ListVersions({.end = "c", .resume = std::string("b")});
  ASSERT_TRUE(page.ok()) << page.status();
  ASSERT_EQ(page->versions.size(), 2u);
  EXPECT_EQ(page->versions[0].row.name, "b");
  EXPECT_TRUE(page->versions[0].latest);
  EXPECT_EQ(page->versions[1].row.name, "b");
  EXPECT_FALSE(page->next.has_value());
}

TEST(ListObjects, CanBeginAndEndAtNames) {
  const WithObjects partition({"a", "b", "b/1", "c", "d"});
  EXPECT_EQ(List(partition, {.end = "c", .resume = std::string("b")}).names,
            (std::vector<std::string>{"b", "b/1"}));
}

TEST(ListUploads, GoesPageByPageInTheOrderOfIds) {
  Partition partition;
  std::set<std::string> expected;
  for (int i = 0; i < 5; ++i) {
    const UploadId upload = UploadId::Draw(partition.random());
    expected.insert(std::string(upload.bytes()));
    partition.Apply(partition.StartUpload("a", upload, absl::Hours(1)));
  }
  std::vector<std::string> seen;
  std::optional<UploadId> after;
  const auto view = partition.NewView();
  do {
    const auto page = ObjectReader(*view).ListUploads(after, 2);
    ASSERT_TRUE(page.ok());
    for (const auto& upload : page->uploads) seen.push_back(upload.upload_id());
    after = page->next;
  } while (after.has_value());
  EXPECT_EQ(seen, std::vector<std::string>(expected.begin(), expected.end()));
}

TEST(Reader, TellsAnEmptyPartitionFromOneWithAnythingInIt) {
  Partition partition;
  const auto is_empty = [&partition] { return *ObjectReader(*partition.NewView()).IsEmpty(); };
  EXPECT_TRUE(is_empty());
  partition.ApplyPut("a");
  EXPECT_FALSE(is_empty());
  partition.Apply(partition.Delete("a"));
  EXPECT_TRUE(is_empty());
  partition.Apply(partition.StartUpload("a", UploadId::Draw(partition.random()), absl::Hours(1)));
  EXPECT_FALSE(is_empty());
}

TEST(Reader, TellsWhetherSomethingHasExpired) {
  Partition partition;
  const auto has_expired = [&partition] {
    return *ObjectReader(*partition.NewView())
                .HasExpired(Timestamp(static_cast<uint64_t>(partition.now_us())));
  };
  EXPECT_FALSE(has_expired());
  partition.Apply(partition.StartUpload("a", UploadId::Draw(partition.random()), absl::Hours(1)));
  EXPECT_FALSE(has_expired());
  partition.Advance(absl::Hours(2));
  EXPECT_TRUE(has_expired());
  partition.Apply(partition.Maintain());
  EXPECT_FALSE(has_expired());
}

}  // namespace
}  // namespace meridian::objects
