// The meridiand binary as its users run it: killed, restarted, stopped.

#include <gtest/gtest.h>

#include <atomic>
#include <map>
#include <memory>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/mutex.h"
#include "client/client.h"
#include "client/profile.h"
#include "tests/integration/raw_server.h"
#include "tests/integration/server_process.h"
#include "tests/temp_folder.h"
#include "tests/until.h"

namespace meridian {
namespace {

constexpr char kContainer[] = "tenants/acme/containers/z";

class ProcessTest : public testing::Test {
 protected:
  void SetUp() override {
    StartServer();
    ASSERT_NE(server_, nullptr);
    const auto administrator = server_->AdminProfile();
    ASSERT_TRUE(administrator.ok()) << administrator.status();
    const auto made = MakeTenantWithContainer(*administrator, "acme", "z", v1::ZRS);
    ASSERT_TRUE(made.ok()) << made.status();
    profile_ = *made;
  }

  void StartServer() {
    ServerProcess::Options options;
    options.data_folder = folder_.path() + "/data";
    options.log_file = folder_.path() + "/log";
    auto server = ServerProcess::Start(options);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    // The port may be another after a restart.
    const auto administrator = server_->AdminProfile();
    ASSERT_TRUE(administrator.ok()) << administrator.status();
    profile_.endpoints = administrator->endpoints;
  }

  static absl::Status Put(Client& client, const std::string& name, const std::string& body) {
    v1::WriteSpec spec;
    spec.set_container(kContainer);
    spec.set_name(name);
    return client.WriteObject(spec, body, {.timeout = absl::Milliseconds(500)}).status();
  }
  static absl::StatusOr<std::string> Get(Client& client, const std::string& name) {
    v1::ReadObjectRequest request;
    request.set_container(kContainer);
    request.set_name(name);
    std::string body;
    const auto read = client.ReadObject(request, *MakeStringSink(&body));
    if (!read.ok()) return read.status();
    return body;
  }

  TempFolder folder_;
  std::unique_ptr<ServerProcess> server_;
  Profile profile_;
};

std::string BodyOf(const std::string& name) {
  std::string body;
  while (body.size() < 1000 + 97 * (name.size() + name.back()) * (name.back() % 5)) body += name;
  return body;
}

TEST_F(ProcessTest, HasEveryAcknowledgedObjectAfterKillsDuringWrites) {  // I1
  constexpr size_t kKills = 3;
  constexpr int kWriters = 4;
  absl::Mutex mutex;
  std::map<std::string, std::string> acknowledged;
  for (size_t round = 0; round < kKills; ++round) {
    Client client(profile_);
    std::atomic<bool> stop{false};
    std::vector<std::thread> writers;
    for (int writer = 0; writer < kWriters; ++writer) {
      writers.emplace_back([&, writer] {
        for (int i = 0; !stop; ++i) {
          const std::string name = absl::StrCat("r", round, "-", writer, "-", i);
          const std::string body = BodyOf(name);
          if (!Put(client, name, body).ok()) continue;
          absl::MutexLock lock(&mutex);
          acknowledged[name] = body;
        }
      });
    }
    EXPECT_TRUE(Until([&] {
      absl::MutexLock lock(&mutex);
      return acknowledged.size() >= 100 * (round + 1);
    })) << "round "
        << round << ": too little was acknowledged before the kill";
    server_->Kill();
    stop = true;
    for (std::thread& writer : writers) writer.join();
    ASSERT_NO_FATAL_FAILURE(StartServer());
  }
  Client client(profile_);
  ASSERT_GE(acknowledged.size(), 100u);
  for (const auto& [name, expected] : acknowledged) {
    const auto read = Get(client, name);
    ASSERT_TRUE(read.ok()) << name << ": " << read.status();
    EXPECT_TRUE(*read == expected) << name;
  }
}

TEST_F(ProcessTest, SigtermLetsARunningCallEndAndTakesNoOther) {
  const std::string body(3 << 20, 'b');
  Client other(profile_);
  ASSERT_TRUE(Put(other, "before", "1").ok());
  v1::GetRouteRequest ask;
  ask.set_container(kContainer);
  v1::Route route;
  ASSERT_TRUE(RawServer(profile_, profile_.endpoints[0])
                  .cluster->GetRoute(RawServer::ContextOf(profile_).get(), ask, &route)
                  .ok());
  const RawServer leader(profile_, route.leader_endpoint());
  const auto context = RawServer::ContextOf(profile_);
  v1::Object written;
  const auto stream = leader.objects->WriteObject(context.get(), &written);
  v1::WriteObjectRequest message;
  message.mutable_spec()->set_container(kContainer);
  message.mutable_spec()->set_name("running");
  ASSERT_TRUE(stream->Write(message));
  message.set_data(body.substr(0, 1 << 20));
  ASSERT_TRUE(stream->Write(message));
  server_->Terminate();
  EXPECT_TRUE(Until([&] { return !Put(other, "after", "2").ok(); }));
  message.set_data(body.substr(1 << 20, 1 << 20));
  EXPECT_TRUE(stream->Write(message));
  EXPECT_TRUE(stream->Write(message));
  message.mutable_finish();
  EXPECT_TRUE(stream->Write(message));
  stream->WritesDone();
  const grpc::Status status = stream->Finish();
  EXPECT_TRUE(status.ok()) << status.error_message();
  const absl::Status stopped = server_->Stop();
  EXPECT_TRUE(stopped.ok()) << stopped;
  ASSERT_NO_FATAL_FAILURE(StartServer());
  Client again(profile_);
  const auto read = Get(again, "running");
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(*read == body);
}

}  // namespace
}  // namespace meridian
