// Bad input and bad luck as they come in over the wire: each a clear error, nothing lost. What
// needs another disk or folder is in full_disk_test and data_folder_test.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/time/clock.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/integration/raw_server.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/z";
constexpr CallOptions kShort{.timeout = absl::Seconds(10)};

class BadInput : public ClusterFixture {
 protected:
  void SetUp() override {
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "z", v1::ZRS).ok());
  }

  RawServer Raw(const std::string& address) const { return RawServer(profile_, address); }
  static std::unique_ptr<grpc::ClientContext> ContextOf(const Profile& profile) {
    return RawServer::ContextOf(profile);
  }
  std::string LeaderEndpoint() {
    v1::GetRouteRequest request;
    request.set_container(kContainer);
    v1::Route route;
    const grpc::Status status =
        Raw(cluster_->endpoint()).cluster->GetRoute(ContextOf(profile_).get(), request, &route);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return route.leader_endpoint();
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(BadInput, NamesThatNoObjectCanHaveAreRefused) {
  for (const std::string& name : {std::string(), std::string(1025, 'a'), std::string("a\0b", 3)}) {
    const absl::Status put = Put(*client_, kContainer, name, "x", kShort).status();
    EXPECT_EQ(put.code(), absl::StatusCode::kInvalidArgument) << put;
    EXPECT_EQ(ErrorReasonOf(put), "INVALID_NAME");
    const absl::Status get = Get(*client_, kContainer, name, kShort).status();
    EXPECT_EQ(ErrorReasonOf(get), "INVALID_NAME") << get;
  }
  // Not a string of the protocol at all: it does not get as far as to be judged.
  EXPECT_FALSE(Put(*client_, kContainer, "\xff\xfe", "x", {.timeout = absl::Seconds(2)}).ok());
  v1::ListObjectsRequest list;
  list.set_container(kContainer);
  const auto nothing = client_->ListObjects(list).Next();
  ASSERT_TRUE(nothing.ok()) << nothing.status();
  EXPECT_FALSE(nothing->has_value());
  for (const std::string name : {".", "..", "../../etc/passwd", "/"}) {
    EXPECT_TRUE(Put(*client_, kContainer, name, name).ok()) << name;
    EXPECT_EQ(*Get(*client_, kContainer, name), name);
  }
}

TEST_F(BadInput, RangesBeyondTheEndAreRefusedOrCut) {
  ASSERT_TRUE(Put(*client_, kContainer, "o", "0123456789").ok());
  const auto read = [this](int64_t offset, int64_t length) -> absl::StatusOr<std::string> {
    v1::ReadObjectRequest request;
    request.set_container(kContainer);
    request.set_name("o");
    request.mutable_range()->set_offset_bytes(offset);
    request.mutable_range()->set_length_bytes(length);
    std::string body;
    const auto object = client_->ReadObject(request, *MakeStringSink(&body), kShort);
    if (!object.ok()) return object.status();
    return body;
  };
  EXPECT_EQ(*read(8, 100), "89");
  EXPECT_EQ(read(11, 1).status().code(), absl::StatusCode::kOutOfRange) << read(11, 1).status();
  EXPECT_EQ(read(-1, 1).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(read(0, -1).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_F(BadInput, ABodyThatIsNotAsDeclaredIsRefused) {
  const auto leader = Raw(LeaderEndpoint());
  const auto put = [&](int64_t size, uint32_t crc, const std::string& data) {
    v1::PutObjectRequest request;
    request.mutable_spec()->set_container(kContainer);
    request.mutable_spec()->set_name("o");
    if (size >= 0) request.mutable_spec()->set_size_bytes(size);
    if (crc != 0) request.mutable_spec()->set_crc32c(crc);
    request.set_data(data);
    v1::Object object;
    return leader.objects->PutObject(ContextOf(profile_).get(), request, &object).error_code();
  };
  EXPECT_EQ(put(5, 0, "four"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(put(5, 0, "sixsix"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(put(-1, 1, "data"), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Get(*client_, kContainer, "o").status().code(), absl::StatusCode::kNotFound);
}

class AVanishedClient : public BadInput {
 protected:
  void SetUp() override {
    BadInput::SetUp();
    ASSERT_TRUE(Put(*client_, kContainer, "kept", RandomBody(2 << 20)).ok());
    ASSERT_TRUE(Until([this] { return BodyBytes() >= 3 * (2 << 20); }));
    before_ = BodyBytes();
  }
  void Configure(server::DevOptions& options) override {
    options.disk.maintenance_interval = absl::Milliseconds(200);
  }

  std::vector<std::string> Names() {
    v1::ListObjectsRequest list;
    list.set_container(kContainer);
    auto entries = client_->ListObjects(list);
    std::vector<std::string> names;
    for (auto entry = entries.Next(); entry.ok() && entry->has_value(); entry = entries.Next()) {
      names.push_back((**entry).name);
    }
    return names;
  }
  void ExpectNothingOfIt() {
    EXPECT_EQ(Get(*client_, kContainer, "o").status().code(), absl::StatusCode::kNotFound);
    EXPECT_EQ(Names(), std::vector<std::string>{"kept"});
    // Less, if a replica had fetched a chunk that was also on its way to it: one copy goes.
    EXPECT_TRUE(Until([this] { return BodyBytes() <= before_; }))
        << BodyBytes() << " bytes of bodies, " << before_ << " before";
  }

  int64_t before_ = 0;
};

TEST_F(AVanishedClient, LeavesNothingVisibleAndItsSpaceComesBack) {
  const auto leader = Raw(LeaderEndpoint());
  const auto context = ContextOf(profile_);
  v1::Object object;
  const auto stream = leader.objects->WriteObject(context.get(), &object);
  v1::WriteObjectRequest message;
  message.mutable_spec()->set_container(kContainer);
  message.mutable_spec()->set_name("o");
  ASSERT_TRUE(stream->Write(message));
  message.set_data(RandomBody(1 << 20));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(stream->Write(message));
  ASSERT_TRUE(Until([this] { return BodyBytes() > before_ + (2 << 20); }));
  context->TryCancel();
  EXPECT_FALSE(stream->Finish().ok());
  ExpectNothingOfIt();
}

TEST_F(AVanishedClient, LeavesAnUploadThatExpiresAndItsSpaceComesBack) {
  const auto leader = Raw(LeaderEndpoint());
  v1::StartUploadRequest start;
  start.mutable_spec()->set_container(kContainer);
  start.mutable_spec()->set_name("o");
  start.mutable_ttl()->set_seconds(60);
  v1::Upload upload;
  const grpc::Status started =
      leader.uploads->StartUpload(ContextOf(profile_).get(), start, &upload);
  ASSERT_TRUE(started.ok()) << started.error_message();
  for (int i = 0; i < 2; ++i) {  // it came back once
    const auto context = ContextOf(profile_);
    v1::WriteUploadResponse response;
    const auto stream = leader.uploads->WriteUpload(context.get(), &response);
    v1::WriteUploadRequest message;
    message.mutable_start()->set_upload(upload.name());
    message.mutable_start()->set_offset_bytes(i << 20);
    ASSERT_TRUE(stream->Write(message));
    message.set_data(RandomBody(1 << 20));
    ASSERT_TRUE(stream->Write(message));
    ASSERT_TRUE(stream->WritesDone());
    const grpc::Status written = stream->Finish();
    ASSERT_TRUE(written.ok()) << written.error_message();
    EXPECT_EQ(response.durable_size_bytes(), (i + 1) << 20);
  }
  EXPECT_TRUE(Until([this] { return BodyBytes() > before_ + 2 * (2 << 20); }));
  EXPECT_EQ(Names(), std::vector<std::string>{"kept"});

  clock_.Advance(absl::Minutes(2));
  // Anything that the partition does.
  ASSERT_TRUE(Put(*client_, kContainer, "kept", RandomBody(2 << 20)).ok());
  v1::GetUploadRequest get;
  get.set_name(upload.name());
  EXPECT_EQ(leader.uploads->GetUpload(ContextOf(profile_).get(), get, &upload).error_code(),
            grpc::StatusCode::NOT_FOUND);
  v1::FinishUploadRequest finish;
  finish.set_name(get.name());
  v1::Object object;
  EXPECT_EQ(leader.uploads->FinishUpload(ContextOf(profile_).get(), finish, &object).error_code(),
            grpc::StatusCode::NOT_FOUND);
  EXPECT_FALSE((*client_->ListUploads(kContainer).Next()).has_value());
  ExpectNothingOfIt();
}

TEST_F(BadInput, OfTwoCreatorsExactlyOneWins) {
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> winners{0}, refused{0};
    std::vector<std::thread> creators;
    for (const char* body : {"first", "second"}) {
      creators.emplace_back([&, body] {
        v1::WriteSpec spec;
        spec.set_container(kContainer);
        spec.set_name(absl::StrCat("o", round));
        spec.mutable_condition()->set_if_none_match(true);
        const absl::Status status = client_->WriteObject(spec, body).status();
        winners += status.ok();
        refused += ErrorReasonOf(status) == "PRECONDITION_FAILED";
      });
    }
    for (std::thread& creator : creators) creator.join();
    EXPECT_EQ(winners, 1);
    EXPECT_EQ(refused, 1);
  }
}

// All that a caller sees of a refusal. What it asked for is taken out: an answer may repeat it.
struct Answer {
  grpc::StatusCode code;
  std::string message, details;
  std::vector<std::string> trailers;
  bool operator==(const Answer&) const = default;
};

Answer AnswerOf(const grpc::Status& status, const grpc::ClientContext& context,
                const std::vector<std::string>& asked) {
  std::vector<std::pair<std::string, std::string>> taken_out;
  for (const std::string& name : asked) {
    // Of one length, so that lengths inside of the details are too.
    taken_out.emplace_back(name, std::string(name.size(), '*'));
  }
  const auto plain = [&](const std::string& text) { return absl::StrReplaceAll(text, taken_out); };
  Answer answer{
      status.error_code(), plain(status.error_message()), plain(status.error_details()), {}};
  for (const auto& [key, value] : context.GetServerTrailingMetadata()) {
    std::string text(value.data(), value.size());
    // Drawn for each call; of one form in all.
    if (key == "x-request-id")
      text = std::string(std::strspn(text.c_str(), "0123456789abcdef"), '*');
    answer.trailers.push_back(plain(absl::StrCat(std::string(key.data(), key.size()), "=", text)));
  }
  return answer;
}

TEST_F(BadInput, AForeignResourceIsAnsweredExactlyAsAMissingOne) {  // I8
  ASSERT_TRUE(Put(*client_, kContainer, "o", "secret").ok());
  const Profile other = MakeTenant("other");
  const auto front = Raw(cluster_->endpoint());
  const auto leader = Raw(LeaderEndpoint());
  for (const RawServer* stubs : {&front, &leader}) {
    using Call = std::function<grpc::Status(grpc::ClientContext*, const std::string&)>;
    const std::vector<Call> calls = {
        [&](auto* context, const std::string& container) {
          v1::GetContainerRequest request;
          request.set_name(container);
          v1::Container response;
          return stubs->containers->GetContainer(context, request, &response);
        },
        [&](auto* context, const std::string& container) {
          v1::DeleteContainerRequest request;
          request.set_name(container);
          google::protobuf::Empty response;
          return stubs->containers->DeleteContainer(context, request, &response);
        },
        [&](auto* context, const std::string& container) {
          v1::GetObjectRequest request;
          request.set_container(container);
          request.set_name("o");
          v1::Object response;
          return stubs->objects->GetObject(context, request, &response);
        },
        [&](auto* context, const std::string& container) {
          v1::PutObjectRequest request;
          request.mutable_spec()->set_container(container);
          request.mutable_spec()->set_name("o");
          v1::Object response;
          return stubs->objects->PutObject(context, request, &response);
        },
        [&](auto* context, const std::string& container) {
          v1::ListObjectsRequest request;
          request.set_container(container);
          v1::ListObjectsResponse response;
          return stubs->objects->ListObjects(context, request, &response);
        },
        [&](auto* context, const std::string& container) {
          v1::GetRouteRequest request;
          request.set_container(container);
          v1::Route response;
          return stubs->cluster->GetRoute(context, request, &response);
        },
    };
    for (size_t i = 0; i < calls.size(); ++i) {
      std::vector<Answer> answers;
      // There, missing in a tenant that is there, and of no tenant; all of one length.
      for (const char* container :
           {kContainer, "tenants/acme/containers/x", "tenants/none/containers/z"}) {
        const auto context = ContextOf(other);
        const grpc::Status status = calls[i](context.get(), container);
        const std::string name = container;
        answers.push_back(AnswerOf(status, *context, {name, name.substr(0, 12)}));
      }
      EXPECT_EQ(answers[0].code, grpc::StatusCode::NOT_FOUND) << "call " << i;
      EXPECT_TRUE(answers[0] == answers[1])
          << "call " << i << ": " << answers[0].message << " / " << answers[1].message
          << absl::CEscape(answers[0].details) << " / " << absl::CEscape(answers[1].details);
      EXPECT_TRUE(answers[0] == answers[2])
          << "call " << i << ": " << answers[0].message << " / " << answers[2].message;
    }
  }
}

TEST_F(BadInput, ARevokedKeyIsAnsweredAsAWrongOneWithinFiveSeconds) {
  ASSERT_TRUE(Put(*client_, kContainer, "o", "o").ok());
  v1::CreateAccessKeyRequest create;
  create.set_parent("tenants/acme");
  const auto key = admin_->CreateAccessKey(create);
  ASSERT_TRUE(key.ok()) << key.status();
  Profile revoked = profile_, wrong = profile_;
  revoked.access_key = key->secret();
  wrong.access_key = key->secret();
  wrong.access_key.back() = wrong.access_key.back() == 'A' ? 'B' : 'A';
  const auto leader = Raw(LeaderEndpoint());
  const auto ask = [&](const Profile& profile) {
    const auto context = ContextOf(profile);
    v1::GetObjectRequest request;
    request.set_container(kContainer);
    request.set_name("o");
    v1::Object object;
    const grpc::Status status = leader.objects->GetObject(context.get(), request, &object);
    return AnswerOf(status, *context, {});
  };
  ASSERT_EQ(ask(revoked).code, grpc::StatusCode::OK);
  ASSERT_TRUE(admin_->RevokeAccessKey(key->access_key().name()).ok());
  // The published bound.
  EXPECT_TRUE(Until([&] { return ask(revoked).code == grpc::StatusCode::UNAUTHENTICATED; },
                    absl::Seconds(5)));
  EXPECT_TRUE(ask(revoked) == ask(wrong)) << ask(revoked).message << " / " << ask(wrong).message;
}

// Flips a byte in every 64 KiB of the extents below a folder; how many.
int Damage(const std::string& folder) {
  constexpr uint64_t kStep = 65536, kOffset = 30000;
  int flipped = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file() || entry.path().string().find("/extents/") == std::string::npos) {
      continue;
    }
    std::fstream file(entry.path(), std::ios::in | std::ios::out | std::ios::binary);
    for (uint64_t at = kOffset; at < entry.file_size(); at += kStep) {
      char byte = 0;
      file.seekg(static_cast<std::streamoff>(at));
      if (!file.get(byte)) break;
      if (byte == 0) continue;  // most of a preallocated file holds nothing
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(byte ^ 1));
      ++flipped;
    }
  }
  return flipped;
}

TEST_F(BadInput, ADamagedExtentIsReadFromAnotherReplicaRepairedAndCounted) {  // I10
  const std::string body = RandomBody(4 << 20);
  ASSERT_TRUE(Put(*client_, kContainer, "o", body).ok());
  const std::string leader = GroupOf(kContainer).leader_node();
  ASSERT_GT(Damage(absl::StrCat(data_folder(), "/nodes/", leader)), 0);
  const auto read = Get(*client_, kContainer, "o");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(*read == body);
  const auto repaired = [&]() -> int64_t {
    const auto nodes = admin_->ListNodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    for (const v1::Node& node : nodes->nodes()) {
      if (node.name() != leader) continue;
      int64_t sum = 0;
      for (const v1::Disk& disk : node.disks()) sum += disk.repaired_records();
      return sum;
    }
    return -1;
  };
  EXPECT_TRUE(Until([&] { return repaired() > 0; }));
  const auto again = Get(*client_, kContainer, "o");
  ASSERT_TRUE(again.ok()) << again.status();
  EXPECT_TRUE(*again == body);
}

}  // namespace
}  // namespace meridian
