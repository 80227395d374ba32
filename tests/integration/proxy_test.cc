// Clients that know one server only: any server serves any call, whoever leads.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "client/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/integration/raw_server.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/z";
constexpr size_t kPieceBytes = 1 << 20;

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  if (!details.ParseFromString(status.error_details())) return "";
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

class ProxyTest : public ClusterFixture {
 protected:
  void SetUp() override {
    topology_ = *server::Topology::Parse(
        "regions { name: 'r' zones { name: 'r-1' nodes: ['a'] } "
        "zones { name: 'r-2' nodes: ['b'] } zones { name: 'r-3' nodes: ['c'] } }");
    ASSERT_NO_FATAL_FAILURE(ClusterFixture::SetUp());
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "z", v1::ZRS).ok());
  }

  std::unique_ptr<grpc::ClientContext> NewContext() const { return RawServer::ContextOf(profile_); }
  v1::Route Route() {
    v1::GetRouteRequest request;
    request.set_container(kContainer);
    v1::Route route;
    EXPECT_TRUE(RawServer(profile_, cluster_->endpoint())
                    .cluster->GetRoute(NewContext().get(), request, &route)
                    .ok());
    return route;
  }
  // The front and all nodes that do not lead; each has heard who does.
  std::vector<std::string> Others() {
    const v1::Route route = Route();
    std::vector<std::string> others = {cluster_->endpoint()};
    for (const std::string& member : route.member_endpoints()) {
      if (member != route.leader_endpoint()) others.push_back(member);
    }
    EXPECT_EQ(others.size(), 3u);
    for (const std::string& server : others) {
      EXPECT_TRUE(Until([&] {
        v1::GetRouteRequest request;
        request.set_container(kContainer);
        v1::Route known;
        return RawServer(profile_, server)
                   .cluster->GetRoute(NewContext().get(), request, &known)
                   .ok() &&
               known.leader_endpoint() == route.leader_endpoint();
      }));
    }
    return others;
  }
  std::string NodeAt(const std::string& endpoint) {
    const auto nodes = admin_->ListNodes();
    EXPECT_TRUE(nodes.ok()) << nodes.status();
    for (const v1::Node& node : nodes->nodes()) {
      if (node.endpoint() == endpoint) return node.name();
    }
    return "";
  }
  static v1::WriteSpec Spec(const std::string& name) {
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name(name);
    return spec;
  }
  grpc::Status Stream(const RawServer& server, const std::string& name, const std::string& body) {
    const auto context = NewContext();
    v1::Object object;
    const auto writer = server.objects->WriteObject(context.get(), &object);
    v1::WriteObjectRequest message;
    *message.mutable_spec() = Spec(name);
    bool open = writer->Write(message);
    for (size_t at = 0; open && at < body.size(); at += kPieceBytes) {
      message.set_data(body.substr(at, kPieceBytes));
      open = writer->Write(message);
    }
    message.mutable_finish();
    if (open) writer->Write(message);
    writer->WritesDone();
    return writer->Finish();
  }
  // `pause`: before each message is taken.
  grpc::Status Read(const RawServer& server, const std::string& name, std::string* body,
                    absl::Duration pause = absl::ZeroDuration()) {
    const auto context = NewContext();
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::ReadObjectRequest request;
    request.set_container(kContainer);
    request.set_name(name);
    const auto reader = server.objects->ReadObject(context.get(), request);
    v1::ReadObjectResponse message;
    body->clear();
    while (reader->Read(&message)) {
      body->append(message.data());
      absl::SleepFor(pause);
    }
    return reader->Finish();
  }
  grpc::Status Stat(const RawServer& server, const std::string& name) {
    v1::GetObjectRequest request;
    request.set_container(kContainer);
    request.set_name(name);
    v1::Object object;
    return server.objects->GetObject(NewContext().get(), request, &object);
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(ProxyTest, AnyServerServesAnyCall) {
  const std::string large = RandomBody(20 << 20);
  for (const std::string& endpoint : Others()) {
    SCOPED_TRACE(endpoint);
    const RawServer server(profile_, endpoint);
    v1::PutObjectRequest put;
    *put.mutable_spec() = Spec("small");
    put.set_data("body");
    v1::Object object;
    grpc::Status status = server.objects->PutObject(NewContext().get(), put, &object);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(object.size_bytes(), 4);
    status = Stream(server, "large", large);
    ASSERT_TRUE(status.ok()) << status.error_message();
    std::string body;
    // A reader so slow that buffers fill.
    status = Read(server, "large", &body, absl::Milliseconds(20));
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_TRUE(body == large);
    status = Read(server, "small", &body);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(body, "body");

    v1::ListObjectsRequest list;
    list.set_container(kContainer);
    v1::ListObjectsResponse page;
    status = server.objects->ListObjects(NewContext().get(), list, &page);
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(page.objects_size(), 2);
    for (const char* name : {"small", "large"}) {
      v1::DeleteObjectRequest deletion;
      deletion.set_container(kContainer);
      deletion.set_name(name);
      v1::DeleteObjectResponse deleted;
      status = server.objects->DeleteObject(NewContext().get(), deletion, &deleted);
      EXPECT_TRUE(status.ok()) << status.error_message();
    }
    EXPECT_EQ(Stat(server, "small").error_code(), grpc::StatusCode::NOT_FOUND);
  }
}

TEST_F(ProxyTest, UploadsGoOnAtAnyServer) {
  const std::string body = RandomBody(5 << 20);
  const std::vector<std::string> servers = Others();
  v1::StartUploadRequest start;
  *start.mutable_spec() = Spec("u");
  v1::Upload upload;
  grpc::Status status =
      RawServer(profile_, servers[0]).uploads->StartUpload(NewContext().get(), start, &upload);
  ASSERT_TRUE(status.ok()) << status.error_message();
  for (size_t at = 0; at < body.size(); at += 2 << 20) {
    const RawServer server(profile_, servers[at / (2 << 20)]);
    const auto context = NewContext();
    v1::WriteUploadResponse durable;
    const auto writer = server.uploads->WriteUpload(context.get(), &durable);
    v1::WriteUploadRequest message;
    message.mutable_start()->set_upload(upload.name());
    message.mutable_start()->set_offset_bytes(static_cast<int64_t>(at));
    ASSERT_TRUE(writer->Write(message));
    const size_t end = std::min<size_t>(at + (2 << 20), body.size());
    for (size_t piece = at; piece < end; piece += kPieceBytes) {
      message.set_data(body.substr(piece, std::min(kPieceBytes, end - piece)));
      ASSERT_TRUE(writer->Write(message));
    }
    writer->WritesDone();
    status = writer->Finish();
    ASSERT_TRUE(status.ok()) << status.error_message();
    EXPECT_EQ(durable.durable_size_bytes(), static_cast<int64_t>(end));
  }
  v1::FinishUploadRequest finish;
  finish.set_name(upload.name());
  v1::Object object;
  status =
      RawServer(profile_, servers[1]).uploads->FinishUpload(NewContext().get(), finish, &object);
  ASSERT_TRUE(status.ok()) << status.error_message();
  EXPECT_TRUE(*Get(*client_, kContainer, "u") == body);
}

TEST_F(ProxyTest, AFailureIsTheSameAsTheLeaders) {
  const std::string endpoint = Others().back();
  const RawServer other(profile_, endpoint);
  const RawServer leader(profile_, Route().leader_endpoint());
  v1::PutObjectRequest put;
  *put.mutable_spec() = Spec("x");
  v1::Object object;
  ASSERT_TRUE(other.objects->PutObject(NewContext().get(), put, &object).ok());
  put.mutable_spec()->mutable_condition()->set_if_none_match(true);
  v1::PutObjectRequest wrong;
  *wrong.mutable_spec() = Spec("x");
  wrong.mutable_spec()->set_size_bytes(7);
  v1::ListObjectsRequest list;
  list.set_container(kContainer);
  list.set_page_token("nonsense");
  v1::ListObjectsResponse page;
  const auto same = [](const grpc::Status& a, const grpc::Status& b) {
    EXPECT_FALSE(a.ok());
    EXPECT_EQ(a.error_code(), b.error_code());
    EXPECT_EQ(a.error_message(), b.error_message());
    EXPECT_EQ(ReasonOf(a), ReasonOf(b));
    EXPECT_EQ(a.error_details().size(), b.error_details().size());
  };
  same(Stat(other, "absent"), Stat(leader, "absent"));
  same(other.objects->PutObject(NewContext().get(), put, &object),
       leader.objects->PutObject(NewContext().get(), put, &object));
  same(other.objects->PutObject(NewContext().get(), wrong, &object),
       leader.objects->PutObject(NewContext().get(), wrong, &object));
  same(other.objects->ListObjects(NewContext().get(), list, &page),
       leader.objects->ListObjects(NewContext().get(), list, &page));
  std::string body;
  same(Read(other, "absent", &body), Read(leader, "absent", &body));
  profile_.access_key = "mak1_wrong";
  same(Stat(other, "x"), Stat(leader, "x"));
}

TEST_F(ProxyTest, AClientThatRoutesIsToldWhereTheLeaderIs) {
  const RawServer other(profile_, Others().back());
  const auto context = NewContext();
  context->AddMetadata("meridian-routes", "1");
  v1::GetObjectRequest request;
  request.set_container(kContainer);
  request.set_name("x");
  v1::Object object;
  EXPECT_EQ(ReasonOf(other.objects->GetObject(context.get(), request, &object)), "NOT_LEADER");
}

TEST_F(ProxyTest, AWriteThatIsCancelledLeavesNothing) {
  const RawServer other(profile_, Others().back());
  {
    const auto context = NewContext();
    v1::Object object;
    const auto writer = other.objects->WriteObject(context.get(), &object);
    v1::WriteObjectRequest message;
    *message.mutable_spec() = Spec("x");
    ASSERT_TRUE(writer->Write(message));
    message.set_data(std::string(kPieceBytes, 'x'));
    for (int i = 0; i < 3; ++i) ASSERT_TRUE(writer->Write(message));
    context->TryCancel();
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
  }
  // Its space comes back, which only the leader's end of the stream brings about.
  EXPECT_TRUE(Until([&] { return BodyBytes() == 0; }));
  EXPECT_EQ(Stat(other, "x").error_code(), grpc::StatusCode::NOT_FOUND);
}

TEST_F(ProxyTest, AnUploadThatIsBrokenOffIsNotTakenForWhole) {
  const RawServer other(profile_, Others().back());
  v1::StartUploadRequest start;
  *start.mutable_spec() = Spec("u");
  v1::Upload upload;
  ASSERT_TRUE(other.uploads->StartUpload(NewContext().get(), start, &upload).ok());
  const auto context = NewContext();
  v1::WriteUploadResponse durable;
  const auto writer = other.uploads->WriteUpload(context.get(), &durable);
  v1::WriteUploadRequest message;
  message.mutable_start()->set_upload(upload.name());
  ASSERT_TRUE(writer->Write(message));
  message.set_data(std::string(kPieceBytes, 'x'));
  ASSERT_TRUE(writer->Write(message));
  context->TryCancel();
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::CANCELLED);
}

TEST_F(ProxyTest, ACallEndsAtItsDeadline) {
  const RawServer other(profile_, Others().back());
  const auto context = NewContext();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::milliseconds(500));
  v1::Object object;
  const auto writer = other.objects->WriteObject(context.get(), &object);
  v1::WriteObjectRequest message;
  *message.mutable_spec() = Spec("x");
  ASSERT_TRUE(writer->Write(message));
  message.set_data("never finished");
  ASSERT_TRUE(writer->Write(message));
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::DEADLINE_EXCEEDED);
}

TEST_F(ProxyTest, ALeaderThatDiesInTheMiddleIsAnErrorThatClientsRetry) {
  const std::string endpoint = Others().back();
  const RawServer other(profile_, endpoint);
  const std::string leader = NodeAt(Route().leader_endpoint());
  ASSERT_FALSE(leader.empty());
  const std::string kept = RandomBody(3 << 20);
  ASSERT_TRUE(Stream(other, "kept", kept).ok());
  const auto context = NewContext();
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
  v1::Object object;
  const auto writer = other.objects->WriteObject(context.get(), &object);
  v1::WriteObjectRequest message;
  *message.mutable_spec() = Spec("x");
  ASSERT_TRUE(writer->Write(message));
  message.set_data(std::string(kPieceBytes, 'x'));
  ASSERT_TRUE(writer->Write(message));
  const absl::Status stopped = admin_->StopNode(leader);
  ASSERT_TRUE(stopped.ok()) << stopped;
  while (writer->Write(message)) {
  }
  const grpc::Status broken = writer->Finish();
  EXPECT_EQ(broken.error_code(), grpc::StatusCode::UNAVAILABLE) << broken.error_message();
  EXPECT_NE(ReasonOf(broken), "") << broken.error_message();
  // The same server serves on as soon as another one leads.
  EXPECT_TRUE(Until([&] { return Stream(other, "x", kept).ok(); }));
  std::string body;
  EXPECT_TRUE(Until([&] { return Read(other, "x", &body).ok(); }));
  EXPECT_TRUE(body == kept);
  EXPECT_TRUE(Read(other, "kept", &body).ok());
  EXPECT_TRUE(body == kept);
}

}  // namespace
}  // namespace meridian
