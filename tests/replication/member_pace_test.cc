// A slow voter is told from the others by the time that it takes (no real time passes here).
#include "replication/core/member_pace.h"

#include <gtest/gtest.h>

#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

class MemberPaceTest : public testing::Test {
 protected:
  // An entry, which the voters 1, 2, 3 hold after so long each.
  void Round(const std::vector<absl::Duration>& times) {
    ++last_;
    Advance();
    const absl::Duration begun = now_;
    for (; now_ < begun + absl::Seconds(3); now_ += absl::Milliseconds(1)) {
      for (int n = 1; n <= 3; ++n) {
        if (now_ - begun >= times[static_cast<size_t>(n) - 1]) durable_[IdOf(n)] = last_;
      }
      Advance();
    }
    for (int n = 1; n <= 3; ++n) durable_[IdOf(n)] = last_;
  }
  void Advance() {
    pace_.Advance(
        voters_, [this](ReplicaId id) { return durable_[id]; }, last_, now_);
  }

  const absl::Duration fast_ = absl::Milliseconds(5);
  const absl::Duration slow_ = absl::Milliseconds(300);
  const std::vector<Member> voters_ = {MemberOf(1), MemberOf(2), MemberOf(3)};
  absl::Duration now_ = absl::Seconds(50);
  LogIndex last_{7};
  std::map<ReplicaId, LogIndex> durable_;
  MemberPace pace_;
};

TEST_F(MemberPaceTest, AVoterThatIsSlowInManyRoundsInSuccessionIsSlow) {
  for (size_t i = 1; i < MemberPace::kSlowRounds; ++i) Round({slow_, fast_, 2 * fast_});
  EXPECT_FALSE(pace_.IsSlow(IdOf(1), now_));
  EXPECT_TRUE(pace_.WasSlowLately(IdOf(1), now_));
  Round({slow_, fast_, 2 * fast_});
  EXPECT_TRUE(pace_.IsSlow(IdOf(1), now_));
  EXPECT_FALSE(pace_.WasSlowLately(IdOf(2), now_));
  EXPECT_EQ(pace_.fastest(), IdOf(2));
}

TEST_F(MemberPaceTest, OneGoodRoundEndsIt) {
  for (size_t i = 1; i < MemberPace::kSlowRounds; ++i) Round({slow_, fast_, fast_});
  Round({fast_, fast_, fast_});
  EXPECT_FALSE(pace_.WasSlowLately(IdOf(1), now_));
  for (size_t i = 1; i < MemberPace::kSlowRounds; ++i) Round({slow_, fast_, fast_});
  EXPECT_FALSE(pace_.IsSlow(IdOf(1), now_));
}

TEST_F(MemberPaceTest, WhereAllAreSlowNobodyIs) {
  for (int i = 0; i < 30; ++i) Round({2 * slow_, slow_, slow_});
  EXPECT_FALSE(pace_.WasSlowLately(IdOf(1), now_));
}

// Another kind of disk.
TEST_F(MemberPaceTest, ADelayThatNobodyNoticesDoesNotCount) {
  const absl::Duration least = absl::Microseconds(500);
  for (int i = 0; i < 30; ++i) Round({absl::Milliseconds(90), least, least});
  EXPECT_FALSE(pace_.WasSlowLately(IdOf(1), now_));
}

TEST_F(MemberPaceTest, AVoterThatDoesNotAnswerHoldsNoRoundUp) {
  for (size_t i = 0; i < MemberPace::kSlowRounds; ++i) Round({slow_, fast_, absl::Hours(1)});
  EXPECT_TRUE(pace_.IsSlow(IdOf(1), now_));
  EXPECT_TRUE(pace_.IsSlow(IdOf(3), now_));
  EXPECT_EQ(pace_.fastest(), IdOf(2));
}

TEST_F(MemberPaceTest, WithoutEntriesNothingIsMeasuredAndTheLastRoundIsForgotten) {
  for (size_t i = 0; i < MemberPace::kSlowRounds; ++i) Round({slow_, fast_, fast_});
  EXPECT_TRUE(pace_.IsSlow(IdOf(1), now_));
  EXPECT_TRUE(pace_.WasSlowLately(IdOf(1), now_));
  for (int i = 0; i < 30; ++i) {
    now_ += absl::Seconds(1);
    Advance();
  }
  EXPECT_FALSE(pace_.WasSlowLately(IdOf(1), now_));
  EXPECT_FALSE(pace_.IsSlow(IdOf(1), now_));
}

}  // namespace
}  // namespace meridian::replication
