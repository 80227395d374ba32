#include "client/internal/route_cache.h"

#include <gtest/gtest.h>

namespace meridian::client_internal {
namespace {

constexpr absl::Duration kNow = absl::Seconds(100);

RouteCache::Route Route(std::string begin, std::string end, std::string leader, uint64_t epoch) {
  return {std::move(begin), std::move(end), std::move(leader), epoch, kNow + absl::Seconds(1)};
}

TEST(RouteCache, FindsTheRangeThatHoldsTheObject) {
  RouteCache cache;
  cache.Store("c", Route("", "m", "left", 1));
  cache.Store("c", Route("m", "", "right", 1));
  EXPECT_EQ(cache.Find("c", "a", kNow), "left");
  EXPECT_EQ(cache.Find("c", "m", kNow), "right");
  EXPECT_EQ(cache.Find("other", "a", kNow), std::nullopt);
}

TEST(RouteCache, ForgetsInTime) {
  RouteCache cache;
  cache.Store("c", Route("", "", "leader", 1));
  EXPECT_EQ(cache.Find("c", "a", kNow + absl::Seconds(1)), std::nullopt);
}

TEST(RouteCache, KeepsTheNewerEpoch) {
  RouteCache cache;
  cache.Store("c", Route("", "", "new", 7));
  cache.Store("c", Route("", "", "old", 6));
  EXPECT_EQ(cache.Find("c", "a", kNow), "new");
}

TEST(RouteCache, ForgetsALeaderOnlyIfItIsStillTheOneThatFailed) {
  RouteCache cache;
  cache.Store("c", Route("", "", "new", 7));
  cache.Forget("c", "a", "old");
  EXPECT_EQ(cache.Find("c", "a", kNow), "new");
  cache.Forget("c", "a", "new");
  EXPECT_EQ(cache.Find("c", "a", kNow), std::nullopt);
}

TEST(RouteCache, ARedirectKeepsTheRange) {
  RouteCache cache;
  cache.Store("c", Route("", "m", "left", 1));
  cache.Store("c", Route("m", "", "right", 1));
  cache.Redirect("c", "x", "better", 2, kNow + absl::Seconds(1));
  EXPECT_EQ(cache.Find("c", "z", kNow), "better");
  EXPECT_EQ(cache.Find("c", "a", kNow), "left");
}

TEST(RouteCache, ARedirectForAnUnknownRangeHoldsForTheObjectOnly) {
  RouteCache cache;
  cache.Store("c", Route("", "m", "left", 1));
  cache.Redirect("c", "x", "better", 2, kNow + absl::Seconds(1));
  EXPECT_EQ(cache.Find("c", "x", kNow), "better");
  EXPECT_EQ(cache.Find("c", "y", kNow), std::nullopt);
}

}  // namespace
}  // namespace meridian::client_internal
