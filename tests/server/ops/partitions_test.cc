// Lists of containers with several partitions: page by page, each by the partition that the list
// has come to.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "server/ops/uploads.h"
#include "tests/server/ops/fixture.h"

namespace meridian::ops {
namespace {

class Partitions : public OpsTest {
 protected:
  // Divides the names at `bounds`.
  void Divide(const std::vector<std::string>& bounds) {
    ranges_.clear();
    for (size_t i = 0; i <= bounds.size(); ++i) {
      ranges_.push_back({.begin = i == 0 ? "" : bounds[i - 1],
                         .end = i == bounds.size() ? "" : bounds[i],
                         .replica = std::make_shared<FakeReplica>()});
    }
  }
  // As the gateway does.
  const Context& At(std::string_view name) {
    auto range = std::find_if(ranges_.begin(), ranges_.end(), [name](const Range& candidate) {
      return candidate.end.empty() || name < candidate.end;
    });
    context_.replica = range->replica;
    context_.partition_end = range->end;
    return context_;
  }
  void PutAll(const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      At(name);
      ASSERT_TRUE(Put(name, "x").ok());
    }
  }

  struct Listed {
    std::vector<std::string> names;
    std::vector<std::string> prefixes;
    int pages = 0;
  };
  Listed List(v1::ListObjectsRequest request) {
    Listed listed;
    do {
      const absl::StatusOr<std::string> place = PlaceOf(request);
      EXPECT_TRUE(place.ok()) << place.status();
      const auto page = ListObjects(At(*place), request);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) return listed;
      for (const v1::Object& object : page->objects()) listed.names.push_back(object.name());
      listed.prefixes.insert(listed.prefixes.end(), page->prefixes().begin(),
                             page->prefixes().end());
      request.set_page_token(page->next_page_token());
      ++listed.pages;
    } while (!request.page_token().empty());
    return listed;
  }
  static v1::ListObjectsRequest Request(const std::string& prefix, const std::string& delimiter,
                                        const std::string& start_after, int32_t page_size = 1000) {
    v1::ListObjectsRequest request;
    request.set_prefix(prefix);
    request.set_delimiter(delimiter);
    request.set_start_after(start_after);
    request.set_page_size(page_size);
    return request;
  }

 private:
  struct Range {
    std::string begin, end;
    std::shared_ptr<FakeReplica> replica;
  };
  std::vector<Range> ranges_;
};

TEST_F(Partitions, AreListedAsOne) {
  Divide({"b", "c/5", "m", "n"});  // nothing is in [m, n)
  const std::vector<std::string> names = {"a", "b", "b0", "c/1", "c/5", "c/6", "d", "n", "z"};
  PutAll(names);
  EXPECT_EQ(List(Request("", "", "")).names, names);
  EXPECT_EQ(List(Request("", "", "", 1)).names, names);
  EXPECT_EQ(List(Request("c/", "", "")).names, (std::vector<std::string>{"c/1", "c/5", "c/6"}));
  EXPECT_EQ(List(Request("", "", "c/5")).names, (std::vector<std::string>{"c/6", "d", "n", "z"}));
  EXPECT_EQ(List(Request("", "", "m1")).names, (std::vector<std::string>{"n", "z"}));
  EXPECT_TRUE(List(Request("y", "", "")).names.empty());
}

TEST_F(Partitions, AreAskedOnlyIfTheListCanHaveNamesThere) {
  Divide({"b", "c", "d", "e"});
  PutAll({"a", "b/1", "c/1", "d/1", "e/1"});
  EXPECT_EQ(List(Request("c/", "", "")).pages, 1);
  EXPECT_EQ(List(Request("b", "", "")).pages, 1) << "every name with this prefix is below c";
  EXPECT_EQ(List(Request("", "", "d/1")).pages, 2);
}

TEST_F(Partitions, ShowACommonPrefixThatSpansThemOnce) {
  Divide({"a/3", "a/5", "a/7", "b/5"});
  PutAll({"a/1", "a/3", "a/5", "a/6", "b/1", "b/9", "c"});
  for (const int page_size : {1000, 1}) {
    const Listed listed = List(Request("", "/", "", page_size));
    EXPECT_EQ(listed.prefixes, (std::vector<std::string>{"a/", "b/"}));
    EXPECT_EQ(listed.names, std::vector<std::string>{"c"});
  }
  EXPECT_LE(List(Request("", "/", "")).pages, 3) << "those within a/ are passed unasked";
  // The whole prefix lies before the start.
  const Listed after = List(Request("", "/", "a/"));
  EXPECT_EQ(after.prefixes, std::vector<std::string>{"b/"});
  EXPECT_EQ(after.names, std::vector<std::string>{"c"});
}

// Against a list made from a set of names, for random names, divisions and pages.
TEST_F(Partitions, AgreeWithAModelForRandomNamesAndDivisions) {
  SeededRandom random(5);
  const auto draw = [&random](uint64_t most) {
    std::string name;
    for (uint64_t n = 1 + random.Uniform(most); n > 0; --n) {
      name.push_back("/-0a"[random.Uniform(4)]);
    }
    return name;
  };
  for (int round = 0; round < 4; ++round) {
    std::set<std::string> bounds, model;
    while (bounds.size() < 6) bounds.insert(draw(4));
    while (model.size() < 60) model.insert(draw(5));
    Divide({bounds.begin(), bounds.end()});
    PutAll({model.begin(), model.end()});
    for (const std::string prefix : {"", "a", "/0"}) {
      for (const std::string delimiter : {"", "/", "-0"}) {
        for (const std::string& start_after : {std::string(), draw(3), draw(3)}) {
          std::vector<std::string> names;
          std::set<std::string> prefixes;
          for (const std::string& name : model) {
            if (!name.starts_with(prefix)) continue;
            const size_t at =
                delimiter.empty() ? std::string::npos : name.find(delimiter, prefix.size());
            const bool folded = at != std::string::npos;
            const std::string shown = folded ? name.substr(0, at + delimiter.size()) : name;
            if (shown <= start_after) continue;
            if (folded) prefixes.insert(shown);
            if (!folded) names.push_back(name);
          }
          const auto page_size = static_cast<int32_t>(1 + random.Uniform(10));
          const Listed listed = List(Request(prefix, delimiter, start_after, page_size));
          EXPECT_EQ(listed.names, names) << prefix << " " << delimiter << " " << start_after;
          EXPECT_EQ(listed.prefixes, std::vector<std::string>(prefixes.begin(), prefixes.end()))
              << prefix << " " << delimiter << " " << start_after;
        }
      }
    }
  }
}

TEST_F(Partitions, AreListedWithAllVersions) {
  context_.keep_versions = true;
  Divide({"b", "c", "d"});
  PutAll({"a", "b", "b", "b", "d", "d"});
  for (const int page_size : {1000, 2, 1}) {
    v1::ListObjectVersionsRequest request;
    request.set_page_size(page_size);
    std::vector<std::pair<std::string, bool>> seen;
    do {
      const auto place = PlaceOf(request);
      ASSERT_TRUE(place.ok()) << place.status();
      const auto page = ListObjectVersions(At(*place), request);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const v1::Object& version : page->versions()) {
        seen.emplace_back(version.name(), version.latest());
      }
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(seen,
              (std::vector<std::pair<std::string, bool>>{
                  {"a", true}, {"b", true}, {"b", false}, {"b", false}, {"d", true}, {"d", false}}))
        << page_size;
  }
  v1::ListObjectVersionsRequest one;
  one.set_name("b");
  const auto page = ListObjectVersions(At(*PlaceOf(one)), one);
  ASSERT_TRUE(page.ok()) << page.status();
  EXPECT_EQ(page->versions_size(), 3);
  EXPECT_TRUE(page->next_page_token().empty());
}

TEST_F(Partitions, AreListedWithAllUploads) {
  Divide({"b", "c", "d"});
  std::set<std::string> expected;
  for (const char* name : {"a", "a", "b", "d", "d", "d"}) {
    v1::StartUploadRequest start;
    start.mutable_spec()->set_name(name);
    const auto upload = StartUpload(At(name), start);
    ASSERT_TRUE(upload.ok()) << upload.status();
    expected.insert(upload->name());
    EXPECT_EQ(*ObjectOfUpload(upload->name()), name) << "every call on it knows where to go";
  }
  for (const int page_size : {100, 1}) {
    v1::ListUploadsRequest request;
    request.set_page_size(page_size);
    std::multiset<std::string> seen;
    do {
      const auto place = PlaceOf(request);
      ASSERT_TRUE(place.ok()) << place.status();
      const auto page = ListUploads(At(*place), request);
      ASSERT_TRUE(page.ok()) << page.status();
      for (const v1::Upload& upload : page->uploads()) seen.insert(upload.name());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    EXPECT_EQ(seen, std::multiset<std::string>(expected.begin(), expected.end()));
  }
}

TEST_F(Partitions, HaveNoUploadUnderAnotherObjectsName) {
  Divide({"b"});
  v1::StartUploadRequest start;
  start.mutable_spec()->set_name("a");
  const auto upload = StartUpload(At("a"), start);
  ASSERT_TRUE(upload.ok());
  const std::string id = upload->name().substr(0, upload->name().find('.'));
  for (const std::string& name : {id, id + ".", id + ".YQ==x", id + ".Yg", id + ".AA"}) {
    v1::GetUploadRequest request;
    request.set_name(name);
    EXPECT_EQ(GetUpload(context_, request).status().code(), absl::StatusCode::kNotFound) << name;
  }
}

}  // namespace
}  // namespace meridian::ops
