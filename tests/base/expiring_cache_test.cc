#include "base/expiring_cache.h"

#include <gtest/gtest.h>

#include "tests/crypto/testing.h"

namespace meridian {
namespace {

TEST(ExpiringCache, KeepsTheMostRecentlyUsedEntries) {
  ManualClock clock;
  ExpiringCache<int> cache(clock, 2);
  cache.Put("a", 1, absl::InfiniteDuration());
  cache.Put("b", 2, absl::InfiniteDuration());
  EXPECT_EQ(cache.Get("a")->value, 1);
  cache.Put("c", 3, absl::InfiniteDuration());
  EXPECT_FALSE(cache.Get("b").has_value());
  EXPECT_EQ(cache.Get("a")->value, 1);
  EXPECT_EQ(cache.Get("c")->value, 3);
  EXPECT_EQ(cache.size(), 2u);
}

TEST(ExpiringCache, NeverReturnsAnEntryPastItsTime) {
  ManualClock clock;
  ExpiringCache<int> cache(clock, 10);
  cache.Put("a", 1, clock.MonotonicNow() + absl::Seconds(2));
  clock.Advance(absl::Seconds(1));
  EXPECT_TRUE(cache.Get("a").has_value());
  clock.Advance(absl::Seconds(1));
  EXPECT_FALSE(cache.Get("a").has_value());
  EXPECT_EQ(cache.size(), 0u);
}

TEST(ExpiringCache, ReplacesAndErases) {
  ManualClock clock;
  ExpiringCache<int> cache(clock, 10);
  cache.Put("a", 1, absl::InfiniteDuration());
  cache.Put("a", 2, absl::InfiniteDuration());
  cache.Put("b", 3, absl::InfiniteDuration());
  EXPECT_EQ(cache.Get("a")->value, 2);
  cache.Erase("a");
  cache.Erase("missing");
  EXPECT_FALSE(cache.Get("a").has_value());
  cache.EraseIf([](std::string_view key, const auto&) { return key == "b"; });
  EXPECT_EQ(cache.size(), 0u);
}

}  // namespace
}  // namespace meridian
