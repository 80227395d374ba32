#include "tests/client/fake_cluster.h"

#include <algorithm>
#include <iterator>

#include "base/check.h"
#include "base/crc32c.h"
#include "meridian/v1/access_keys.grpc.pb.h"
#include "meridian/v1/cluster.grpc.pb.h"
#include "meridian/v1/objects.grpc.pb.h"
#include "meridian/v1/uploads.grpc.pb.h"

namespace meridian {
namespace {

constexpr char kAccessKey[] = "mak1_test";

// What each call goes through first.
class Gate {
 public:
  Gate(FakeCluster& cluster, int server) : cluster_(cluster), server_(server) {}

  grpc::Status Authenticate(const grpc::ServerContext& context) const {
    auto it = context.client_metadata().find("authorization");
    if (it != context.client_metadata().end() &&
        it->second == grpc::string_ref("Bearer mak1_test")) {
      return grpc::Status::OK;
    }
    return FakeError(grpc::StatusCode::UNAUTHENTICATED, v1::INVALID_ACCESS_KEY, "who are you");
  }

  grpc::Status Pass(const grpc::ServerContext& context, const std::string& name = {}) const {
    if (grpc::Status status = Authenticate(context); !status.ok()) return status;
    const v1::NotLeader detail = cluster_.LeaderOf(name);
    if (detail.endpoint() != cluster_.endpoint(server_)) {
      cluster_.CountRedirect();
      return FakeError(grpc::StatusCode::UNAVAILABLE, v1::NOT_LEADER, "not here", &detail);
    }
    bool hang = false;
    grpc::Status status = cluster_.store().BeginCall(&hang);
    if (hang) WaitUntilCancelled(context);
    return status;
  }

 private:
  static void WaitUntilCancelled(const grpc::ServerContext& context) {
    // The synchronous server API has no event for it.
    while (!context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
  }

  FakeCluster& cluster_;
  const int server_;
};

class FakeObjects final : public v1::ObjectService::Service {
 public:
  FakeObjects(const Gate& gate, FakeCluster& cluster)
      : gate_(gate), cluster_(cluster), store_(cluster.store()) {}

  grpc::Status PutObject(grpc::ServerContext* context, const v1::PutObjectRequest* request,
                         v1::Object* object) override {
    if (grpc::Status status = gate_.Pass(*context, request->spec().name()); !status.ok())
      return status;
    return store_.Put(request->spec(), request->data(), object);
  }

  grpc::Status WriteObject(grpc::ServerContext* context,
                           grpc::ServerReader<v1::WriteObjectRequest>* reader,
                           v1::Object* object) override {
    v1::WriteObjectRequest message;
    reader->Read(&message);
    v1::WriteSpec spec = message.spec();
    if (grpc::Status status = gate_.Pass(*context, spec.name()); !status.ok()) return status;
    std::string data;
    while (reader->Read(&message) && !message.has_finish()) data += message.data();
    if (!message.has_finish()) {
      return FakeError(grpc::StatusCode::INVALID_ARGUMENT, v1::INVALID_STREAM, "no finish");
    }
    spec.set_crc32c(message.finish().crc32c());
    return store_.Put(spec, std::move(data), object);
  }

  grpc::Status ReadObject(grpc::ServerContext* context, const v1::ReadObjectRequest* request,
                          grpc::ServerWriter<v1::ReadObjectResponse>* writer) override {
    if (grpc::Status status = gate_.Pass(*context, request->name()); !status.ok()) return status;
    v1::ReadObjectResponse message;
    v1::ReadHeader header;
    std::string data;
    grpc::Status found = store_.Find(request->container(), request->name(), request->version_id(),
                                     header.mutable_object(), &data);
    if (!found.ok()) return found;
    if (request->has_range()) {
      data = data.substr(static_cast<size_t>(request->range().offset_bytes()));
      if (request->range().has_length_bytes()) {
        data.resize(
            std::min<size_t>(data.size(), static_cast<size_t>(request->range().length_bytes())));
      }
    }
    header.set_offset_bytes(request->range().offset_bytes());
    header.set_length_bytes(static_cast<int64_t>(data.size()));
    *message.mutable_header() = header;
    writer->Write(message);
    return SendData(data, store_.BeginRead(), writer);
  }

  grpc::Status GetObject(grpc::ServerContext* context, const v1::GetObjectRequest* request,
                         v1::Object* object) override {
    if (grpc::Status status = gate_.Pass(*context, request->name()); !status.ok()) return status;
    return store_.Find(request->container(), request->name(), request->version_id(), object,
                       nullptr);
  }

  grpc::Status DeleteObject(grpc::ServerContext* context, const v1::DeleteObjectRequest* request,
                            v1::DeleteObjectResponse*) override {
    if (grpc::Status status = gate_.Pass(*context, request->name()); !status.ok()) return status;
    return store_.Delete(*request);
  }

  grpc::Status ListObjects(grpc::ServerContext* context, const v1::ListObjectsRequest* request,
                           v1::ListObjectsResponse* response) override {
    const std::string& at = request->page_token().empty()
                                ? std::max(request->prefix(), request->start_after())
                                : request->page_token();
    if (grpc::Status status = gate_.Pass(*context, at); !status.ok()) return status;
    store_.List(*request, cluster_.LeaderOf(at).range().end_name(), response);
    return grpc::Status::OK;
  }

 private:
  grpc::Status SendData(const std::string& data, const FakeStore::ReadFault& fault,
                        grpc::ServerWriter<v1::ReadObjectResponse>* writer) {
    constexpr size_t kMessageBytes = 64 << 10;
    for (size_t at = 0; at < data.size(); at += kMessageBytes) {
      if (static_cast<int64_t>(at) >= fault.break_after) {
        fault.then();
        return {grpc::StatusCode::UNAVAILABLE, "planted: broken"};
      }
      v1::ReadObjectResponse message;
      message.set_data(data.substr(at, kMessageBytes));
      if (fault.damaged && at == 0) (*message.mutable_data())[0] ^= 1;
      store_.CountRead(message.data().size());
      writer->Write(message);
    }
    return grpc::Status::OK;
  }

  const Gate gate_;
  FakeCluster& cluster_;
  FakeStore& store_;
};

class FakeUploads final : public v1::UploadService::Service {
 public:
  FakeUploads(const Gate& gate, FakeStore& store) : gate_(gate), store_(store) {}

  grpc::Status StartUpload(grpc::ServerContext* context, const v1::StartUploadRequest* request,
                           v1::Upload* upload) override {
    if (grpc::Status status = gate_.Pass(*context, request->spec().name()); !status.ok())
      return status;
    *upload = store_.StartUpload(*request);
    return grpc::Status::OK;
  }

  grpc::Status WriteUpload(grpc::ServerContext* context,
                           grpc::ServerReader<v1::WriteUploadRequest>* reader,
                           v1::WriteUploadResponse* response) override {
    v1::WriteUploadRequest message;
    reader->Read(&message);
    const std::string upload = message.start().upload();
    if (grpc::Status status = gate_.Pass(*context, store_.ObjectOf(upload)); !status.ok()) {
      return status;
    }
    int64_t durable = message.start().offset_bytes();
    int64_t break_after = 0;
    grpc::Status begun = store_.BeginUploadStream(message.start(), &break_after);
    if (!begun.ok()) return begun;
    int64_t received = 0;
    while (reader->Read(&message)) {
      if (received >= break_after) return {grpc::StatusCode::UNAVAILABLE, "planted: broken"};
      durable = store_.AppendUpload(upload, message.data());
      received += static_cast<int64_t>(message.data().size());
    }
    response->set_durable_size_bytes(durable);
    return grpc::Status::OK;
  }

  grpc::Status GetUpload(grpc::ServerContext* context, const v1::GetUploadRequest* request,
                         v1::Upload* upload) override {
    if (grpc::Status status = gate_.Pass(*context, store_.ObjectOf(request->name())); !status.ok())
      return status;
    return store_.GetUpload(request->name(), upload);
  }

  grpc::Status FinishUpload(grpc::ServerContext* context, const v1::FinishUploadRequest* request,
                            v1::Object* object) override {
    if (grpc::Status status = gate_.Pass(*context, store_.ObjectOf(request->name())); !status.ok())
      return status;
    return store_.FinishUpload(*request, object);
  }

  grpc::Status AbortUpload(grpc::ServerContext* context, const v1::AbortUploadRequest* request,
                           google::protobuf::Empty*) override {
    if (grpc::Status status = gate_.Pass(*context, store_.ObjectOf(request->name())); !status.ok())
      return status;
    store_.AbortUpload(request->name());
    return grpc::Status::OK;
  }

 private:
  const Gate gate_;
  FakeStore& store_;
};

class FakeRoutes final : public v1::ClusterService::Service {
 public:
  FakeRoutes(const Gate& gate, FakeCluster& cluster) : gate_(gate), cluster_(cluster) {}

  grpc::Status GetRoute(grpc::ServerContext* context, const v1::GetRouteRequest* request,
                        v1::Route* route) override {
    if (grpc::Status status = gate_.Authenticate(*context); !status.ok()) return status;
    const v1::NotLeader found = cluster_.RouteOf(request->object_name());
    route->set_epoch(found.epoch());
    route->set_begin_name(found.range().begin_name());
    route->set_end_name(found.range().end_name());
    route->set_map_generation(found.range().map_generation());
    route->set_leader_endpoint(cluster_.forced_route().value_or(found.endpoint()));
    return grpc::Status::OK;
  }

  grpc::Status ListNodes(grpc::ServerContext* context, const v1::ListNodesRequest*,
                         v1::ListNodesResponse*) override {
    return gate_.Pass(*context);
  }
  grpc::Status ListGroups(grpc::ServerContext* context, const v1::ListGroupsRequest*,
                          v1::ListGroupsResponse*) override {
    return gate_.Pass(*context);
  }

 private:
  const Gate gate_;
  FakeCluster& cluster_;
};

class FakeAccessKeys final : public v1::AccessKeyService::Service {
 public:
  explicit FakeAccessKeys(const Gate& gate) : gate_(gate) {}

  grpc::Status CreateAccessKey(grpc::ServerContext* context,
                               const v1::CreateAccessKeyRequest* request,
                               v1::CreateAccessKeyResponse* response) override {
    if (grpc::Status status = gate_.Pass(*context); !status.ok()) return status;
    response->mutable_access_key()->set_name(request->parent() + "/accessKeys/1");
    response->set_secret(kAccessKey);
    return grpc::Status::OK;
  }

 private:
  const Gate gate_;
};

}  // namespace

struct FakeCluster::Server {
  Server(FakeCluster& cluster, int index)
      : gate(cluster, index),
        objects(gate, cluster),
        uploads(gate, cluster.store()),
        routes(gate, cluster),
        access_keys(gate) {}

  const Gate gate;
  FakeObjects objects;
  FakeUploads uploads;
  FakeRoutes routes;
  FakeAccessKeys access_keys;
  int port = 0;
  std::unique_ptr<grpc::Server> server;
};

FakeCluster::FakeCluster(int servers) {
  auto authority = crypto::CertificateAuthority::Create("fake cluster", clock_);
  CHECK_INVARIANT(authority.ok(), "no certificate authority");
  authority_ = *std::move(authority);
  auto identity = authority_->IssueNode("fake");
  CHECK_INVARIANT(identity.ok(), "no certificate");
  grpc::SslServerCredentialsOptions tls;
  tls.pem_key_cert_pairs.push_back({identity->private_key_pem, identity->certificate_pem});
  for (int i = 0; i < servers; ++i) {
    auto server = std::make_unique<Server>(*this, i);
    grpc::ServerBuilder builder;
    builder.AddListeningPort("127.0.0.1:0", grpc::SslServerCredentials(tls), &server->port);
    builder.RegisterService(&server->objects);
    builder.RegisterService(&server->uploads);
    builder.RegisterService(&server->routes);
    builder.RegisterService(&server->access_keys);
    server->server = builder.BuildAndStart();
    CHECK_INVARIANT(server->server != nullptr, "the fake server does not start");
    servers_.push_back(std::move(server));
  }
}

FakeCluster::~FakeCluster() {
  for (size_t i = 0; i < servers_.size(); ++i) Stop(static_cast<int>(i));
}

Profile FakeCluster::profile() const {
  return {.endpoints = {endpoint(0)},
          .ca_pem = authority_->certificate_pem(),
          .access_key = kAccessKey,
          .tenant = "tenants/t",
          .server_name = ""};
}

std::string FakeCluster::endpoint(int server) const {
  return "127.0.0.1:" + std::to_string(servers_[static_cast<size_t>(server)]->port);
}

void FakeCluster::SetLeader(int server) {
  absl::MutexLock lock(&mutex_);
  map_.leader_by_begin = {{"", server}};
}

std::string FakeCluster::leader_endpoint() const { return LeaderOf("").endpoint(); }

void FakeCluster::SetPartitions(std::map<std::string, int> leader_by_begin) {
  absl::MutexLock lock(&mutex_);
  map_ = {map_.generation + 1, std::move(leader_by_begin)};
}

void FakeCluster::FreezeRoutes() {
  absl::MutexLock lock(&mutex_);
  frozen_map_ = map_;
}

v1::NotLeader FakeCluster::LeaderOf(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  return Find(map_, name);
}

v1::NotLeader FakeCluster::RouteOf(const std::string& name) const {
  absl::MutexLock lock(&mutex_);
  return Find(frozen_map_.value_or(map_), name);
}

v1::NotLeader FakeCluster::Find(const Map& map, const std::string& name) const {
  const auto next = map.leader_by_begin.upper_bound(name);
  const auto found = std::prev(next);
  v1::NotLeader detail;
  detail.set_endpoint(endpoint(found->second));
  // As of groups that know nothing of one another.
  detail.set_epoch(found->first.empty() ? 7 : 1);
  if (map.generation == 0) return detail;
  detail.mutable_range()->set_begin_name(found->first);
  if (next != map.leader_by_begin.end()) detail.mutable_range()->set_end_name(next->first);
  detail.mutable_range()->set_map_generation(map.generation);
  return detail;
}

int FakeCluster::redirects() const {
  absl::MutexLock lock(&mutex_);
  return redirects_;
}

void FakeCluster::CountRedirect() {
  absl::MutexLock lock(&mutex_);
  ++redirects_;
}

void FakeCluster::ForceRoute(std::optional<std::string> endpoint) {
  absl::MutexLock lock(&mutex_);
  forced_route_ = std::move(endpoint);
}

std::optional<std::string> FakeCluster::forced_route() const {
  absl::MutexLock lock(&mutex_);
  return forced_route_;
}

void FakeCluster::Stop(int server) {
  grpc::Server& running = *servers_[static_cast<size_t>(server)]->server;
  running.Shutdown(std::chrono::system_clock::now());
  running.Wait();
}

}  // namespace meridian
