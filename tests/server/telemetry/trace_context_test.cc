#include "server/telemetry/trace_context.h"

#include <gtest/gtest.h>

#include <set>

#include "base/random.h"

namespace meridian::server {
namespace {

const std::string kTrace(32, 'a'), kParent(16, 'b');

class TraceContextTest : public testing::Test {
 protected:
  SystemRandom random_;
};

TEST_F(TraceContextTest, GoesOnWithTheTraceThatCameInASpanOfItsOwn) {
  const TraceContext context =
      TraceContext::Continue("00-" + kTrace + "-" + kParent + "-01", random_);
  EXPECT_EQ(context.trace_id, kTrace);
  EXPECT_EQ(context.flags, "01");
  EXPECT_EQ(context.span_id.size(), 16u);
  EXPECT_NE(context.span_id, kParent);
  EXPECT_EQ(context.ToTraceparent(), "00-" + kTrace + "-" + context.span_id + "-01");
}

TEST_F(TraceContextTest, WhatItGivesItTakes) {
  const TraceContext first = TraceContext::Continue("", random_);
  const TraceContext second = TraceContext::Continue(first.ToTraceparent(), random_);
  EXPECT_EQ(second.trace_id, first.trace_id);
  EXPECT_NE(second.span_id, first.span_id);
}

TEST_F(TraceContextTest, BeginsATraceWhereNoneOrNoValidOneCame) {
  std::set<std::string> seen;
  const std::string zeros(32, '0');
  for (const std::string& given :
       {std::string(), std::string("nonsense"), "00-" + kTrace + "-" + kParent,
        "00-" + kTrace + "-" + kParent + "-01-more", "00-" + zeros + "-" + kParent + "-01",
        "00-" + kTrace + "-" + zeros.substr(16) + "-01", "ff-" + kTrace + "-" + kParent + "-01",
        "00-" + std::string(32, 'A') + "-" + kParent + "-01",
        "00-" + kTrace + "-" + kParent + "-0g", "01-" + kTrace + "-" + kParent + "-01more",
        "00-" + kTrace + "_" + kParent + "-01"}) {
    const TraceContext context = TraceContext::Continue(given, random_);
    EXPECT_NE(context.trace_id, kTrace) << given;
    EXPECT_EQ(context.trace_id.size(), 32u);
    EXPECT_EQ(context.flags, "00") << given;
    EXPECT_TRUE(seen.insert(context.trace_id).second);
  }
}

TEST_F(TraceContextTest, TakesWhatALaterVersionHasInCommon) {
  const TraceContext context =
      TraceContext::Continue("01-" + kTrace + "-" + kParent + "-00-more", random_);
  EXPECT_EQ(context.trace_id, kTrace);
}

}  // namespace
}  // namespace meridian::server
