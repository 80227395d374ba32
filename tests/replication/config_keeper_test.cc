#include "replication/config_keeper.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "replication/replica.h"
#include "tests/fakes/manual_executor.h"
#include "tests/replication/core_cluster.h"

namespace meridian::replication {
namespace {

using coordination::KeyValue;

// Answers when the test says so.
class HeldStore : public coordination::CoordinationStore {
 public:
  using GetDone = std::function<void(absl::StatusOr<std::optional<KeyValue>>)>;

  void Get(std::string, GetDone done) override { gets.push_back(std::move(done)); }
  void List(std::string, std::function<void(absl::StatusOr<std::vector<KeyValue>>)>) override {}
  void Commit(coordination::Transaction,
              std::function<void(absl::StatusOr<coordination::CommitResult>)> done) override {
    commits.push_back(std::move(done));
  }
  std::unique_ptr<WatchHandle> Watch(std::string, std::function<void()>) override {
    return nullptr;
  }
  std::unique_ptr<Presence> Announce(std::string, std::string, absl::Duration) override {
    return nullptr;
  }

  std::vector<GetDone> gets;
  std::vector<std::function<void(absl::StatusOr<coordination::CommitResult>)>> commits;
};

class ConfigKeeperTest : public testing::Test {
 protected:
  void Answer(size_t get, int64_t revision, Epoch epoch) {
    GroupConfig config = config_;
    config.epoch = epoch;
    KeyValue value;
    value.value = EncodeGroupConfig(config);
    value.mod_revision = revision;
    store_.gets.at(get)(value);
    executor_.RunQueued();
  }

  void AnswerSwap(const absl::StatusOr<coordination::CommitResult>& result) {
    store_.commits.back()(result);
    executor_.RunQueued();
  }
  GroupConfig Next() {
    GroupConfig next = config_;
    next.epoch = config_.epoch + 1;
    return next;
  }

  static GroupConfig Config() {
    GroupConfig config;
    config.members.push_back(MemberOf(1));
    return config;
  }

  const GroupConfig config_ = Config();
  ManualExecutor executor_;
  HeldStore store_;
  Inbox inbox_{executor_, 100};
  std::vector<Epoch> read_;
  ConfigKeeper keeper_{PartitionId(),
                       store_,
                       inbox_.MakeHandle(),
                       config_,
                       1,
                       absl::Seconds(5),
                       [this](const GroupConfig& config) { read_.push_back(config.epoch); }};
};

TEST_F(ConfigKeeperTest, AReadThatTheStoreNeverAnswersIsRepeated) {
  keeper_.Read();
  keeper_.Read();  // shares it
  ASSERT_EQ(store_.gets.size(), 1u);
  keeper_.Tick(absl::Seconds(100));
  keeper_.Tick(absl::Seconds(104));
  EXPECT_EQ(store_.gets.size(), 1u);
  keeper_.Tick(absl::Seconds(105));
  ASSERT_EQ(store_.gets.size(), 2u);
  Answer(1, 3, Epoch(7));
  EXPECT_EQ(read_, std::vector<Epoch>{Epoch(7)});
  // The one given up tells of an older revision.
  Answer(0, 2, Epoch(6));
  EXPECT_EQ(read_, std::vector<Epoch>{Epoch(7)});
}

// A store without space would else be asked for the same swap many times a second, by each group.
TEST_F(ConfigKeeperTest, AfterASwapThatTheStoreDidNotWriteThereIsAPauseThatGrows) {
  absl::Duration now = absl::Seconds(100);
  absl::Duration pause = absl::Seconds(1);
  for (int round = 1; round <= 6; ++round) {
    keeper_.Swap(Next());
    AnswerSwap(absl::ResourceExhaustedError("the store is full"));
    EXPECT_TRUE(absl::IsResourceExhausted(keeper_.last_swap()));
    EXPECT_EQ(keeper_.failed_swaps(), static_cast<uint64_t>(round));
    const size_t gets = store_.gets.size();
    keeper_.Tick(now);
    keeper_.Tick(now + pause - absl::Milliseconds(1));
    EXPECT_EQ(store_.gets.size(), gets);
    now += pause;
    keeper_.Tick(now);
    ASSERT_EQ(store_.gets.size(), gets + 1);
    Answer(gets, 1, config_.epoch);
    EXPECT_EQ(read_.size(), static_cast<size_t>(round));
    pause = std::min(pause * 2, absl::Seconds(4));
  }
  keeper_.Swap(Next());
  AnswerSwap(coordination::CommitResult());
  EXPECT_TRUE(keeper_.last_swap().ok());
}

TEST_F(ConfigKeeperTest, ASwapOfUnknownOutcomeIsReadAtOnce) {
  keeper_.Swap(Next());
  AnswerSwap(absl::UnavailableError("no answer"));
  EXPECT_TRUE(absl::IsUnavailable(keeper_.last_swap()));
  ASSERT_EQ(store_.gets.size(), 1u);
  Answer(0, 1, config_.epoch);
  EXPECT_EQ(read_, std::vector<Epoch>{config_.epoch});
}

// A hint, say: that the stored configuration is still the old one does not mean that a swap under
// way has failed.
TEST_F(ConfigKeeperTest, WhileASwapIsUnderWayOnlyNewsIsPassedOn) {
  keeper_.Swap(Next());
  keeper_.Read();
  Answer(0, 1, config_.epoch);
  EXPECT_TRUE(read_.empty());
  keeper_.Read();
  Answer(1, 2, Epoch(9));
  EXPECT_EQ(read_, std::vector<Epoch>{Epoch(9)});
  AnswerSwap(coordination::CommitResult());
  ASSERT_EQ(store_.gets.size(), 3u);
  Answer(2, 2, Epoch(9));
  EXPECT_EQ(read_.size(), 2u);
}

}  // namespace
}  // namespace meridian::replication
