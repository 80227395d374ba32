// A container of several partitions on a running cluster, as its clients see it: one.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/integration/divide.h"
#include "tests/integration/raw_server.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/z";

class PartitionsTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(
        "regions { name: 'r' zones { name: 'r-1' nodes: ['a'] } "
        "zones { name: 'r-2' nodes: ['b'] } zones { name: 'r-3' nodes: ['c'] } }");
    wrap_coordination_ = [this](std::unique_ptr<coordination::CoordinationStore> store) {
      store_ = store.get();
      return store;
    };
    ASSERT_NO_FATAL_FAILURE(ClusterFixture::SetUp());
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "z", v1::ZRS, v1::VERSIONING_ON).ok());
  }

  // Until every server has heard of it, and knows who leads.
  void DivideAt(const std::vector<std::string>& begins) {
    const auto container = client_->GetContainer(kContainer);
    ASSERT_TRUE(container.ok()) << container.status();
    ASSERT_TRUE(Divide({*store_, data_folder(), clock_, random_}, container->uid(), begins).ok());
    const auto nodes = admin_->ListNodes();
    ASSERT_TRUE(nodes.ok()) << nodes.status();
    std::vector<std::string> servers = {cluster_->endpoint()};
    for (const v1::Node& node : nodes->nodes()) servers.push_back(node.endpoint());
    for (const std::string& server : servers) {
      const RawServer raw(profile_, server);
      for (const std::string& begin : begins) {
        EXPECT_TRUE(Until([&] {
          v1::GetRouteRequest request;
          request.set_container(kContainer);
          request.set_object_name(begin);
          v1::Route route;
          return raw.cluster->GetRoute(RawServer::ContextOf(profile_).get(), request, &route)
                     .ok() &&
                 route.begin_name() == begin && !route.leader_endpoint().empty();
        })) << server;
      }
    }
  }
  template <typename Item, typename NameOf>
  std::vector<std::string> Names(PageIterator<Item> items, NameOf name_of) {
    std::vector<std::string> names;
    for (;;) {
      const auto item = items.Next();
      EXPECT_TRUE(item.ok()) << item.status();
      if (!item.ok() || !item->has_value()) return names;
      names.push_back(name_of(**item));
    }
  }
  std::vector<std::string> List(const std::string& delimiter, int32_t page_size) {
    v1::ListObjectsRequest request;
    request.set_container(kContainer);
    request.set_delimiter(delimiter);
    request.set_page_size(page_size);
    return Names(client_->ListObjects(request),
                 [](const ObjectEntry& entry) { return entry.name; });
  }
  size_t GroupCount() {
    v1::ListGroupsRequest request;
    request.set_container(kContainer);
    return Names(admin_->ListGroups(request),
                 [](const v1::Group& group) { return group.partition_id(); })
        .size();
  }

  coordination::CoordinationStore* store_ = nullptr;
  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(PartitionsTest, AreOneContainerToItsClient) {
  // The client knows the undivided map from here on.
  ASSERT_TRUE(Put(*client_, kContainer, "first", "x").ok());
  v1::DeleteObjectRequest deletion;
  deletion.set_container(kContainer);
  deletion.set_name("first");
  ASSERT_TRUE(client_->DeleteObject(deletion).ok());
  DivideAt({"g", "m/5", "m/7", "t"});
  EXPECT_EQ(GroupCount(), 5u);

  std::map<std::string, std::string> bodies;
  for (const char* name : {"a", "f", "g", "h/1", "m/1", "m/5", "m/6", "m/9", "s", "t", "zz"}) {
    bodies[name] = RandomBody(bodies.size() % 3 == 0 ? 3 << 20 : 1000);
  }
  for (const auto& [name, body] : bodies) {
    const auto written = Put(*client_, kContainer, name, body);
    ASSERT_TRUE(written.ok()) << name << ": " << written.status();
  }
  std::vector<std::string> expected;
  for (const auto& [name, body] : bodies) {
    const auto read = Get(*client_, kContainer, name);
    ASSERT_TRUE(read.ok()) << name << ": " << read.status();
    EXPECT_TRUE(*read == body) << name;
    expected.push_back(name);
  }
  EXPECT_EQ(List("", 1000), expected);
  EXPECT_EQ(List("", 2), expected);
  const std::vector<std::string> folded = {"a", "f", "g", "h/", "m/", "s", "t", "zz"};
  EXPECT_EQ(List("/", 1000), folded);
  EXPECT_EQ(List("/", 1), folded);

  v1::ListObjectVersionsRequest versions;
  versions.set_container(kContainer);
  versions.set_page_size(3);
  const auto name_of = [](const v1::Object& version) { return version.name(); };
  std::vector<std::string> all = expected;
  all.insert(all.begin() + 2, {"first", "first"});  // its delete marker, and what that hides
  EXPECT_EQ(Names(client_->ListObjectVersions(versions), name_of), all);
}

TEST_F(PartitionsTest, HaveTheirUploadsListedAndFinished) {
  DivideAt({"g", "t"});
  std::set<std::string> uploads;
  const RawServer front(profile_, cluster_->endpoint());
  for (const char* name : {"a", "h", "i", "z"}) {
    v1::GetRouteRequest where;
    where.set_container(kContainer);
    where.set_object_name(name);
    v1::Route route;
    ASSERT_TRUE(front.cluster->GetRoute(RawServer::ContextOf(profile_).get(), where, &route).ok());
    const RawServer leader(profile_, route.leader_endpoint());
    v1::StartUploadRequest start;
    start.mutable_spec()->set_container(kContainer);
    start.mutable_spec()->set_name(name);
    v1::Upload upload;
    const grpc::Status started =
        leader.uploads->StartUpload(RawServer::ContextOf(profile_).get(), start, &upload);
    ASSERT_TRUE(started.ok()) << started.error_message();
    uploads.insert(upload.name());
  }
  const auto listed = Names(client_->ListUploads(kContainer),
                            [](const v1::Upload& upload) { return upload.name(); });
  EXPECT_EQ(std::set<std::string>(listed.begin(), listed.end()), uploads);
  EXPECT_EQ(listed.size(), uploads.size());
  // By a client that has only the name of the upload.
  for (const std::string& upload : uploads) {
    Client another(profile_);
    EXPECT_TRUE(another.AbortUpload(upload).ok()) << upload;
  }
  EXPECT_TRUE(Names(client_->ListUploads(kContainer), [](const v1::Upload& upload) {
                return upload.name();
              }).empty());
}

TEST_F(PartitionsTest, GoWithTheirContainerOnceAllAreEmpty) {
  DivideAt({"g", "t"});
  ASSERT_TRUE(Put(*client_, kContainer, "z", "x").ok());
  const absl::Status refused = client_->DeleteContainer(kContainer);
  EXPECT_EQ(ErrorReasonOf(refused), "NOT_EMPTY") << refused;
  const auto read = Get(*client_, kContainer, "z");
  EXPECT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(Put(*client_, kContainer, "a", "x").ok()) << "the others are open again";
  v1::ListObjectVersionsRequest versions;
  versions.set_container(kContainer);
  auto left = client_->ListObjectVersions(versions);
  for (auto version = left.Next(); version.ok() && version->has_value(); version = left.Next()) {
    v1::DeleteObjectRequest deletion;
    deletion.set_container(kContainer);
    deletion.set_name((*version)->name());
    deletion.set_version_id((*version)->version_id());
    ASSERT_TRUE(client_->DeleteObject(deletion).ok());
  }
  const absl::Status deleted = client_->DeleteContainer(kContainer);
  ASSERT_TRUE(deleted.ok()) << deleted;
  EXPECT_EQ(client_->GetContainer(kContainer).status().code(), absl::StatusCode::kNotFound);
  for (const char* prefix : {"group/", "partition/"}) {
    const auto rows = coordination::BlockingList(*store_, prefix);
    ASSERT_TRUE(rows.ok());
    EXPECT_TRUE(rows->empty()) << prefix;
  }
}

// Partitions split by themselves, at sizes that a test can reach.
class SplittingTest : public PartitionsTest {
 protected:
  static constexpr int kWriters = 4;
  static constexpr int kObjects = 90;  // of each writer

  void Configure(server::DevOptions& options) override {
    options.splits.interval = absl::Milliseconds(100);
    options.splits.steady = absl::ZeroDuration();
    options.splits.max_versions = 60;
    options.splits.min_versions = 10;
  }
  static std::string NameOf(int writer, int number) {
    return absl::StrCat(number * 7919 % 1000, "/", writer);
  }
  static std::string BodyOf(const std::string& name, int number) {
    // In one message; as a stream; in chunks of an upload.
    const size_t size = number % 15 == 0 ? 2 << 20 : number % 40 == 1 ? 17 << 20 : 100;
    std::string body;
    while (body.size() < size) body.append(name).append(" ");
    body.resize(size);
    return body;
  }
};

TEST_F(SplittingTest, NeitherLosesNorHidesAnythingWhileItIsWrittenAndListed) {
  absl::Mutex mutex;
  std::set<std::string> written;
  std::atomic<int> running{kWriters};
  std::vector<std::thread> writers;
  for (int writer = 0; writer < kWriters; ++writer) {
    writers.emplace_back([&, writer] {
      Client client(profile_);
      for (int number = 0; number < kObjects; ++number) {
        const std::string name = NameOf(writer, number);
        const auto put = Put(client, kContainer, name, BodyOf(name, number));
        EXPECT_TRUE(put.ok()) << name << ": " << put.status();
        absl::MutexLock lock(&mutex);
        written.insert(name);
      }
      --running;
    });
  }
  int listings = 0;
  do {
    std::set<std::string> before;
    {
      absl::MutexLock lock(&mutex);
      before = written;
    }
    const std::vector<std::string> names = List("", 25);
    EXPECT_TRUE(std::is_sorted(names.begin(), names.end()));
    const std::set<std::string> listed(names.begin(), names.end());
    EXPECT_EQ(listed.size(), names.size()) << "a name came twice";
    EXPECT_TRUE(std::includes(listed.begin(), listed.end(), before.begin(), before.end()));
    ++listings;
  } while (running > 0);
  for (std::thread& writer : writers) writer.join();
  EXPECT_GT(listings, 1);
  EXPECT_TRUE(Until([&] { return GroupCount() >= 4; }));
  EXPECT_EQ(List("", 1000), std::vector<std::string>(written.begin(), written.end()));
  for (int writer = 0; writer < kWriters; ++writer) {
    for (int number = 0; number < kObjects; ++number) {
      const std::string name = NameOf(writer, number);
      const auto read = Get(*client_, kContainer, name);
      ASSERT_TRUE(read.ok()) << name << ": " << read.status();
      EXPECT_TRUE(*read == BodyOf(name, number)) << name;
    }
  }
}

}  // namespace
}  // namespace meridian
