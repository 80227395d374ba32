#include "client/internal/route_cache.h"

#include <gtest/gtest.h>

namespace meridian::client_internal {
namespace {

constexpr absl::Duration kNow = absl::Seconds(100);

RouteCache::Route Route(std::string begin, std::string end, std::string leader, uint64_t epoch,
                        uint64_t map_generation = 1) {
  return {std::move(begin),  std::move(end), map_generation,
          std::move(leader), epoch,          kNow + absl::Seconds(1)};
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
  cache.Redirect("c", "x", "right", Route("", "", "better", 2));
  EXPECT_EQ(cache.Find("c", "z", kNow), "better");
  EXPECT_EQ(cache.Find("c", "a", kNow), "left");
}

TEST(RouteCache, ARedirectForAnUnknownRangeHoldsForTheObjectOnly) {
  RouteCache cache;
  cache.Store("c", Route("", "m", "left", 1));
  cache.Redirect("c", "x", "right", Route("", "", "better", 2));
  EXPECT_EQ(cache.Find("c", "x", kNow), "better");
  EXPECT_EQ(cache.Find("c", "y", kNow), std::nullopt);
}

TEST(RouteCache, BelievesTheNewerMapWhateverTheEpochs) {
  RouteCache cache;
  cache.Store("c", Route("", "", "parent", 7, 1));
  cache.Store("c", Route("m", "", "child", 1, 2));
  EXPECT_EQ(cache.Find("c", "x", kNow), "child");
  cache.Store("c", Route("", "", "parent", 8, 1));
  EXPECT_EQ(cache.Find("c", "x", kNow), "child") << "from before the split";
}

TEST(RouteCache, ARedirectToARangeHoldsForAllOfIt) {
  RouteCache cache;
  cache.Store("c", Route("", "", "parent", 7, 1));
  cache.RedirectRange("c", "x", "parent", Route("m", "", "child", 1, 2));
  EXPECT_EQ(cache.Find("c", "m", kNow), "child");
  EXPECT_EQ(cache.Find("c", "a", kNow), std::nullopt) << "of an older map";
}

// Else two servers, of which one has not heard of a split, would send a client to and fro.
TEST(RouteCache, AServerThatKnowsOnlyAnOlderMapIsNotBelieved) {
  RouteCache cache;
  cache.Store("c", Route("", "m", "parent", 7, 2));
  cache.Store("c", Route("m", "", "child", 1, 2));
  cache.RedirectRange("c", "x", "child", Route("", "", "parent", 7, 1));
  EXPECT_EQ(cache.Find("c", "x", kNow), "child");
}

}  // namespace
}  // namespace meridian::client_internal
