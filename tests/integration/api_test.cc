// The public API from end to end: each call of meridian.v1 on a running cluster, as programs use
// it.
#include <grpcpp/generic/generic_stub.h>
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "client/errors.h"
#include "tests/integration/cluster_fixture.h"
#include "tests/integration/raw_server.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/z";

class ApiTest : public ClusterFixture {
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

  RawServer Front() const { return RawServer(profile_, cluster_->endpoint()); }
  RawServer Leader() {
    v1::GetRouteRequest request;
    request.set_container(kContainer);
    v1::Route route;
    const grpc::Status status =
        Front().cluster->GetRoute(RawServer::ContextOf(profile_).get(), request, &route);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return RawServer(profile_, route.leader_endpoint());
  }
  // The names that an iterator gives.
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
  static v1::WriteSpec Spec(const std::string& name) {
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name(name);
    return spec;
  }
  static void DrawRequestId(v1::RequestId& id, char digit) {
    id.set_id(std::string(32, digit));
    id.mutable_create_time()->set_seconds(absl::ToUnixSeconds(absl::Now()));
  }

  Profile profile_;
  std::unique_ptr<Client> client_;
};

TEST_F(ApiTest, TenantsAreMadeReadListedAndDeletedWhenEmpty) {
  v1::CreateTenantRequest create;
  create.set_tenant_id("beta");
  create.mutable_tenant()->set_display_name("Beta & Söhne");
  const auto made = admin_->CreateTenant(create);
  ASSERT_TRUE(made.ok()) << made.status();
  EXPECT_EQ(made->name(), "tenants/beta");
  const auto again = admin_->CreateTenant(create);
  EXPECT_EQ(again.status().code(), absl::StatusCode::kAlreadyExists) << again.status();
  const auto read = admin_->GetTenant("tenants/beta");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->uid(), made->uid());
  EXPECT_EQ(read->display_name(), "Beta & Söhne");
  const auto name = [](const v1::Tenant& tenant) { return tenant.name(); };
  EXPECT_EQ(Names(admin_->ListTenants(), name),
            (std::vector<std::string>{"tenants/acme", "tenants/beta"}));
  EXPECT_EQ(admin_->DeleteTenant("tenants/acme").code(), absl::StatusCode::kFailedPrecondition);
  EXPECT_TRUE(admin_->DeleteTenant("tenants/beta").ok());
  EXPECT_EQ(admin_->GetTenant("tenants/beta").status().code(), absl::StatusCode::kNotFound);
  for (const char* bad : {"", "Upper", "a_b", "-a", "ä"}) {
    create.set_tenant_id(bad);
    const absl::Status refused = admin_->CreateTenant(create).status();
    EXPECT_EQ(refused.code(), absl::StatusCode::kInvalidArgument) << bad << ": " << refused;
  }
}

TEST_F(ApiTest, AccessKeysAreListedWithoutTheirSecretsAndRevoked) {
  v1::CreateAccessKeyRequest create;
  create.set_parent("tenants/acme");
  create.mutable_access_key()->set_display_name("laptop");
  const auto made = admin_->CreateAccessKey(create);
  ASSERT_TRUE(made.ok()) << made.status();
  const std::string name = made->access_key().name();
  bool listed = false;
  auto keys = admin_->ListAccessKeys("tenants/acme");
  for (auto key = keys.Next(); key.ok() && key->has_value(); key = keys.Next()) {
    EXPECT_EQ((**key).SerializeAsString().find(made->secret().substr(40)), std::string::npos);
    listed |= (**key).name() == name && (**key).display_name() == "laptop";
  }
  EXPECT_TRUE(listed);
  EXPECT_TRUE(admin_->RevokeAccessKey(name).ok());
  EXPECT_EQ(
      admin_->RevokeAccessKey("tenants/acme/accessKeys/" + std::string(32, '0')).status().code(),
      absl::StatusCode::kNotFound);
}

TEST_F(ApiTest, ContainersAreReadChangedListedAndDeletedWhenEmpty) {
  ASSERT_TRUE(MakeContainer(*client_, "acme", "a", v1::ZRS).ok());
  const auto name = [](const v1::Container& container) { return container.name(); };
  EXPECT_EQ(Names(client_->ListContainers("tenants/acme"), name),
            (std::vector<std::string>{"tenants/acme/containers/a", kContainer}));
  v1::UpdateContainerRequest update;
  update.mutable_container()->set_name("tenants/acme/containers/a");
  update.mutable_container()->set_versioning(v1::VERSIONING_ON);
  update.mutable_update_mask()->add_paths("versioning");
  ASSERT_TRUE(client_->UpdateContainer(update).ok());
  const auto read = client_->GetContainer("tenants/acme/containers/a");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_EQ(read->versioning(), v1::VERSIONING_ON);
  EXPECT_EQ(read->redundancy(), v1::ZRS);
  EXPECT_EQ(read->home_region(), "r");
  update.mutable_update_mask()->add_paths("redundancy");
  EXPECT_EQ(client_->UpdateContainer(update).status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(client_->DeleteContainer("tenants/acme/containers/a").ok());
  EXPECT_EQ(client_->GetContainer("tenants/acme/containers/a").status().code(),
            absl::StatusCode::kNotFound);
}

TEST_F(ApiTest, ConditionsDecideAgainstTheCurrentVersion) {
  const auto first = Put(*client_, kContainer, "o", "first");
  ASSERT_TRUE(first.ok()) << first.status();
  v1::WriteSpec spec = Spec("o");
  spec.mutable_condition()->set_if_match(first->etag());
  const auto second = client_->WriteObject(spec, "second");
  ASSERT_TRUE(second.ok()) << second.status();
  v1::ReadObjectRequest read;
  read.set_container(kContainer);
  read.set_name("o");
  read.set_if_match(first->etag());
  std::string body;
  v1::DeleteObjectRequest remove;
  remove.set_container(kContainer);
  remove.set_name("o");
  remove.mutable_condition()->set_if_match(first->etag());
  for (const absl::Status& stale :
       {client_->WriteObject(spec, "third").status(), client_->DeleteObject(remove).status(),
        client_->ReadObject(read, *MakeStringSink(&body)).status()}) {
    EXPECT_EQ(stale.code(), absl::StatusCode::kFailedPrecondition) << stale;
    EXPECT_EQ(ErrorReasonOf(stale), "PRECONDITION_FAILED");
  }
  EXPECT_EQ(*Get(*client_, kContainer, "o"), "second");
  remove.mutable_condition()->set_if_match(second->etag());
  EXPECT_TRUE(client_->DeleteObject(remove).ok());
}

TEST_F(ApiTest, ARequestIdIsCarriedOutOnce) {
  v1::WriteSpec spec = Spec("o");
  DrawRequestId(*spec.mutable_request_id(), 'a');
  const auto first = client_->WriteObject(spec, "body");
  ASSERT_TRUE(first.ok()) << first.status();
  ASSERT_TRUE(Put(*client_, kContainer, "o", "newer").ok());
  const auto repeated = client_->WriteObject(spec, "body");
  ASSERT_TRUE(repeated.ok()) << repeated.status();
  EXPECT_EQ(repeated->version_id(), first->version_id());
  EXPECT_EQ(*Get(*client_, kContainer, "o"), "newer");
  const absl::Status other = client_->WriteObject(spec, "another body").status();
  EXPECT_EQ(other.code(), absl::StatusCode::kInvalidArgument) << other;
  spec.mutable_request_id()->mutable_create_time()->set_seconds(1);
  EXPECT_EQ(ErrorReasonOf(client_->WriteObject(spec, "body").status()), "REQUEST_ID_EXPIRED");
}

TEST_F(ApiTest, MetadataIsReadAndChangedWithoutTheBody) {
  v1::WriteSpec spec = Spec("o");
  spec.set_content_type("text/plain");
  (*spec.mutable_metadata())["colour"] = "blue";
  ASSERT_TRUE(client_->WriteObject(spec, "body").ok());
  v1::UpdateObjectRequest update;
  update.mutable_object()->set_container(kContainer);
  update.mutable_object()->set_name("o");
  (*update.mutable_object()->mutable_metadata())["colour"] = "red";
  update.mutable_update_mask()->add_paths("metadata");
  ASSERT_TRUE(client_->UpdateObject(update).ok());
  v1::GetObjectRequest get;
  get.set_container(kContainer);
  get.set_name("o");
  const auto object = client_->GetObject(get);
  ASSERT_TRUE(object.ok()) << object.status();
  EXPECT_EQ(object->metadata().at("colour"), "red");
  EXPECT_EQ(object->content_type(), "text/plain");
  EXPECT_EQ(object->size_bytes(), 4);
  EXPECT_EQ(*Get(*client_, kContainer, "o"), "body");
}

TEST_F(ApiTest, ListsInByteOrderFromWhereItIsTold) {
  for (const char* name : {"b", "a/2", "ä", "a", "Z", "a/1", "a/b/3"}) {
    ASSERT_TRUE(Put(*client_, kContainer, name, name).ok());
  }
  using Names = std::vector<std::string>;
  // Page by page, with one name each.
  const auto list = [leader = Leader(), this](v1::ListObjectsRequest request) {
    Names names;
    request.set_container(kContainer);
    request.set_page_size(1);
    do {
      v1::ListObjectsResponse page;
      const grpc::Status status =
          leader.objects->ListObjects(RawServer::ContextOf(profile_).get(), request, &page);
      EXPECT_TRUE(status.ok()) << status.error_message();
      EXPECT_LE(page.objects_size() + page.prefixes_size(), 1);
      for (const v1::Object& object : page.objects()) names.push_back(object.name());
      for (const std::string& prefix : page.prefixes()) names.push_back(prefix);
      request.set_page_token(page.next_page_token());
    } while (!request.page_token().empty() && names.size() < 100);
    return names;
  };
  v1::ListObjectsRequest request;
  EXPECT_EQ(list(request), (Names{"Z", "a", "a/1", "a/2", "a/b/3", "b", "ä"}));
  request.set_start_after("a/1");
  EXPECT_EQ(list(request), (Names{"a/2", "a/b/3", "b", "ä"}));
  request.clear_start_after();
  request.set_delimiter("/");
  EXPECT_EQ(list(request), (Names{"Z", "a", "a/", "b", "ä"}));
  request.set_prefix("a/");
  EXPECT_EQ(list(request), (Names{"a/1", "a/2", "a/b/"}));
  request.set_page_token("nonsense");
  request.set_container(kContainer);
  v1::ListObjectsResponse page;
  EXPECT_EQ(Leader()
                .objects->ListObjects(RawServer::ContextOf(profile_).get(), request, &page)
                .error_code(),
            grpc::StatusCode::INVALID_ARGUMENT);
}

TEST_F(ApiTest, AStreamThatIsNotAsDeclaredLeavesWhatWasThere) {
  ASSERT_TRUE(Put(*client_, kContainer, "o", "kept").ok());
  const RawServer leader = Leader();
  const std::string chunk = RandomBody(1 << 20);
  const auto write = [&](int64_t declared, int chunks, uint32_t crc) {
    const auto context = RawServer::ContextOf(profile_);
    v1::Object object;
    const auto stream = leader.objects->WriteObject(context.get(), &object);
    v1::WriteObjectRequest message;
    *message.mutable_spec() = Spec("o");
    if (declared >= 0) message.mutable_spec()->set_size_bytes(declared);
    bool open = stream->Write(message);
    for (int i = 0; i < chunks && open; ++i) {
      message.set_data(chunk);
      open = stream->Write(message);
    }
    message.mutable_finish();
    if (crc != 0) message.mutable_finish()->set_crc32c(crc);
    if (open) stream->Write(message);
    stream->WritesDone();
    return stream->Finish().error_code();
  };
  EXPECT_EQ(write(3 << 20, 2, 0), grpc::StatusCode::INVALID_ARGUMENT) << "shorter";
  EXPECT_EQ(write(1 << 20, 2, 0), grpc::StatusCode::INVALID_ARGUMENT) << "longer";
  EXPECT_EQ(write(-1, 2, 12345), grpc::StatusCode::INVALID_ARGUMENT) << "another CRC";
  EXPECT_EQ(*Get(*client_, kContainer, "o"), "kept");
  EXPECT_EQ(write(2 << 20, 2, 0), grpc::StatusCode::OK);
  EXPECT_TRUE(*Get(*client_, kContainer, "o") == chunk + chunk);
}

TEST_F(ApiTest, AnUploadGoesOnFromItsDurableSize) {
  const RawServer leader = Leader();
  const auto context = [this] { return RawServer::ContextOf(profile_); };
  const auto start = [&](const std::string& name) {
    v1::StartUploadRequest request;
    *request.mutable_spec() = Spec(name);
    v1::Upload upload;
    const grpc::Status status = leader.uploads->StartUpload(context().get(), request, &upload);
    EXPECT_TRUE(status.ok()) << status.error_message();
    return upload.name();
  };
  const auto write = [&](const std::string& upload, int64_t offset, const std::string& data) {
    const auto call = context();
    v1::WriteUploadResponse response;
    const auto stream = leader.uploads->WriteUpload(call.get(), &response);
    v1::WriteUploadRequest message;
    message.mutable_start()->set_upload(upload);
    message.mutable_start()->set_offset_bytes(offset);
    if (stream->Write(message)) {
      message.set_data(data);
      stream->Write(message);
    }
    stream->WritesDone();
    return stream->Finish().error_code();
  };
  const std::string first = RandomBody(1 << 20), second = RandomBody(300'000);
  const std::string upload = start("o");
  EXPECT_EQ(write(upload, 0, first), grpc::StatusCode::OK);
  EXPECT_EQ(write(upload, 5, second), grpc::StatusCode::OUT_OF_RANGE);
  v1::GetUploadRequest get;
  get.set_name(upload);
  v1::Upload state;
  ASSERT_TRUE(leader.uploads->GetUpload(context().get(), get, &state).ok());
  ASSERT_EQ(state.durable_size_bytes(), 1 << 20);
  EXPECT_EQ(write(upload, 1 << 20, second), grpc::StatusCode::OK);
  EXPECT_EQ(Get(*client_, kContainer, "o").status().code(), absl::StatusCode::kNotFound);
  v1::FinishUploadRequest finish;
  finish.set_name(upload);
  v1::Object object;
  const grpc::Status finished = leader.uploads->FinishUpload(context().get(), finish, &object);
  ASSERT_TRUE(finished.ok()) << finished.error_message();
  EXPECT_TRUE(*Get(*client_, kContainer, "o") == first + second);

  const std::string aborted = start("never");
  const auto name = [](const v1::Upload& listed) { return listed.name(); };
  EXPECT_EQ(Names(client_->ListUploads(kContainer), name), std::vector<std::string>{aborted});
  EXPECT_TRUE(client_->AbortUpload(aborted).ok());
  EXPECT_EQ(write(aborted, 0, second), grpc::StatusCode::NOT_FOUND);
  EXPECT_TRUE(Names(client_->ListUploads(kContainer), name).empty());
}

// Calls without generated code; the answer's bytes, empty if the call failed.
std::string CallByName(const RawServer& server, const std::string& method,
                       const std::string& message) {
  grpc::GenericStub stub(server.channel);
  grpc::ClientContext context;
  grpc::CompletionQueue queue;
  const auto next = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  const grpc::Slice slice(message);
  grpc::ByteBuffer received;
  std::string answer;
  if (next()) {
    call->WriteLast(grpc::ByteBuffer(&slice, 1), grpc::WriteOptions(), nullptr);
    next();
    call->Read(&received, nullptr);
    if (next()) {
      std::vector<grpc::Slice> parts;
      EXPECT_TRUE(received.Dump(&parts).ok());
      for (const grpc::Slice& part : parts) {
        answer.append(reinterpret_cast<const char*>(part.begin()), part.size());
      }
    }
  }
  grpc::Status status;
  call->Finish(&status, nullptr);
  next();
  queue.Shutdown();
  return answer;
}

TEST_F(ApiTest, HealthAndReflectionAreServedOnEveryPublicPort) {
  const RawServer servers[] = {Front(), Leader()};
  for (const RawServer& server : servers) {
    // HealthCheckResponse { status: SERVING }
    EXPECT_EQ(CallByName(server, "/grpc.health.v1.Health/Check", ""), std::string("\x08\x01", 2));
    // ServerReflectionRequest { list_services: "*" }
    const std::string services =
        CallByName(server, "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
                   std::string("\x3a\x01*", 3));
    for (const char* service : {"meridian.v1.ObjectService", "meridian.v1.UploadService",
                                "meridian.v1.ContainerService", "meridian.v1.TenantService"}) {
      EXPECT_NE(services.find(service), std::string::npos) << service;
    }
  }
}

}  // namespace
}  // namespace meridian
