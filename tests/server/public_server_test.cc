// The public port as strangers, bad clients and administrators use it.
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/time/clock.h"
#include "client/errors.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "meridian/v1/access_keys.grpc.pb.h"
#include "meridian/v1/cluster.grpc.pb.h"
#include "meridian/v1/containers.grpc.pb.h"
#include "meridian/v1/dev.grpc.pb.h"
#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"
#include "tests/integration/cluster_fixture.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/photos";

std::unique_ptr<grpc::ClientContext> ContextOf(const std::string& key, int seconds) {
  auto context = std::make_unique<grpc::ClientContext>();
  if (!key.empty()) context->AddMetadata("authorization", "Bearer " + key);
  context->set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(seconds));
  return context;
}

std::string ReasonOf(const grpc::Status& status) {
  google::rpc::Status details;
  google::rpc::ErrorInfo info;
  details.ParseFromString(status.error_details());
  for (const auto& detail : details.details()) {
    if (detail.UnpackTo(&info)) return info.reason();
  }
  return "";
}

class PublicServerTest : public ClusterFixture {
 protected:
  void SetUp() override {
    ClusterFixture::SetUp();
    profile_ = MakeTenant("acme");
    client_ = std::make_unique<Client>(profile_);
    ASSERT_TRUE(MakeContainer(*client_, "acme", "photos", v1::ZRS).ok());
  }
  std::shared_ptr<grpc::Channel> Channel(const std::string& address) const {
    grpc::SslCredentialsOptions tls;
    tls.pem_root_certs = profile_.ca_pem;
    return grpc::CreateChannel(address, grpc::SslCredentials(tls));
  }
  std::string LeaderEndpoint() {
    v1::GetRouteRequest request;
    request.set_container(kContainer);
    v1::Route route;
    EXPECT_TRUE(v1::ClusterService::NewStub(Channel(cluster_->endpoint()))
                    ->GetRoute(ContextOf(profile_.access_key, 10).get(), request, &route)
                    .ok());
    return route.leader_endpoint();
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

// A stream holds a thread of the server for as long as it is open.
TEST_F(PublicServerTest, AStrangersStreamIsEndedBeforeItsFirstMessage) {
  for (const std::string& key : {std::string(), std::string("mak1_nonsense")}) {
    auto context = ContextOf(key, 20);
    v1::Object object;
    const auto writer =
        v1::ObjectService::NewStub(Channel(LeaderEndpoint()))->WriteObject(context.get(), &object);
    EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
    auto upload_context = ContextOf(key, 20);
    v1::WriteUploadResponse response;
    const auto upload = v1::UploadService::NewStub(Channel(LeaderEndpoint()))
                            ->WriteUpload(upload_context.get(), &response);
    EXPECT_EQ(upload->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  }
}

// It would wait for its own end, with the call that asks for it.
TEST_F(PublicServerTest, ANodeDoesNotStopItselfOrAnother) {
  v1::ListNodesResponse nodes;
  ASSERT_TRUE(v1::ClusterService::NewStub(Channel(cluster_->endpoint()))
                  ->ListNodes(ContextOf(admin_profile_.access_key, 10).get(), {}, &nodes)
                  .ok());
  ASSERT_GE(nodes.nodes_size(), 2);
  const auto node = v1::DevService::NewStub(Channel(nodes.nodes(0).endpoint()));
  for (int i = 0; i < 2; ++i) {
    v1::StopNodeRequest request;
    request.set_node(nodes.nodes(i).name());
    v1::StopNodeResponse response;
    const grpc::Status refused =
        node->StopNode(ContextOf(admin_profile_.access_key, 20).get(), request, &response);
    EXPECT_EQ(refused.error_code(), grpc::StatusCode::FAILED_PRECONDITION)
        << refused.error_message();
    EXPECT_EQ(ReasonOf(refused), "DEV_MODE_ONLY");
  }
}

TEST_F(PublicServerTest, ARequestWithAStringThatIsNotUtf8IsTheClientsMistake) {
  const auto objects = v1::ObjectService::NewStub(Channel(LeaderEndpoint()));
  const auto expect_refused = [](const grpc::Status& status) {
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT) << status.error_message();
    EXPECT_EQ(ReasonOf(status), "INVALID_NAME");
  };
  for (const std::string& name : {std::string("\xff\xfe"), std::string("a\xc3")}) {
    v1::PutObjectRequest put;
    put.mutable_spec()->set_container(kContainer);
    put.mutable_spec()->set_name(name);
    v1::Object object;
    expect_refused(objects->PutObject(ContextOf(profile_.access_key, 10).get(), put, &object));
    v1::GetObjectRequest get;
    get.set_container(kContainer);
    get.set_name(name);
    expect_refused(objects->GetObject(ContextOf(profile_.access_key, 10).get(), get, &object));
    v1::ReadObjectRequest read;
    read.set_container(kContainer);
    read.set_name(name);
    auto read_context = ContextOf(profile_.access_key, 10);
    const auto reader = objects->ReadObject(read_context.get(), read);
    v1::ReadObjectResponse piece;
    EXPECT_FALSE(reader->Read(&piece));
    expect_refused(reader->Finish());

    auto context = ContextOf(profile_.access_key, 10);
    const auto writer = objects->WriteObject(context.get(), &object);
    v1::WriteObjectRequest first;
    *first.mutable_spec() = put.spec();
    writer->Write(first);
    writer->WritesDone();
    const grpc::Status status = writer->Finish();
    EXPECT_EQ(status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
    EXPECT_EQ(ReasonOf(status), "INVALID_STREAM");
    EXPECT_NE(status.error_message().find("UTF-8"), std::string::npos) << status.error_message();
  }
  EXPECT_TRUE(Put(*client_, kContainer, "a", "still serving").ok());
}

// UpdateContainer has been answered: whatever is written and replaced from then on stays, also by a
// put that began before.
// A stream may be kept open for long: before what it brought counts, its key is looked at once
// more.
TEST_F(PublicServerTest, AStreamsKeyIsCheckedAfterItsLastMessage) {
  v1::CreateAccessKeyRequest request;
  request.set_parent("tenants/acme");
  v1::CreateAccessKeyResponse key;
  const auto keys = v1::AccessKeyService::NewStub(Channel(cluster_->endpoint()));
  ASSERT_TRUE(keys->CreateAccessKey(ContextOf(profile_.access_key, 10).get(), request, &key).ok());
  const auto objects = v1::ObjectService::NewStub(Channel(LeaderEndpoint()));
  auto context = ContextOf(key.secret(), 60);
  v1::Object object;
  const auto writer = objects->WriteObject(context.get(), &object);
  v1::WriteObjectRequest message;
  message.mutable_spec()->set_container(kContainer);
  message.mutable_spec()->set_name("late");
  ASSERT_TRUE(writer->Write(message));
  message.set_data("body");
  ASSERT_TRUE(writer->Write(message));
  message.mutable_finish();
  ASSERT_TRUE(writer->Write(message));
  v1::RevokeAccessKeyRequest revoke;
  revoke.set_name(key.access_key().name());
  v1::AccessKey revoked;
  ASSERT_TRUE(
      keys->RevokeAccessKey(ContextOf(profile_.access_key, 10).get(), revoke, &revoked).ok());
  v1::GetObjectRequest get;
  get.set_container(kContainer);
  get.set_name("late");
  const absl::Time start = absl::Now();
  grpc::Status status;
  do {
    status = objects->GetObject(ContextOf(key.secret(), 10).get(), get, &object);
  } while (status.error_code() != grpc::StatusCode::UNAUTHENTICATED &&
           absl::Now() < start + absl::Seconds(30));
  ASSERT_EQ(status.error_code(), grpc::StatusCode::UNAUTHENTICATED) << "the node knows of it";
  writer->WritesDone();
  EXPECT_EQ(writer->Finish().error_code(), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(objects->GetObject(ContextOf(profile_.access_key, 10).get(), get, &object).error_code(),
            grpc::StatusCode::NOT_FOUND);
}

TEST_F(PublicServerTest, APutThatBeganBeforeVersioningWasSwitchedOnKeepsWhatItReplaces) {
  auto context = ContextOf(profile_.access_key, 60);
  v1::Object slow;
  const auto objects = v1::ObjectService::NewStub(Channel(LeaderEndpoint()));
  const auto writer = objects->WriteObject(context.get(), &slow);
  v1::WriteObjectRequest message;
  message.mutable_spec()->set_container(kContainer);
  message.mutable_spec()->set_name("a");
  ASSERT_TRUE(writer->Write(message));
  v1::UpdateContainerRequest update;
  update.mutable_container()->set_name(kContainer);
  update.mutable_container()->set_versioning(v1::VERSIONING_ON);
  update.mutable_update_mask()->add_paths("versioning");
  v1::Container container;
  const grpc::Status updated =
      v1::ContainerService::NewStub(Channel(cluster_->endpoint()))
          ->UpdateContainer(ContextOf(profile_.access_key, 20).get(), update, &container);
  ASSERT_TRUE(updated.ok()) << updated.error_message();
  const auto written = Put(*client_, kContainer, "a", "written since");
  ASSERT_TRUE(written.ok()) << written.status();
  message.Clear();
  message.set_data("slow");
  ASSERT_TRUE(writer->Write(message));
  message.Clear();
  message.mutable_finish();
  ASSERT_TRUE(writer->Write(message));
  writer->WritesDone();
  const grpc::Status finished = writer->Finish();
  ASSERT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_EQ(*Get(*client_, kContainer, "a"), "slow");
  v1::ReadObjectRequest request;
  request.set_container(kContainer);
  request.set_name("a");
  request.set_version_id(written->version_id());
  std::string body;
  const auto sink = MakeStringSink(&body);
  const auto kept = client_->ReadObject(request, *sink);
  ASSERT_TRUE(kept.ok()) << kept.status();
  EXPECT_EQ(body, "written since");
}

TEST_F(PublicServerTest, AServerThatGoesDoesNotWaitForAStreamToEnd) {
  const std::string endpoint = LeaderEndpoint();
  const auto nodes = admin_->ListNodes();
  ASSERT_TRUE(nodes.ok()) << nodes.status();
  std::string leader;
  for (const v1::Node& node : nodes->nodes()) {
    if (node.endpoint() == endpoint) leader = node.name();
  }
  const auto objects = v1::ObjectService::NewStub(Channel(endpoint));
  const auto context = ContextOf(profile_.access_key, 600);
  v1::Object object;
  const auto writer = objects->WriteObject(context.get(), &object);
  v1::WriteObjectRequest message;
  message.mutable_spec()->set_container(kContainer);
  message.mutable_spec()->set_name("x");
  ASSERT_TRUE(writer->Write(message));
  message.set_data(std::string(1 << 20, 'x'));
  for (int i = 0; i < 16; ++i) ASSERT_TRUE(writer->Write(message));
  // Its handler waits for more.
  const absl::Status stopped = admin_->StopNode(leader);
  EXPECT_TRUE(stopped.ok()) << stopped;
  EXPECT_FALSE(writer->Finish().ok());
}

}  // namespace
}  // namespace meridian
