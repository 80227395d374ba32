// A leader that hangs, and goes on believing that it leads: others lead within seconds, and nothing
// that it answers afterwards is stale.
//
// For a hang of some length, instead of as long as the others take to lead and write:
//   bazel test //tests/integration:process_suspend_test --test_env=MERIDIAN_SUSPEND_S=10
#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/time/clock.h"
#include "tests/integration/process_cluster.h"
#include "tests/integration/raw_server.h"

namespace meridian {
namespace {

constexpr int kRounds = 2;

absl::Duration HangFromEnvironment() {
  const char* value = std::getenv("MERIDIAN_SUSPEND_S");
  int seconds = 0;
  return absl::Seconds(value != nullptr && absl::SimpleAtoi(value, &seconds) ? seconds : 0);
}

// Reads and writes an object of a workload at one server only, without the care of the client
// library: what the server was asked while it hung, it answers when it goes on. Ends with this.
class PinnedClients {
 public:
  PinnedClients(const Profile& profile, const std::string& endpoint, std::string container,
                Workload& workload)
      : profile_(profile),
        server_(profile, endpoint),
        container_(std::move(container)),
        workload_(workload) {
    // Most want the answer of this server, and of no leader that it knows of.
    for (const bool passed_on : {false, false, true}) {
      threads_.emplace_back([this, passed_on] { Run([&] { return Read(passed_on); }); });
    }
    threads_.emplace_back([this] { Run([&] { return Put(); }); });
  }
  ~PinnedClients() {
    stop_ = true;
    for (std::thread& thread : threads_) thread.join();
  }

  size_t answered() const { return answered_; }
  bool AreAnswered(size_t count) const {
    const size_t enough = answered_ + count;
    return Until([&] { return answered_ >= enough; });
  }

 private:
  void Run(const std::function<absl::Status()>& call) {
    while (!stop_) {
      if (call().ok()) {
        ++answered_;
      } else {
        // Not to flood a server that refuses.
        absl::SleepFor(absl::Milliseconds(5));
      }
    }
  }

  std::unique_ptr<grpc::ClientContext> NewContext(bool passed_on) const {
    auto context = RawServer::ContextOf(profile_);
    context->set_deadline(std::chrono::system_clock::now() + std::chrono::minutes(1));
    if (!passed_on) context->AddMetadata("meridian-routes", "1");
    return context;
  }
  static absl::Status ToAbsl(const grpc::Status& status) {
    return absl::Status(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  }

  absl::Status Read(bool passed_on) {
    return workload_.RecordRead(workload_.SharedName(), [&]() -> absl::StatusOr<Workload::Seen> {
      v1::ReadObjectRequest request;
      request.set_container(container_);
      request.set_name(workload_.SharedName());
      const auto context = NewContext(passed_on);
      const auto stream = server_.objects->ReadObject(context.get(), request);
      Workload::Seen seen;
      for (v1::ReadObjectResponse message; stream->Read(&message);) {
        if (message.has_header()) seen.object = message.header().object();
        seen.body += message.data();
      }
      const grpc::Status status = stream->Finish();
      if (!status.ok()) return ToAbsl(status);
      return seen;
    });
  }
  absl::Status Put() {
    const auto put = [&](const v1::WriteSpec& spec,
                         const std::string& body) -> absl::StatusOr<v1::Object> {
      v1::PutObjectRequest request;
      *request.mutable_spec() = spec;
      request.set_data(body);
      v1::Object object;
      const grpc::Status status =
          server_.objects->PutObject(NewContext(/*passed_on=*/false).get(), request, &object);
      if (!status.ok()) return ToAbsl(status);
      return object;
    };
    return workload_.RecordPut(workload_.SharedName(), put);
  }

  const Profile profile_;
  const RawServer server_;
  const std::string container_;
  Workload& workload_;
  std::atomic<bool> stop_{false};
  std::atomic<size_t> answered_{0};
  std::vector<std::thread> threads_;
};

class ProcessSuspend : public ProcessCluster {};

// I2, I3.
TEST_F(ProcessSuspend, ALeaderThatHungServesNothingStaleWhenItGoesOn) {
  Workload workload(*profile_, {.container = kZonal});
  for (int round = 0; round < kRounds; ++round) {
    const auto leader = AwaitHealthyLeader(*admin_, kZonal);
    ASSERT_TRUE(leader.ok()) << leader.status();
    PinnedClients pinned(*profile_, NodeNamed(*leader).endpoint(), kZonal, workload);
    ASSERT_TRUE(workload.Advances(100) && pinned.AreAnswered(20));
    const absl::Time suspended = absl::Now();
    ASSERT_TRUE(cluster_->Suspend(*leader).ok());
    ASSERT_TRUE(workload.Advances(100));
    const absl::Duration pause = workload.LongestPause(suspended);
    std::cout << *leader << " hangs: no write for " << absl::FormatDuration(pause) << "\n";
    EXPECT_LT(pause, kMaxPause);
    while (absl::Now() < suspended + HangFromEnvironment()) ASSERT_TRUE(workload.Advances(10));
    EXPECT_TRUE(Until([&] {
      const std::string other = GroupOf(*admin_, kZonal).leader_node();
      return !other.empty() && other != *leader;
    }));
    ASSERT_TRUE(cluster_->Resume(*leader).ok());
    EXPECT_TRUE(pinned.AreAnswered(20));
    ASSERT_TRUE(workload.Advances(50));
  }
  workload.Stop();
  ExpectNoError(workload);
  ExpectKept(workload, kZonal);
}

}  // namespace
}  // namespace meridian
