// The client library against servers that fail on demand.
#include "client/client.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "client/admin.h"
#include "client/errors.h"
#include "tests/client/fake_cluster.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/t/containers/c";

// Below default_timeout: who waits longer has waited for a server that hangs.
constexpr absl::Duration kHung = absl::Seconds(15);

ClientOptions Fast() {
  ClientOptions options;
  options.default_timeout = absl::Seconds(20);
  options.attempt_timeout = absl::Milliseconds(700);
  options.initial_backoff = absl::Milliseconds(1);
  options.max_backoff = absl::Milliseconds(20);
  return options;
}

v1::WriteSpec Spec(const std::string& name) {
  v1::WriteSpec spec;
  spec.set_container(kContainer);
  spec.set_name(name);
  return spec;
}

v1::ReadObjectRequest ReadOf(const std::string& name) {
  v1::ReadObjectRequest request;
  request.set_container(kContainer);
  request.set_name(name);
  return request;
}

std::string Bytes(size_t size) {
  std::string bytes(size, '\0');
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + (i >> 12));
  return bytes;
}

// As a pipe: no size, no way back.
class OneWaySource : public ByteSource {
 public:
  explicit OneWaySource(std::string_view bytes) : source_(MakeStringSource(bytes)) {}
  absl::StatusOr<size_t> Read(std::span<char> out) override {
    return source_->Read(out.subspan(0, std::min<size_t>(out.size(), 10'007)));
  }
  std::optional<uint64_t> size() const override { return std::nullopt; }
  bool seekable() const override { return false; }
  absl::Status Seek(uint64_t) override { return absl::UnimplementedError("one way"); }

 private:
  const std::unique_ptr<ByteSource> source_;
};

class ClientTest : public testing::Test {
 protected:
  absl::StatusOr<std::string> Read(Client& client, const std::string& name) {
    std::string body;
    auto object = client.ReadObject(ReadOf(name), *MakeStringSink(&body));
    if (!object.ok()) return object.status();
    return body;
  }

  FakeCluster cluster_{3};
  FakeStore& store_ = cluster_.store();
};

TEST_F(ClientTest, WritesAndReadsBackBodiesOfAnySize) {
  Client client(cluster_.profile(), Fast());
  for (size_t size : {0u, 1u, 1u << 20, (1u << 20) + 1, 3u << 20}) {
    const std::string body = Bytes(size);
    auto written = client.WriteObject(Spec("x"), body);
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(written->size_bytes(), static_cast<int64_t>(size));
    auto read = Read(client, "x");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_TRUE(*read == body) << size;
  }
}

TEST_F(ClientTest, AWriteWhoseAnswerIsLostTakesEffectOnce) {
  Client client(cluster_.profile(), Fast());
  for (size_t size : {10u, 2u << 20}) {
    const int before = store_.effects();
    store_.LoseNextAnswer();
    auto written = client.WriteObject(Spec("x"), Bytes(size));
    ASSERT_TRUE(written.ok()) << written.status();
    EXPECT_EQ(store_.effects(), before + 1);
  }
}

TEST_F(ClientTest, FollowsARedirectToTheLeader) {
  cluster_.SetLeader(2);
  cluster_.ForceRoute(cluster_.endpoint(1));
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), "body").ok());
  EXPECT_EQ(store_.calls(), 1);
}

TEST_F(ClientTest, FallsBackToTheFrontWhileNoLeaderIsKnown) {
  cluster_.ForceRoute("");
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), "body").ok());
}

TEST_F(ClientTest, ALeaderThatDiesCostsNoError) {
  cluster_.SetLeader(1);
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), "one").ok());
  cluster_.Stop(1);
  cluster_.SetLeader(2);
  const absl::Time start = absl::Now();
  for (size_t size : {10u, 2u << 20}) {
    ASSERT_TRUE(client.WriteObject(Spec("x"), Bytes(size)).ok());
  }
  ASSERT_TRUE(Read(client, "x").ok());
  EXPECT_LT(absl::Now() - start, kHung);
}

TEST_F(ClientTest, AsksTheFrontForTheReasonWhileTheLeaderIsGone) {
  cluster_.SetLeader(0);
  cluster_.ForceRoute(cluster_.endpoint(1));
  cluster_.Stop(1);
  for (int i = 0; i < 10'000; ++i) {
    store_.FailNext(FakeError(grpc::StatusCode::UNAVAILABLE, v1::NO_QUORUM, "two copies are gone"));
  }
  Client client(cluster_.profile(), Fast());
  CallOptions options;
  options.timeout = absl::Seconds(2);
  EXPECT_EQ(ErrorReasonOf(client.WriteObject(Spec("x"), "body", options).status()), "NO_QUORUM");
}

TEST_F(ClientTest, ALeaderThatHangsIsLeftAfterTheAttemptsTimeout) {
  Client client(cluster_.profile(), Fast());
  const absl::Time start = absl::Now();
  store_.HangNext();
  EXPECT_TRUE(client.WriteObject(Spec("x"), "one").ok());
  store_.HangNext();
  EXPECT_TRUE(client.WriteObject(Spec("x"), Bytes(2 << 20)).ok());
  store_.HangNext();
  EXPECT_TRUE(Read(client, "x").ok());
  EXPECT_LT(absl::Now() - start, kHung);
}

TEST_F(ClientTest, WhatTheClusterIsLikeIsAskedElsewhereWhenAServerHangs) {
  Admin admin(cluster_.profile(), Fast());
  const absl::Time start = absl::Now();
  store_.HangNext();
  EXPECT_TRUE(admin.ListNodes().ok());
  store_.HangNext();
  EXPECT_TRUE(admin.ListGroups({}).Next().ok());
  EXPECT_LT(absl::Now() - start, kHung);
}

TEST_F(ClientTest, GivesUpAtItsTimeoutWithTheLastError) {
  Client client(cluster_.profile(), Fast());
  for (int i = 0; i < 10'000; ++i) {
    store_.FailNext(FakeError(grpc::StatusCode::UNAVAILABLE, v1::NO_QUORUM, "two copies are gone"));
  }
  CallOptions options;
  options.timeout = absl::Seconds(2);
  const absl::Status status = client.WriteObject(Spec("x"), "body", options).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorReasonOf(status), "NO_QUORUM");
  EXPECT_NE(status.message().find("two copies are gone"), absl::string_view::npos) << status;
  EXPECT_GT(store_.calls(), 2);
}

TEST_F(ClientTest, DoesNotRepeatWhatCannotSucceed) {
  Client client(cluster_.profile(), Fast());
  store_.FailNext(FakeError(grpc::StatusCode::RESOURCE_EXHAUSTED, v1::DISK_FULL, "full"));
  const absl::Status status = client.WriteObject(Spec("x"), "body").status();
  EXPECT_EQ(ErrorReasonOf(status), "DISK_FULL");
  EXPECT_EQ(store_.calls(), 1);
}

TEST_F(ClientTest, TellsTheCurrentEtagOfARefusedCondition) {
  Client client(cluster_.profile(), Fast());
  auto first = client.WriteObject(Spec("x"), "one");
  ASSERT_TRUE(first.ok());
  v1::WriteSpec spec = Spec("x");
  spec.mutable_condition()->set_if_none_match(true);
  const absl::Status status = client.WriteObject(spec, "two").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_EQ(CurrentEtagOf(status), first->etag());
}

TEST_F(ClientTest, ResumesABrokenReadWhereItBroke) {
  Client client(cluster_.profile(), Fast());
  const std::string body = Bytes(1 << 20);
  ASSERT_TRUE(client.WriteObject(Spec("x"), body).ok());
  store_.BreakNextReadAfter(512 << 10);
  auto read = Read(client, "x");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(*read == body);
  EXPECT_LT(store_.read_bytes(), 2 * (1 << 20)) << "it began again";
}

TEST_F(ClientTest, ReadsARange) {
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), "0123456789").ok());
  v1::ReadObjectRequest request = ReadOf("x");
  request.mutable_range()->set_offset_bytes(3);
  request.mutable_range()->set_length_bytes(4);
  std::string body;
  ASSERT_TRUE(client.ReadObject(request, *MakeStringSink(&body)).ok());
  EXPECT_EQ(body, "3456");
}

// Overwrites the object when the first bytes arrive.
class OverwritingSink : public ByteSink {
 public:
  explicit OverwritingSink(Client& client) : client_(client) {}
  absl::Status Write(std::string_view) override {
    if (done_) return absl::OkStatus();
    done_ = true;
    return client_.WriteObject(Spec("x"), "another").status();
  }

 private:
  Client& client_;
  bool done_ = false;
};

TEST_F(ClientTest, NeverMixesTwoVersionsInOneRead) {
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), Bytes(1 << 20)).ok());
  store_.BreakNextReadAfter(512 << 10);
  OverwritingSink sink(client);
  EXPECT_EQ(client.ReadObject(ReadOf("x"), sink).status().code(), absl::StatusCode::kAborted);
}

TEST_F(ClientTest, AReadOfAReplacedVersionBeginsAgainIfNothingWasGivenAwayOrItCanBeTakenBack) {
  Client client(cluster_.profile(), Fast());
  for (int64_t broken_after : {0, 512 << 10}) {
    ASSERT_TRUE(client.WriteObject(Spec("x"), Bytes(1 << 20)).ok());
    store_.BreakNextReadAfter(broken_after,
                              [&] { EXPECT_TRUE(client.WriteObject(Spec("x"), "another").ok()); });
    auto read = Read(client, "x");
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(*read, "another");
  }
}

// As a pipe: what it has it keeps.
class OneWaySink : public ByteSink {
 public:
  absl::Status Write(std::string_view bytes) override {
    taken.append(bytes);
    return absl::OkStatus();
  }
  std::string taken;
};

TEST_F(ClientTest, AReadThatBrokeBeforeTheFirstByteIsOfTheVersionThatIsThereThen) {
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), Bytes(100'000)).ok());
  store_.BreakNextReadAfter(0, [&] { EXPECT_TRUE(client.WriteObject(Spec("x"), "another").ok()); });
  OneWaySink sink;
  const auto read = client.ReadObject(ReadOf("x"), sink);
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->size_bytes(), 7);
  EXPECT_EQ(sink.taken, "another");
}

TEST_F(ClientTest, I10_DamagedBytesAreReportedAndNotGood) {
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("x"), Bytes(200'000)).ok());
  store_.DamageNextRead();
  EXPECT_EQ(Read(client, "x").status().code(), absl::StatusCode::kDataLoss);
}

TEST_F(ClientTest, ResumesABrokenUploadOfAPipe) {
  Client client(cluster_.profile(), Fast());
  const std::string body = Bytes(5 << 20);
  store_.BreakNextUploadAfter(2 << 20);
  OneWaySource source(body);
  auto written = client.WriteObject(Spec("x"), source);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_TRUE(store_.Content(kContainer, "x") == body);
  EXPECT_FALSE(store_.HasUploads());
}

TEST_F(ClientTest, AFailedUploadIsAborted) {
  Client client(cluster_.profile(), Fast());
  v1::WriteSpec spec = Spec("x");
  spec.set_crc32c(1);
  ASSERT_TRUE(client.WriteObject(Spec("x"), "old").ok());
  spec.mutable_condition()->set_if_none_match(true);
  const std::string body = Bytes(2 << 20);
  OneWaySource source(body);
  EXPECT_EQ(client.WriteObject(spec, source).status().code(),
            absl::StatusCode::kFailedPrecondition);
  EXPECT_FALSE(store_.HasUploads());
  EXPECT_EQ(store_.Content(kContainer, "x"), "old");
}

TEST_F(ClientTest, ListsObjectsAndPrefixesInByteOrderOverPages) {
  Client client(cluster_.profile(), Fast());
  for (const char* name : {"b", "a/1", "a/2", "c/1", "d"}) {
    ASSERT_TRUE(client.WriteObject(Spec(name), "").ok());
  }
  v1::ListObjectsRequest request;
  request.set_container(kContainer);
  request.set_delimiter("/");
  request.set_page_size(2);
  std::vector<std::string> names;
  PageIterator<ObjectEntry> entries = client.ListObjects(request);
  for (;;) {
    auto entry = entries.Next();
    ASSERT_TRUE(entry.ok()) << entry.status();
    if (!entry->has_value()) break;
    EXPECT_EQ((*entry)->object.has_value(), (*entry)->name.back() != '/');
    names.push_back((*entry)->name);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"a/", "b", "c/", "d"}));
}

TEST_F(ClientTest, LearnsWhoServesWhichNames) {
  cluster_.SetPartitions({{"", 1}, {"m", 2}});
  cluster_.ForceRoute("");  // only from servers that do not lead
  Client client(cluster_.profile(), Fast());
  for (int i = 0; i < 20; ++i) {
    for (const char* name : {"a", "z", "b", "y"}) {
      ASSERT_TRUE(client.WriteObject(Spec(name + std::to_string(i)), "body").ok());
    }
  }
  EXPECT_LE(cluster_.redirects(), 2) << "one for each range";
}

// Whatever goes on while the map changes: no error, and nothing twice.
TEST_F(ClientTest, AStaleMapIsNoErrorToTheApplication) {
  cluster_.SetPartitions({{"", 1}});
  cluster_.FreezeRoutes();  // the front does not hear of what follows
  Client client(cluster_.profile(), Fast());
  for (const std::map<std::string, int>& map : std::vector<std::map<std::string, int>>{
           {{"", 1}, {"m", 2}}, {{"", 1}, {"g", 0}, {"m", 2}}, {{"", 2}, {"g", 1}}, {{"", 0}}}) {
    for (const char* name : {"a", "h", "z"}) ASSERT_TRUE(client.WriteObject(Spec(name), "x").ok());
    cluster_.SetPartitions(map);
    const int before = store_.effects();
    for (const char* name : {"a", "h", "z"}) {
      for (size_t size : {10u, 2u << 20}) {
        const std::string body = Bytes(size);
        auto written = client.WriteObject(Spec(name), body);
        ASSERT_TRUE(written.ok()) << written.status();
        auto read = Read(client, name);
        ASSERT_TRUE(read.ok()) << read.status();
        EXPECT_TRUE(*read == body);
      }
      const std::string body = Bytes(2 << 20);
      OneWaySource pipe(body);
      ASSERT_TRUE(client.WriteObject(Spec(name), pipe).ok());
    }
    EXPECT_EQ(store_.effects(), before + 9);
  }
}

TEST_F(ClientTest, AnUploadGoesOnWhereItsObjectIsByNow) {
  cluster_.SetPartitions({{"", 1}});
  Client client(cluster_.profile(), Fast());
  ASSERT_TRUE(client.WriteObject(Spec("z"), "x").ok());
  const std::string body = Bytes(5 << 20);
  store_.BreakNextUploadAfter(2 << 20);
  // Splits when its first bytes are read: the client knows the old map only.
  class Splitting : public OneWaySource {
   public:
    Splitting(std::string_view bytes, FakeCluster& cluster)
        : OneWaySource(bytes), cluster_(cluster) {}
    absl::StatusOr<size_t> Read(std::span<char> out) override {
      if (++reads_ == 150) cluster_.SetPartitions({{"", 1}, {"m", 2}});
      return OneWaySource::Read(out);
    }

   private:
    FakeCluster& cluster_;
    int reads_ = 0;
  } source(body, cluster_);
  auto written = client.WriteObject(Spec("z"), source);
  ASSERT_TRUE(written.ok()) << written.status();
  EXPECT_TRUE(store_.Content(kContainer, "z") == body);
}

TEST_F(ClientTest, AListGoesThroughAllPartitions) {
  cluster_.SetPartitions({{"", 0}, {"b", 1}, {"d", 2}, {"e", 0}, {"f", 1}});
  Client client(cluster_.profile(), Fast());
  const std::vector<std::string> expected = {"a", "b", "b1", "b2", "c", "d", "g", "h"};
  for (const std::string& name : expected) ASSERT_TRUE(client.WriteObject(Spec(name), "").ok());
  v1::ListObjectsRequest request;
  request.set_container(kContainer);
  request.set_page_size(2);
  std::vector<std::string> names;
  PageIterator<ObjectEntry> entries = client.ListObjects(request);
  for (;;) {
    auto entry = entries.Next();
    ASSERT_TRUE(entry.ok()) << entry.status();
    if (!entry->has_value()) break;
    names.push_back((*entry)->name);
    if (names.size() == 2) cluster_.SetPartitions({{"", 1}, {"b2", 0}, {"c", 2}, {"h", 1}});
  }
  EXPECT_EQ(names, expected);
}

TEST_F(ClientTest, AWrongKeyIsNotRetried) {
  Profile profile = cluster_.profile();
  profile.access_key = "mak1_wrong";
  Client client(profile, Fast());
  const absl::Status status = client.WriteObject(Spec("x"), "body").status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnauthenticated);
  EXPECT_EQ(ErrorReasonOf(status), "INVALID_ACCESS_KEY");
}

TEST_F(ClientTest, I9_TalksToNobodyThatTheProfilesCaDidNotSign) {
  FakeCluster stranger(1);
  Profile profile = cluster_.profile();
  profile.endpoints = {stranger.endpoint(0)};
  Client client(profile, Fast());
  CallOptions options;
  options.timeout = absl::Seconds(2);
  EXPECT_EQ(client.WriteObject(Spec("x"), "body", options).status().code(),
            absl::StatusCode::kUnavailable);
  EXPECT_EQ(stranger.store().calls(), 0);
}

TEST_F(ClientTest, AnAccessKeyIsNotMadeTwice) {
  Admin admin(cluster_.profile(), Fast());
  store_.FailNext(grpc::Status(grpc::StatusCode::UNAVAILABLE, "connection reset"));
  v1::CreateAccessKeyRequest request;
  request.set_parent("tenants/t");
  EXPECT_EQ(admin.CreateAccessKey(request).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(store_.calls(), 1);
}

}  // namespace
}  // namespace meridian
