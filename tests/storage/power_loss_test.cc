// Power loss over the real journal, extents and RocksDB: at each cut the disk forgets a random part
// of what was not synced, sectors and names. Nothing acknowledged may be missing (I1), no promise
// lowered (I3), no chunk that an entry rests on gone (I4).
#include <cstdio>
#include <string>

#include "gtest/gtest.h"
#include "tests/storage/power_loss_run.h"

namespace meridian::storage {
namespace {

// 5 groups of 5 seeds of 9 cuts: 225 kill points. RocksDB sleeps a second after each background
// error, so that the groups run beside one another.
constexpr uint64_t kGroups = 5;
constexpr uint64_t kSeedsOfAGroup = 5;
constexpr int kLivesOfASeed = 9;

class PowerLoss : public testing::TestWithParam<uint64_t> {};

TEST_P(PowerLoss, NothingAcknowledgedIsLost) {
  PowerLossRun::Totals sum;
  const uint64_t first = 1 + GetParam() * kSeedsOfAGroup;
  for (uint64_t seed = first; seed < first + kSeedsOfAGroup; ++seed) {
    PowerLossRun run(seed);
    for (int life = 0; life < kLivesOfASeed; ++life) {
      ASSERT_EQ(run.Live(), "") << "seed " << seed << " life " << life;
    }
    const PowerLossRun::Totals& totals = run.totals();
    sum.cuts += totals.cuts;
    sum.cuts_while_opening += totals.cuts_while_opening;
    sum.persists += totals.persists;
    sum.truncations += totals.truncations;
    sum.chunks += totals.chunks;
    sum.applied += totals.applied;
    sum.checkpoints += totals.checkpoints;
    sum.trims += totals.trims;
    sum.unanswered_persists += totals.unanswered_persists;
    sum.replacements += totals.replacements;
  }
  std::printf(
      "cuts %d, of them while opening %d; persists %d, unanswered %d, truncations %d, chunks %d, "
      "applied %d, checkpoints %d, trims %d, replicas replaced %d\n",
      sum.cuts, sum.cuts_while_opening, sum.persists, sum.unanswered_persists, sum.truncations,
      sum.chunks, sum.applied, sum.checkpoints, sum.trims, sum.replacements);
  EXPECT_EQ(sum.cuts, 45);
  EXPECT_GT(sum.cuts_while_opening, 2);
  EXPECT_GT(sum.persists, 200);
  EXPECT_GT(sum.unanswered_persists, 4);
  EXPECT_GT(sum.truncations, 20);
  EXPECT_GT(sum.chunks, 20);
  EXPECT_GT(sum.applied, 100);
  EXPECT_GT(sum.checkpoints, 10);
  EXPECT_GT(sum.trims, 4);
  EXPECT_GT(sum.replacements, 4);
}

INSTANTIATE_TEST_SUITE_P(KillPoints, PowerLoss, testing::Range<uint64_t>(0, kGroups));

// The control: the same run, on a disk that reports syncs and does not do them, must fail.
TEST(PowerLossControl, ADiskWhoseSyncsDoNothingIsFoundOut) {
  int detected = 0;
  constexpr uint64_t kControlSeeds = 10;
  for (uint64_t seed = 1; seed <= kControlSeeds; ++seed) {
    PowerLossRun run(seed);
    ASSERT_EQ(run.Live(), "");
    run.fault().set_syncs_work(false);
    bool lost = false;
    for (int life = 0; life < 4 && !lost; ++life) lost = !run.Live().empty();
    detected += lost;
  }
  EXPECT_GE(detected, static_cast<int>(kControlSeeds) - 1);
}

}  // namespace
}  // namespace meridian::storage
