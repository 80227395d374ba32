// What is seen of calls, over real gRPC without a port.
#include "server/telemetry/call_observer.h"

#include <grpcpp/grpcpp.h>
#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_split.h"
#include "base/random.h"
#include "meridian/v1/dev.grpc.pb.h"
#include "server/handlers/undecodable.h"
#include "tests/server/telemetry/exposition.h"

namespace meridian::server {
namespace {

// StopNode does what the test says.
class ScriptedService final : public v1::DevService::Service {
 public:
  grpc::Status StopNode(grpc::ServerContext*, const v1::StopNodeRequest*,
                        v1::StopNodeResponse*) override {
    return stop();
  }
  std::function<grpc::Status()> stop = [] { return grpc::Status::OK; };
};

struct Answer {
  grpc::Status status;
  std::string request_id;
};

class CallObserverTest : public testing::Test {
 protected:
  void Start(absl::Duration slow) {
    observer_ = std::make_unique<CallObserver>("east-1a", slow, random_);
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    auto interceptors = UndecodableInterceptors();
    for (auto& counting : observer_->Observe({v1::DevService::service_full_name()})) {
      interceptors.push_back(std::move(counting));
    }
    builder.experimental().SetInterceptorCreators(std::move(interceptors));
    server_ = builder.BuildAndStart();
    stub_ = v1::DevService::NewStub(server_->InProcessChannel({}));
  }

  Answer Stop(const std::string& node, const std::string& traceparent = "") {
    grpc::ClientContext context;
    if (!traceparent.empty()) context.AddMetadata("traceparent", traceparent);
    v1::StopNodeRequest request;
    request.set_node(node);
    v1::StopNodeResponse response;
    Answer answer;
    answer.status = stub_->StopNode(&context, request, &response);
    const auto& trailing = context.GetServerTrailingMetadata();
    EXPECT_EQ(trailing.count(kRequestIdMetadata), 1u);
    if (const auto id = trailing.find(kRequestIdMetadata); id != trailing.end()) {
      answer.request_id = {id->second.data(), id->second.size()};
    }
    return answer;
  }

  Exposition Page() const {
    MetricsBuilder builder;
    observer_->Collect({{"node", "east-1a"}}, builder);
    auto page = ParseExposition(builder.Text());
    EXPECT_TRUE(page.ok()) << page.status();
    return page.ok() ? *page : Exposition();
  }

  // The lines that `action` logs.
  static std::vector<nlohmann::json> LinesOf(const std::function<void()>& action) {
    testing::internal::CaptureStderr();
    action();
    std::vector<nlohmann::json> lines;
    const std::string said = testing::internal::GetCapturedStderr();
    for (const auto line : absl::StrSplit(said, '\n')) {
      if (!line.empty() && line[0] == '{')
        lines.push_back(nlohmann::json::parse(std::string(line)));
    }
    return lines;
  }

  SystemRandom random_;
  ScriptedService service_;
  std::unique_ptr<CallObserver> observer_;
  std::unique_ptr<grpc::Server> server_;
  std::unique_ptr<v1::DevService::Stub> stub_;
};

TEST_F(CallObserverTest, CountsCallsByMethodAndCode) {
  Start(absl::Seconds(1000));
  Stop("a");
  Stop("a");
  service_.stop = [] { return grpc::Status(grpc::StatusCode::NOT_FOUND, "no"); };
  Stop("a");
  const Exposition page = Page();
  const std::string method = "DevService/StopNode";
  EXPECT_EQ(page.Sum("meridian_requests_total", {{"method", method}, {"code", "OK"}}), 2);
  EXPECT_EQ(page.Sum("meridian_requests_total", {{"method", method}, {"code", "NOT_FOUND"}}), 1);
  EXPECT_EQ(page.Sum("meridian_requests_total"), 3);
  EXPECT_EQ(page.Sum("meridian_request_seconds_count", {{"method", method}}), 3);
  EXPECT_EQ(page.Sum("meridian_requests_in_flight"), 0);
  EXPECT_EQ(page.Sum("meridian_requests_slow_total"), 0);
}

TEST_F(CallObserverTest, CountsWhatCannotBeDecodedAsItIsAnswered) {
  Start(absl::Seconds(1000));
  EXPECT_EQ(Stop("\xff\xfe").status.error_code(), grpc::StatusCode::INVALID_ARGUMENT);
  EXPECT_EQ(Page().Sum("meridian_requests_total", {{"code", "INVALID_ARGUMENT"}}), 1);
}

TEST_F(CallObserverTest, AHandlerFindsItsCallAndTheNextCallFindsItsOwn) {
  Start(absl::Seconds(1000));
  std::vector<std::string> found;
  service_.stop = [&found] {
    CallRecord* const call = CallRecord::Current();
    if (call == nullptr) return grpc::Status(grpc::StatusCode::INTERNAL, "no call");
    EXPECT_EQ(call->received_bytes(), 0u);
    found.push_back(call->trace().trace_id);
    call->Received(10);
    call->Sent(3);
    return grpc::Status::OK;
  };
  std::vector<std::string> told;
  for (int i = 0; i < 5; ++i) told.push_back(Stop("a").request_id);
  EXPECT_EQ(found, told);
  EXPECT_EQ(CallRecord::Current(), nullptr);
  EXPECT_EQ(Page().Sum("meridian_body_received_bytes_total"), 50);
  EXPECT_EQ(Page().Sum("meridian_body_sent_bytes_total"), 15);
}

TEST_F(CallObserverTest, TheRequestIdIsThatOfTheTraceThatCame) {
  Start(absl::Seconds(1000));
  const std::string trace(32, 'c');
  EXPECT_EQ(Stop("a", "00-" + trace + "-00000000000000ab-01").request_id, trace);
  const std::string own = Stop("a", "nonsense").request_id;
  EXPECT_EQ(own.size(), 32u);
  EXPECT_NE(own, Stop("a").request_id);
}

TEST_F(CallObserverTest, LogsACallThatIsSlowAndWhereItsTimeWent) {
  Start(absl::ZeroDuration());
  const PartitionId group = PartitionId::Draw(random_);
  service_.stop = [group] {
    CallRecord::Current()->SetGroup(group);
    CallRecord::Current()->Spent(CallPhase::kCommit, absl::Milliseconds(7));
    CallRecord::Current()->Received(11);
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "secret");
  };
  std::string id;
  const auto lines = LinesOf([&] { id = Stop("secret").request_id; });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["message"], "slow request");
  EXPECT_EQ(lines[0]["level"], "warning");
  EXPECT_EQ(lines[0]["request_id"], id);
  EXPECT_EQ(lines[0]["node"], "east-1a");
  EXPECT_EQ(lines[0]["method"], "DevService/StopNode");
  EXPECT_EQ(lines[0]["code"], "UNAVAILABLE");
  EXPECT_EQ(lines[0]["commit_ms"], 7);
  EXPECT_EQ(lines[0]["received_bytes"], 11);
  EXPECT_EQ(lines[0]["group"], group.ToHex());
  EXPECT_GE(lines[0]["duration_ms"], 0);
  EXPECT_EQ(lines[0].dump().find("secret"), std::string::npos);
  EXPECT_EQ(Page().Sum("meridian_requests_slow_total"), 1);
}

TEST_F(CallObserverTest, WhatAClientKeepsTheServerWaitingIsNotSlow) {
  Start(absl::Seconds(1000));
  service_.stop = [] {
    // More than it has taken: what is left is below any bound.
    CallRecord::Current()->Spent(CallPhase::kClient, absl::Seconds(2000));
    return grpc::Status::OK;
  };
  EXPECT_TRUE(LinesOf([&] { Stop("a"); }).empty());
  EXPECT_EQ(Page().Sum("meridian_request_seconds_sum"), 0);
}

TEST_F(CallObserverTest, LogsACallThatFailedByTheServersFaultHoweverFast) {
  Start(absl::Seconds(1000));
  service_.stop = [] { return grpc::Status(grpc::StatusCode::DATA_LOSS, "secret"); };
  std::string id;
  auto lines = LinesOf([&] { id = Stop("a").request_id; });
  ASSERT_EQ(lines.size(), 1u);
  EXPECT_EQ(lines[0]["message"], "failed request");
  EXPECT_EQ(lines[0]["level"], "error");
  EXPECT_EQ(lines[0]["request_id"], id);
  EXPECT_EQ(lines[0].dump().find("secret"), std::string::npos);
  service_.stop = [] { return grpc::Status(grpc::StatusCode::NOT_FOUND, "no"); };
  EXPECT_TRUE(LinesOf([&] { Stop("a"); }).empty());
}

TEST_F(CallObserverTest, AThousandSlowCallsDoNotFillTheLog) {
  Start(absl::ZeroDuration());
  const auto lines = LinesOf([&] {
    for (int i = 0; i < 300; ++i) Stop("a");
  });
  EXPECT_EQ(lines.size() + Page().Sum("meridian_log_lines_dropped_total"), 300);
  EXPECT_EQ(Page().Sum("meridian_requests_slow_total"), 300);
}

TEST(LineBudget, LetsSoManyLinesASecondPass) {
  LineBudget budget(3);
  const absl::Time now = absl::FromUnixSeconds(1'700'000'000);
  for (int i = 0; i < 3; ++i) EXPECT_TRUE(budget.Take(now + absl::Milliseconds(i)));
  EXPECT_FALSE(budget.Take(now + absl::Milliseconds(999)));
  EXPECT_EQ(budget.dropped(), 1u);
  EXPECT_TRUE(budget.Take(now + absl::Seconds(1)));
}

}  // namespace
}  // namespace meridian::server
