// Names that a log gave away, or has not yet, beside what the container's map says (P7, P23).
#include "server/recovery_names.h"

#include <gtest/gtest.h>

#include "absl/strings/match.h"
#include "base/random.h"

namespace meridian::server {
namespace {

using objects::NameRange;

class RecoveryNames : public testing::Test {
 protected:
  SystemRandom random_;
  const PartitionId self_ = PartitionId::Draw(random_);
  const PartitionId left_ = PartitionId::Draw(random_);
  const PartitionId right_ = PartitionId::Draw(random_);
  const std::vector<tenancy::PartitionRange> map_{
      {left_, "", "g"}, {self_, "g", "m"}, {right_, "m", ""}};
};

TEST_F(RecoveryNames, NothingIsSaidOfASurvivorThatOwnsWhatTheMapSays) {
  EXPECT_EQ(CompareNames({"g", "m"}, self_, map_), "");
  EXPECT_EQ(CompareNames({"", ""}, self_, {}), "");
}

TEST_F(RecoveryNames, PartitionsWhoseNamesItStillHasAreNamed) {
  const std::string note = CompareNames({"g", ""}, self_, map_);
  EXPECT_TRUE(absl::StrContains(note, right_.ToHex())) << note;
  EXPECT_FALSE(absl::StrContains(note, left_.ToHex())) << note;
  // The end of a range is not in it.
  EXPECT_TRUE(absl::StrContains(CompareNames({"g", "k"}, self_, map_), "given names away"));
}

TEST_F(RecoveryNames, WhoeverOwnsSomeOfThemHoldsThem) {
  const auto holder = [this](const NameRange& owned) {
    return FindHolder(self_, map_, {{left_, owned}});
  };
  EXPECT_EQ(*holder({"", "g"}), std::nullopt);
  EXPECT_EQ(*holder({"", "h"}), left_);
  EXPECT_EQ(*holder({"", ""}), left_);
}

// It has what was written after the first one gave them away.
TEST_F(RecoveryNames, OfSeveralTheOneThatTheyWentToLastHoldsThem) {
  const std::vector<OwnedNames> others{{left_, {"", ""}}, {self_, {"g", ""}}};
  const std::vector<OwnedNames> turned{others[1], others[0]};
  EXPECT_EQ(*FindHolder(right_, map_, others), self_);
  EXPECT_EQ(*FindHolder(right_, map_, turned), self_);
}

TEST_F(RecoveryNames, WhatAFreshLeaderHasYetToApplyIsWaitedFor) {
  EXPECT_TRUE(absl::IsUnavailable(FindHolder(self_, map_, {{left_, {"", ""}, false}}).status()));
  // Names never come to it.
  EXPECT_EQ(*FindHolder(self_, map_, {{left_, {"", "g"}, false}}), std::nullopt);
}

TEST_F(RecoveryNames, OnlyPartitionsBeforeItCanEverHaveHadThem) {
  EXPECT_EQ(PossibleHolders(left_, map_), std::vector<PartitionId>());
  EXPECT_EQ(PossibleHolders(self_, map_), std::vector<PartitionId>({left_}));
  EXPECT_EQ(PossibleHolders(right_, map_), std::vector<PartitionId>({left_, self_}));
  EXPECT_EQ(PossibleHolders(self_, {}), std::vector<PartitionId>());
}

TEST_F(RecoveryNames, APartitionThatIsInNoMapHasNoNames) {
  EXPECT_TRUE(absl::IsFailedPrecondition(FindHolder(self_, {{left_, "", ""}}, {}).status()));
}

}  // namespace
}  // namespace meridian::server
