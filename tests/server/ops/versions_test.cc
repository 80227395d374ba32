#include <set>

#include "server/ops/partition.h"
#include "tests/server/ops/fixture.h"

namespace meridian::ops {
namespace {

class Versions : public OpsTest {
 protected:
  absl::StatusOr<v1::DeleteObjectResponse> Delete(const std::string& name,
                                                  const std::string& version_id = {}) {
    v1::DeleteObjectRequest request;
    request.set_name(name);
    request.set_version_id(version_id);
    return DeleteObject(context_, request);
  }
  std::vector<v1::Object> List(v1::ListObjectVersionsRequest request) {
    std::vector<v1::Object> listed;
    do {
      const auto page = ListObjectVersions(context_, request);
      EXPECT_TRUE(page.ok()) << page.status();
      if (!page.ok()) break;
      listed.insert(listed.end(), page->versions().begin(), page->versions().end());
      request.set_page_token(page->next_page_token());
    } while (!request.page_token().empty());
    return listed;
  }
};

TEST_F(Versions, AreDeletedWithAMarkerListedAndRestored) {
  context_.keep_versions = true;
  const auto one = Put("a", "one");
  const auto two = Put("a", "two");
  ASSERT_TRUE(one.ok() && two.ok());
  const auto deleted = Delete("a");
  ASSERT_TRUE(deleted.ok()) << deleted.status();
  EXPECT_EQ(Get("a").status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(DetailOf<v1::ResourceMissing>(Get("a").status()).kind(), v1::ResourceMissing::OBJECT);
  EXPECT_EQ(*Get("a", one->version_id()), "one");
  EXPECT_EQ(ReasonOf(Get("a", deleted->delete_marker_version_id()).status()), v1::IS_DELETE_MARKER);

  v1::ListObjectVersionsRequest list;
  list.set_name("a");
  list.set_page_size(2);
  const std::vector<v1::Object> listed = List(list);
  ASSERT_EQ(listed.size(), 3u);
  EXPECT_TRUE(listed[0].delete_marker());
  EXPECT_TRUE(listed[0].latest());
  EXPECT_EQ(listed[1].version_id(), two->version_id());
  EXPECT_FALSE(listed[1].latest());

  v1::RestoreObjectVersionRequest restore;
  restore.set_name("a");
  restore.set_version_id(one->version_id());
  const auto restored = RestoreObjectVersion(context_, restore);
  ASSERT_TRUE(restored.ok()) << restored.status();
  EXPECT_NE(restored->version_id(), one->version_id());
  EXPECT_EQ(*Get("a"), "one");
  restore.set_version_id(deleted->delete_marker_version_id());
  EXPECT_EQ(ReasonOf(RestoreObjectVersion(context_, restore).status()), v1::IS_DELETE_MARKER);
  restore.set_version_id(std::string(32, '0'));
  EXPECT_EQ(DetailOf<v1::ResourceMissing>(RestoreObjectVersion(context_, restore).status()).kind(),
            v1::ResourceMissing::VERSION);
}

TEST_F(Versions, AreGoneForGoodWhenDeletedById) {
  context_.keep_versions = true;
  const auto one = Put("a", "one");
  const auto two = Put("a", "two");
  ASSERT_TRUE(Delete("a", two->version_id()).ok());
  EXPECT_EQ(*Get("a"), "one");
  ASSERT_TRUE(Delete("a", one->version_id()).ok());
  EXPECT_TRUE(*IsEmpty(*replica_, context_.deadline));
  EXPECT_EQ(Delete("a", one->version_id()).status().code(), absl::StatusCode::kNotFound);
  EXPECT_EQ(ReasonOf(Delete("a", "xyz").status()), v1::INVALID_FIELD);
}

TEST_F(Versions, DeleteRefusesAStaleEtagAndIfNoneMatch) {
  const auto one = Put("a", "one");
  v1::DeleteObjectRequest request;
  request.set_name("a");
  request.mutable_condition()->set_if_match("0123");
  const absl::Status stale = DeleteObject(context_, request).status();
  EXPECT_EQ(DetailOf<v1::PreconditionFailed>(stale).current_etag(), one->etag());
  request.mutable_condition()->set_if_none_match(true);
  EXPECT_EQ(ReasonOf(DeleteObject(context_, request).status()), v1::INVALID_FIELD);
  request.mutable_condition()->set_if_match(one->etag());
  EXPECT_TRUE(DeleteObject(context_, request).ok());
}

TEST_F(Versions, UpdateChangesWhatTheMaskNamesAndKeepsTheBytes) {
  v1::WriteSpec spec = Spec("a");
  spec.set_content_type("text/plain");
  (*spec.mutable_metadata())["k"] = "v";
  const std::string body = RandomBody(random_, 100000);
  const auto written = Put(spec, body);
  v1::UpdateObjectRequest request;
  request.mutable_object()->set_name("a");
  request.mutable_object()->set_content_type("text/html");
  request.mutable_update_mask()->add_paths("content_type");
  const auto updated = UpdateObject(context_, request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(updated->content_type(), "text/html");
  EXPECT_EQ(updated->metadata().at("k"), "v");
  EXPECT_NE(updated->etag(), written->etag());
  EXPECT_EQ(updated->crc32c(), written->crc32c());
  replica_->CollectGarbage();
  EXPECT_EQ(*Get("a"), body);

  request.mutable_update_mask()->set_paths(0, "metadata");
  EXPECT_TRUE(UpdateObject(context_, request)->metadata().empty());
  request.mutable_update_mask()->set_paths(0, "name");
  EXPECT_EQ(ReasonOf(UpdateObject(context_, request).status()), v1::INVALID_FIELD);
  request.clear_update_mask();
  EXPECT_EQ(ReasonOf(UpdateObject(context_, request).status()), v1::INVALID_FIELD);
  request.mutable_update_mask()->add_paths("metadata");
  request.mutable_object()->set_name("missing");
  EXPECT_EQ(UpdateObject(context_, request).status().code(), absl::StatusCode::kNotFound);
}

TEST_F(Versions, UpdateIsMadeFromTheVersionThatItReplaces) {
  ASSERT_TRUE(Put("a", "one").ok());
  v1::UpdateObjectRequest request;
  request.mutable_object()->set_name("a");
  request.mutable_object()->set_content_type("x/y");
  request.mutable_update_mask()->add_paths("content_type");
  *request.mutable_request_id() = NewRequestId();
  // Another writer comes between the read and the proposal.
  replica_->BeforeNextProposal([this] { ASSERT_TRUE(Put("a", "two").ok()); });
  const auto updated = UpdateObject(context_, request);
  ASSERT_TRUE(updated.ok()) << updated.status();
  EXPECT_EQ(*Get("a"), "two");
  // A retry gets the same answer, also when the version is long gone.
  ASSERT_TRUE(Put("a", "three").ok());
  const auto retry = UpdateObject(context_, request);
  ASSERT_TRUE(retry.ok()) << retry.status();
  EXPECT_EQ(retry->SerializeAsString(), updated->SerializeAsString());
  request.mutable_object()->set_content_type("other");
  EXPECT_EQ(ReasonOf(UpdateObject(context_, request).status()), v1::REQUEST_ID_REUSED);
}

class Listing : public OpsTest {};

TEST_F(Listing, GoesThroughPagesWithPrefixAndDelimiter) {
  for (int i = 0; i < 150; ++i) {
    ASSERT_TRUE(Put("f" + std::to_string(100 + i), "x").ok());
    if (i < 3) {
      ASSERT_TRUE(Put("dir" + std::to_string(i) + "/x", "x").ok());
    }
  }
  v1::ListObjectsRequest request;
  request.set_delimiter("/");
  request.set_page_size(70);
  std::vector<std::string> names;
  std::vector<std::string> prefixes;
  int pages = 0;
  do {
    const auto page = ListObjects(context_, request);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LE(page->objects_size() + page->prefixes_size(), 70);
    for (const auto& object : page->objects()) names.push_back(object.name());
    for (const auto& prefix : page->prefixes()) prefixes.push_back(prefix);
    request.set_page_token(page->next_page_token());
    ++pages;
  } while (!request.page_token().empty());
  EXPECT_EQ(pages, 3);
  EXPECT_EQ(names.size(), 150u);
  EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
  EXPECT_EQ(prefixes, (std::vector<std::string>{"dir0/", "dir1/", "dir2/"}));
}

TEST_F(Listing, EndsAPageBeforeItsAnswerGrowsTooLarge) {
  v1::WriteSpec spec = Spec("");
  (*spec.mutable_metadata())["k"] = std::string(8000, 'v');
  std::set<std::string> expected;
  for (int i = 0; i < 400; ++i) {
    spec.set_name("f" + std::to_string(i));
    expected.insert(spec.name());
    ASSERT_TRUE(Put(spec, "x").ok());
  }
  std::set<std::string> names;
  v1::ListObjectsRequest request;
  do {
    const auto page = ListObjects(context_, request);
    ASSERT_TRUE(page.ok()) << page.status();
    EXPECT_LT(page->ByteSizeLong(), size_t{4} << 20);
    for (const auto& object : page->objects()) names.insert(object.name());
    request.set_page_token(page->next_page_token());
  } while (!request.page_token().empty());
  EXPECT_EQ(names, expected);
}

TEST_F(Listing, RefusesTokensOfOtherListsAndMadeUpOnes) {
  for (const std::string name : {"a", "b", "c"}) ASSERT_TRUE(Put(name, "x").ok());
  v1::ListObjectsRequest request;
  request.set_page_size(1);
  const auto page = ListObjects(context_, request);
  ASSERT_TRUE(page.ok());
  ASSERT_FALSE(page->next_page_token().empty());
  request.set_page_token(page->next_page_token());
  request.set_prefix("b");
  EXPECT_EQ(ReasonOf(ListObjects(context_, request).status()), v1::INVALID_PAGE_TOKEN);
  request.set_prefix("");
  for (const std::string token : {"x", "!!!", "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}) {
    request.set_page_token(token);
    EXPECT_EQ(ReasonOf(ListObjects(context_, request).status()), v1::INVALID_PAGE_TOKEN);
  }
  request.clear_page_token();
  request.set_page_size(-1);
  EXPECT_EQ(ReasonOf(ListObjects(context_, request).status()), v1::INVALID_FIELD);
  request.set_page_size(0);
  request.set_delimiter(std::string(17, '/'));
  EXPECT_EQ(ReasonOf(ListObjects(context_, request).status()), v1::INVALID_FIELD);
}

}  // namespace
}  // namespace meridian::ops
