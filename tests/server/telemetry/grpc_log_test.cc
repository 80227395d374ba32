#include "server/telemetry/grpc_log.h"

#include <grpc/support/log.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <nlohmann/json.hpp>

namespace meridian::server {
namespace {

TEST(GrpcLog, AnErrorOfGrpcIsALineOfTheLog) {
  LogGrpcErrors();
  testing::internal::CaptureStderr();
  gpr_log(GPR_ERROR, "Handshake failed: %s", "no \"certificate\"\n");
  const std::string said = testing::internal::GetCapturedStderr();
  ASSERT_EQ(said.find('\n'), said.size() - 1) << said;
  const auto line = nlohmann::json::parse(said, nullptr, /*allow_exceptions=*/false);
  ASSERT_TRUE(line.is_object()) << said;
  EXPECT_EQ(line["component"], "grpc");
  EXPECT_EQ(line["error"], "Handshake failed: no \"certificate\"\n");
  EXPECT_EQ(line["file"], "grpc_log_test.cc");
  EXPECT_GT(line["line"], 0);
}

TEST(GrpcLog, OnlyErrorsAreTold) {
  LogGrpcErrors();
  testing::internal::CaptureStderr();
  gpr_log(GPR_INFO, "an access key");
  gpr_log(GPR_DEBUG, "an access key");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
}

TEST(GrpcLog, AFloodOfErrorsIsNoFloodOfLines) {
  LogGrpcErrors();
  testing::internal::CaptureStderr();
  for (int i = 0; i < 10'000; ++i) gpr_log(GPR_ERROR, "again");
  const std::string said = testing::internal::GetCapturedStderr();
  // Of as many seconds as it took.
  EXPECT_LT(std::count(said.begin(), said.end(), '\n'), 1000);
}

TEST(FitForLog, HeadersThatAPeerHasSentAreCutOff) {
  EXPECT_EQ(FitForLog("Error parsing metadata: error=bad key=authorization value=mak1_secret"),
            "Error parsing metadata");
}

TEST(FitForLog, ALongMessageIsCut) {
  EXPECT_EQ(FitForLog("bind failed"), "bind failed");
  EXPECT_EQ(FitForLog(std::string(5000, 'x')).size(), 300u);
}

}  // namespace
}  // namespace meridian::server
