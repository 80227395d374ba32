#include "server/log.h"

#include <gtest/gtest.h>

#include <memory>
#include <nlohmann/json.hpp>

#include "server/telemetry/call_record.h"

namespace meridian::server {
namespace {

const absl::Time kTime = absl::FromUnixMillis(1'700'000'000'123);

TEST(Log, ALineIsOneObjectWithItsKeysInOrder) {
  EXPECT_EQ(FormatLogLine(kTime, LogLevel::kWarning, "disk", "out of service", "",
                          {{"node", "east-1a"},
                           {"bytes", 17},
                           {"took_ms", absl::Microseconds(1500)},
                           {"error", absl::NotFoundError("gone")}}),
            R"({"time":"2023-11-14T22:13:20.123Z","level":"warning","component":"disk",)"
            R"("message":"out of service","node":"east-1a","bytes":17,"took_ms":1.5,)"
            R"("error":"NOT_FOUND: gone"})");
}

TEST(Log, TellsTheRequestIdWhereThereIsOne) {
  const auto line = nlohmann::json::parse(
      FormatLogLine(kTime, LogLevel::kInfo, "request", "slow request", "abc", {}));
  EXPECT_EQ(line["request_id"], "abc");
  EXPECT_EQ(line["level"], "info");
}

TEST(Log, WhateverAValueHoldsALineStaysOneLineAndOneObject) {
  const std::string odd = "a\nb\"c\\d\x01 \xff\xfe \u2028 end";
  const std::string line = FormatLogLine(kTime, LogLevel::kError, "node", odd, "", {{"x", odd}});
  EXPECT_EQ(line.find('\n'), std::string::npos);
  const auto parsed = nlohmann::json::parse(line);
  EXPECT_TRUE(parsed["x"].get<std::string>().ends_with(" end"));
}

TEST(Log, WritesALineWithTheIdOfTheThreadsCall) {
  MethodMeter method("ObjectService/PutObject");
  CallRecord::SetCurrent(std::make_shared<CallRecord>(method, TraceContext{"0123", "45", "00"}));
  testing::internal::CaptureStderr();
  Log(LogLevel::kInfo, "node", "within a call");
  CallRecord::SetCurrent(nullptr);
  Log(LogLevel::kInfo, "node", "without");
  const std::string said = testing::internal::GetCapturedStderr();
  const size_t end = said.find('\n');
  EXPECT_EQ(nlohmann::json::parse(said.substr(0, end))["request_id"], "0123");
  EXPECT_FALSE(nlohmann::json::parse(said.substr(end + 1)).contains("request_id"));
}

}  // namespace
}  // namespace meridian::server
