// When a group has been well for long enough (no real time passes here).
#include "server/steadiness.h"

#include <gtest/gtest.h>

#include "base/random.h"

namespace meridian::server {
namespace {

constexpr absl::Duration kLong = absl::Seconds(10);

class SteadinessTest : public testing::Test {
 protected:
  SteadinessTest() {
    status_.is_serving = true;
    status_.epoch = Epoch(4);
    for (const ReplicaId& peer : {other_, third_}) {
      status_.silence[peer] = absl::Milliseconds(100);
      status_.lag[peer] = 40;
    }
  }
  // Looked at every two seconds.
  void Pass(absl::Duration time) {
    for (const absl::Duration end = now_ + time; now_ < end;) {
      now_ += absl::Seconds(2);
      status_.last_index = status_.last_index + 2 * per_second_;
      group_.Note(status_, now_);
    }
  }
  // Then well again: it takes as long as at the beginning.
  void ExpectBeginsAnew() {
    Pass(absl::Seconds(2));
    EXPECT_FALSE(group_.Holds(absl::Seconds(1)));
    SetWell();
    Pass(kLong);
    EXPECT_FALSE(group_.Holds(kLong));
    Pass(absl::Seconds(2));
    EXPECT_TRUE(group_.Holds(kLong));
  }
  void SetWell() {
    well_.last_index = status_.last_index;
    status_ = well_;
  }

  SeededRandom random_{1};
  const ReplicaId other_ = ReplicaId::Draw(random_);
  const ReplicaId third_ = ReplicaId::Draw(random_);
  replication::ReplicaStatus status_;
  replication::ReplicaStatus well_;
  absl::Duration now_ = absl::Seconds(77);
  uint64_t per_second_ = 0;  // entries
  Steadiness group_;

  void SetUp() override {
    EXPECT_FALSE(group_.Holds(absl::ZeroDuration()));
    well_ = status_;
    Pass(2 * kLong);
    ASSERT_TRUE(group_.Holds(kLong));
  }
};

TEST_F(SteadinessTest, TakesTime) {
  Steadiness group;
  group.Note(status_, now_);
  EXPECT_TRUE(group.Holds(absl::ZeroDuration()));
  EXPECT_FALSE(group.Holds(kLong));
  group.Note(status_, now_ + kLong);
  EXPECT_TRUE(group.Holds(kLong));
}

TEST_F(SteadinessTest, EndsWithAMemberThatIsSilent) {
  status_.silence[third_] = absl::Milliseconds(1001);
  ExpectBeginsAnew();
}

// It answers, and would be needed if another went.
TEST_F(SteadinessTest, EndsWithAMemberThatLags) {
  status_.lag[other_] = Steadiness::kMaxLag + 1;
  ExpectBeginsAnew();
}

// As many are on the way to a member that keeps up.
TEST_F(SteadinessTest, WhereMuchIsWrittenALagIsMeasuredInTime) {
  per_second_ = 10'000;
  status_.lag[other_] = 9'000;
  Pass(absl::Seconds(2));
  EXPECT_TRUE(group_.Holds(kLong));
  status_.lag[other_] = 10'001;
  ExpectBeginsAnew();
}

TEST_F(SteadinessTest, EndsWithAMemberThatIsSentASnapshot) {
  status_.snapshots[other_] = {};
  ExpectBeginsAnew();
}

TEST_F(SteadinessTest, EndsWithAnEpoch) {
  ++well_.epoch;
  status_.epoch = well_.epoch;
  Pass(absl::Seconds(2));
  EXPECT_FALSE(group_.Holds(absl::Seconds(1)));
  Pass(kLong);
  EXPECT_TRUE(group_.Holds(kLong));
}

}  // namespace
}  // namespace meridian::server
